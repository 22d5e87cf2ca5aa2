"""What this worker says of itself, so that people and tools see it also while it has nothing to do."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Sequence
from typing import get_args

from streamtag import __version__
from streamtag.collectors import SOURCES
from streamtag.core.lately import WorstLately
from streamtag.core.records import MAX_OFFERS, DropReason, Offer, WorkerView
from streamtag.core.sharing import Supply
from streamtag.metrics import Metrics
from streamtag.networks.loading import LoadedNetwork
from streamtag.pipeline.health import Health
from streamtag.pipeline.inference_loop import InferenceLoop
from streamtag.pipeline.room import Room
from streamtag.pipeline.run import Runs
from streamtag.pipeline.slots import Slots

AVERAGED_S = 5.0  # over which the rate and the busy share are told


class Presence:
    """Looks at this worker, in the sharing thread."""

    def __init__(
        self,
        worker: str,
        network: LoadedNetwork,
        slots: Slots,
        runs: Runs,
        device: InferenceLoop,
        lag: WorstLately,
        metrics: Metrics,
        health: Health,
        room: Room,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker
        self._network = network
        self._slots = slots
        self._runs = runs
        self._device = device
        self._lag = lag
        self._metrics = metrics
        self._sampled = metrics.samples.labels("live")
        self._dropped = [metrics.dropped.labels(reason, "live") for reason in get_args(DropReason)]
        self._device_s = [metrics.busy_s.labels(source) for source in SOURCES]
        self._health = health
        self._room = room
        self._now_s = now_s
        self._host = socket.gethostname()
        self._started_unix_s = round(time.time(), 3)
        self._supply = Supply(now_s())
        self._looked_s, self._counted, self._busy_s = now_s(), 0, 0.0
        self._samples_per_s = self._busy = 0.0

    def look(self, offers: Sequence[Offer], coming: int) -> WorkerView:
        """How this worker fares by now.

        Args:
            offers: what of it is on its way to others.
            coming: streams that are on their way here.
        """
        now_s, supply = self._now_s(), self._supply
        supply.see(now_s, self._sampled.so_far, sum(dropped.so_far for dropped in self._dropped))
        self._average(now_s)
        running = self._runs.all()
        live = [run for run in running if run.live and not run.lease_lost]
        for run in live:
            if run.gates:
                looked, spared = (sum(gate.looked for gate in run.gates), sum(gate.spared for gate in run.gates))
                run.asked = run.spared.see(now_s, looked, spared)
        view = WorkerView(
            worker=self._worker,
            host=self._host,
            version=__version__,
            model=self._network.bundle.name,
            engine=self._network.engine.name,
            slots=self._slots.most,
            running=len(running),
            samples_per_s=round(self._samples_per_s, 1),
            draining=self._health.draining,
            started_unix_s=self._started_unix_s,
            seen_unix_s=round(time.time(), 3),
            short_of_memory=self._room.short,
            streams=len(live),
            asked=round(sum(run.asked for run in live), 3),
            supply=round(min(1e9, supply.per_s(self._device.per_s())), 3),
            busy=round(self._busy, 3),
            lag_s=round(self._lag.worst(now_s), 3),
            drop_share=round(supply.drop_share, 3),
            room=0 if self._room.short else max(0, self._slots.most - len(running) - coming),
            offers=tuple(offers[:MAX_OFFERS]),
        )
        self._metrics.tell_load(view)
        return view

    def _average(self, now_s: float) -> None:
        passed_s, counted = now_s - self._looked_s, self._metrics.latency_s.count
        busy_s = sum(device_s.so_far for device_s in self._device_s)
        if passed_s <= 0:
            return
        weight = 1.0 - math.exp(-passed_s / AVERAGED_S)
        self._samples_per_s += weight * ((counted - self._counted) / passed_s - self._samples_per_s)
        self._busy += weight * (min(1.0, (busy_s - self._busy_s) / passed_s) - self._busy)
        self._looked_s, self._counted, self._busy_s = now_s, counted, busy_s
