"""What this worker says of itself, so that people and tools see it also while it has nothing to do."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from streamtag import __version__
from streamtag.core.records import WorkerView
from streamtag.metrics import Metrics
from streamtag.networks.loading import LoadedNetwork
from streamtag.pipeline.health import Health
from streamtag.pipeline.room import Room
from streamtag.pipeline.run import Runs
from streamtag.queue.session import QueueSession


class Presence:
    """Says it with every renewal, in the leases thread: a worker that cannot renew is as good as gone."""

    def __init__(
        self,
        session: QueueSession,
        network: LoadedNetwork,
        slots: int,
        runs: Runs,
        metrics: Metrics,
        health: Health,
        room: Room,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._heartbeats = session.heartbeats()
        self._worker = session.consumer
        self._network = network
        self._slots = slots
        self._runs = runs
        self._metrics = metrics
        self._health = health
        self._room = room
        self._now_s = now_s
        self._started_unix_s = round(time.time(), 3)
        self._counted_s, self._counted = now_s(), 0

    def tell(self) -> None:
        """Say that this worker is there, and how it fares."""
        self._heartbeats.beat(
            WorkerView(
                worker=self._worker,
                host=socket.gethostname(),
                version=__version__,
                model=self._network.bundle.name,
                engine=self._network.engine.name,
                slots=self._slots,
                running=len(self._runs),
                samples_per_s=self._rate(),
                draining=self._health.draining,
                started_unix_s=self._started_unix_s,
                seen_unix_s=round(time.time(), 3),
                short_of_memory=self._room.short,
            )
        )

    def _rate(self) -> float:
        """Samples a second since it was last asked for."""
        now_s, counted = self._now_s(), self._metrics.latency_s.count
        rate = (counted - self._counted) / max(1e-3, now_s - self._counted_s)
        self._counted_s, self._counted = now_s, counted
        return round(rate, 1)
