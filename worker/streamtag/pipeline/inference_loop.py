"""The inference thread: draws batches from the batcher, keeps the device busy, hands scores on."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from streamtag.core.batcher import Batch, Batcher, Waiting
from streamtag.core.bundle import Bundle
from streamtag.metrics import Metrics
from streamtag.networks.engines.base import Engine, Pending, apply_temperature
from streamtag.pipeline.run import Classified, Item, Mailbox, Run, Unclassified
from streamtag.settings import BatchingSettings

IDLE_S = 0.2


@dataclass(frozen=True, slots=True)
class _Flight:
    """A batch on the device."""

    items: list[Item]
    pending: Pending
    began_s: float


class Inferring:
    """The inference thread: batches samples of all streams and gives each its scores."""

    def __init__(
        self,
        engine: Engine,
        bundle: Bundle,
        settings: BatchingSettings,
        cost_s: dict[int, float],
        mailbox: Mailbox,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._bundle = bundle
        self._settings = settings
        self._mailbox = mailbox
        self._metrics = metrics
        self._batcher: Batcher[Item] = Batcher(engine.buckets, settings.per_stream, dict(cost_s))
        self._changed = threading.Condition()
        self._flights: deque[_Flight] = deque()
        # One more than may be in flight: the next is filled while they run.
        shape = (engine.in_flight + 1, engine.buckets[-1], *bundle.preprocessing.shape)
        self._buffers = np.zeros(shape, np.uint8)
        self._next_buffer = 0

    def put(self, item: Item) -> None:
        """Queue a sample. Called by intake."""
        now_s, live = time.monotonic(), item.run.live
        delay_s = self._settings.live_delay_s if live else self._settings.finite_delay_s
        stale_s = now_s + self._settings.staleness_s if live else math.inf
        with self._changed:
            self._batcher.put(Waiting(item.run.job_id, item, now_s + delay_s, stale_s))
            if self._batcher.waiting == 1 or self._batcher.due_s() <= now_s:
                self._changed.notify()

    def forget(self, run: Run) -> None:
        """Take what still waits of a job that is no longer ours out of the queue."""
        with self._changed:
            for item in self._batcher.forget(run.job_id):
                item.session.release(item.sample.slot)

    def turn(self, stopping: threading.Event) -> None:
        """Dispatch one batch, or finish one, or wait a little for samples."""
        batch = self._draw()
        if batch is not None:
            self._dispatch(batch)
        if self._flights and (batch is None or len(self._flights) >= self._engine.in_flight):
            self._land(self._flights.popleft(), stopping)

    def _draw(self) -> Batch[Item] | None:
        with self._changed:
            stale = self._batcher.stale(time.monotonic())
            batch = self._batcher.take(time.monotonic())
            if batch is None and not self._flights and not stale:
                self._changed.wait(max(0.0, min(IDLE_S, self._batcher.due_s() - time.monotonic())))
                batch = self._batcher.take(time.monotonic())
        if stale:
            self._metrics.samples.inc(len(stale))
        for item in stale:
            item.session.release(item.sample.slot)
            self._mailbox.put(Unclassified(item.run, item.sample, "dropped", "stale"))
        return batch

    def _dispatch(self, batch: Batch[Item]) -> None:
        buffer = self._buffers[self._next_buffer]
        self._next_buffer = (self._next_buffer + 1) % len(self._buffers)
        for row, item in enumerate(batch.items):
            # As bytes, which keeps the interpreter's lock: numpy would give it up and fight for it again each time.
            buffer[row].data.cast("B")[:] = item.session.picture(item.sample.slot).data.cast("B")
            item.session.release(item.sample.slot)
        self._metrics.samples.inc(len(batch.items))
        self._metrics.decode_s.observe([item.decode_s for item in batch.items])
        self._metrics.batch_size.observe(len(batch.items))
        oldest_unix_s = min(item.sample.captured_unix_s for item in batch.items)
        self._metrics.queue_s.observe(max(0.0, time.time() - oldest_unix_s))
        began_s = time.monotonic()
        self._flights.append(_Flight(batch.items, self._engine.dispatch(buffer[: batch.bucket]), began_s))

    def _land(self, flight: _Flight, stopping: threading.Event) -> None:
        scores = flight.pending.result()[: len(flight.items)]
        self._metrics.inference_s.observe(time.monotonic() - flight.began_s)
        scores = apply_temperature(scores, self._bundle.temperature)
        self._mailbox.put_batch(Classified(flight.items, scores), stopping)
