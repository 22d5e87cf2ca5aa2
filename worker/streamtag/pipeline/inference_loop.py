"""The inference thread: draws batches from the batcher, keeps the device busy, hands scores on."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from streamtag.collectors import SOURCES
from streamtag.core.batcher import Batch, Batcher, Waiting
from streamtag.core.boundary import JobBoundary
from streamtag.core.options import BatchingSettings
from streamtag.core.records import DropReason
from streamtag.ingest.stream import Unclassified
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.networks.engines.base import Pending, calibrated
from streamtag.networks.loading import LoadedNetwork
from streamtag.pipeline.picture_box import PictureBox
from streamtag.pipeline.run import Classified, Mailbox, PendingSample, Reused, Run, RunNews

IDLE_S = 1.0  # at most: a sample wakes the thread, and so does its end
HELD_UP_S = 0.01


@dataclass(frozen=True, slots=True)
class _Flight:
    """A batch on the device."""

    items: list[PendingSample]
    pictures: np.ndarray  # (bucket, H, W, 3) uint8 RGB, good until it has landed
    pending: Pending
    began_s: float


class InferenceLoop:
    """Keeps the device busy with what intake puts in.

    Args:
        slots: of each decoder. As many samples of a live stream may wait, less two: the next must find a free one.
        box: gets the pictures that are worth one for people.
    """

    def __init__(
        self,
        network: LoadedNetwork,
        settings: BatchingSettings,
        mailbox: Mailbox,
        metrics: Metrics,
        slots: int,
        box: PictureBox,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        engine = self._engine = network.engine
        self._bundle = network.bundle
        self._settings = settings
        self._mailbox = mailbox
        self._box = box
        self._metrics = metrics
        self._samples = {source: metrics.samples.labels(source) for source in SOURCES}
        self._busy_s = {source: metrics.busy_s.labels(source) for source in SOURCES}
        self._now_s = now_s
        self._batcher: Batcher[PendingSample] = Batcher(
            engine.buckets, settings.per_stream, dict(network.warm_up.batch_s), max(1, slots - 2)
        )
        self._free_s = 0.0  # when the device had done with the last batch
        self._held_up_s = 0.0  # when the commits last let us go on: what was on the device then is not measured
        self._changed = threading.Condition()
        self._flights: deque[_Flight] = deque()
        # One more than may be in flight: the next is filled while they run.
        shape = (engine.in_flight + 1, engine.buckets[-1], *network.bundle.preprocessing.shape)
        self._buffers = np.zeros(shape, np.uint8)
        # As bytes: a copy keeps the interpreter's lock then, where numpy would give it up and fight for it each time.
        self._rows = [[row.data.cast("B") for row in buffer] for buffer in self._buffers]
        self._next_buffer = 0
        self._arrived: list[tuple[PendingSample, bool]] = []  # the intake thread's: taken, and not queued yet
        self._passed_by = False  # likewise: some were told of that the device need not see
        # By run and number, samples that are to be classified, and those that will take their scores.
        self._followers: dict[tuple[Run, int], list[PendingSample]] = {}

    def put(self, item: PendingSample, gathered: bool = False) -> None:
        """Take a sample, unless it shows what an earlier one does. Called by intake, which then says ``go_on``.

        Args:
            gathered: it has waited for company already.
        """
        if item.run.gates:
            thumbnail = item.session.thumbnail(item.sample.slot)
            if self._passes_by(item, thumbnail):
                return
            item = replace(item, sample=replace(item.sample, thumbnail=thumbnail))
        self._arrived.append((item, gathered))
        if not gathered and len(self._arrived) >= self._engine.buckets[-1]:
            self.go_on()  # the device need not wait for the rest of what came

    def go_on(self) -> None:
        """Queue all that was put: a lock and a look at the clock for each cost more than all else. Called by intake."""
        arrived, self._arrived = self._arrived, []
        passed_by, self._passed_by = self._passed_by, False
        if not arrived:
            if passed_by:
                self._tell_all_here()
            return
        now_s = self._now_s()
        superseded: list[PendingSample] = []
        with self._changed:
            for item, gathered in arrived:
                superseded += self._batcher.put(self._waiting(item, gathered, now_s))
            if self._batcher.waiting <= len(arrived) or self._batcher.due_s() <= now_s:
                self._changed.notify()
        self._drop(superseded, "superseded")

    def _waiting(self, item: PendingSample, gathered: bool, now_s: float) -> Waiting[PendingSample]:
        stream = (item.run.job_id, item.sample.region)
        if not item.run.live:
            return Waiting(stream, item, now_s + self._settings.finite_delay_s, math.inf)
        delay_s = 0.0 if gathered else self._settings.live_delay_s
        return Waiting(stream, item, now_s + delay_s, now_s + self._settings.staleness_s)

    def wake(self) -> None:
        """Let a turn end that waits for samples. Any thread may call it."""
        with self._changed:
            self._changed.notify()

    def per_s(self) -> float:
        """Samples a second that the device can take. Any thread may ask."""
        with self._changed:
            return self._batcher.per_s()

    def forget(self, run: Run) -> None:
        """Take what still waits of a job that is no longer ours out of the queue."""
        with self._changed:
            for region in range(len(run.track.regions)):
                for item in self._batcher.forget((run.job_id, region)):
                    item.session.release(item.sample.slot)
            for other, number in list(self._followers):
                if other is run:
                    del self._followers[run, number]

    def run_once(self, stopping: threading.Event) -> None:
        """Dispatch one batch, or finish one, or wait a little for samples."""
        batch = self._draw()
        if batch is not None:
            self._dispatch(batch)
        if self._flights and (batch is None or len(self._flights) >= self._engine.in_flight):
            self._land(self._flights.popleft(), stopping)

    def _draw(self) -> Batch[PendingSample] | None:
        with self._changed:
            stale = self._batcher.stale(self._now_s())
            batch = self._batcher.take(self._now_s())
            if batch is None and not self._flights and not stale:
                self._changed.wait(max(0.0, min(IDLE_S, self._batcher.due_s() - self._now_s())))
                batch = self._batcher.take(self._now_s())
        self._drop(stale, "stale")
        if batch is not None:
            self._drop(batch.superseded, "superseded")
        return batch

    def _dispatch(self, batch: Batch[PendingSample]) -> None:
        buffer, rows = self._buffers[self._next_buffer], self._rows[self._next_buffer]
        self._next_buffer = (self._next_buffer + 1) % len(self._buffers)
        items: list[PendingSample] = []
        # The regions of a stream wait in queues of their own, but their results come in the order of their numbers.
        for item in sorted(batch.items, key=lambda item: item.sample.sampled):
            with JobBoundary(partial(self._failed, item)):
                rows[len(items)][:] = item.session.picture(item.sample.slot).data.cast("B")
                item.session.release(item.sample.slot)
                items.append(item)
        if not items:
            return
        self._count(batch.items)
        self._metrics.decode_s.observe([item.decode_s for item in items])
        self._metrics.batch_size.observe(len(items))
        if batch.bucket > len(items):
            self._metrics.padding.inc(batch.bucket - len(items))
        oldest_unix_s = min(item.sample.captured_unix_s for item in items)
        self._metrics.queue_s.observe(max(0.0, time.time() - oldest_unix_s))
        began_s = self._now_s()
        pictures = buffer[: batch.bucket]
        self._flights.append(_Flight(items, pictures, self._engine.dispatch(pictures), began_s))

    def _land(self, flight: _Flight, stopping: threading.Event) -> None:
        items, scores = flight.items, flight.pending.result()[: len(flight.items)]
        now_s = self._now_s()
        self._metrics.inference_s.observe(now_s - flight.began_s)
        # Two in flight run one after the other: the second begins when the first has ended.
        busy_s = now_s - max(flight.began_s, self._free_s)
        live = sum(item.run.live for item in items) / len(items)
        if live > 0.0:
            self._busy_s["live"].inc(busy_s * live)
        if live < 1.0:
            self._busy_s["finite"].inc(busy_s * (1.0 - live))
        if flight.began_s >= self._held_up_s:
            with self._changed:
                self._batcher.measured(len(flight.pictures), busy_s)
        self._free_s = now_s
        self._box.offer(items, flight.pictures, scores)
        scores = calibrated(scores, self._bundle)
        # Probabilities of one sample are all numbers or none is, so one of each will do: with more than 500 numbers
        # numpy would give up the interpreter's lock, and getting that back costs more than all the rest.
        if not math.isfinite(float(scores[:, 0].sum())):
            items, scores = self._finite(items, scores)
        if items:
            self._mailbox.put_batch(Classified(items, scores), stopping)
            for item in items:
                for follower in self._followers_of(item) if item.run.gates else ():
                    self._mailbox.put(RunNews(item.run, Reused(follower.sample, item.sample.sampled), time.time()))
        self._tell_all_here()
        if (after_s := self._now_s()) - now_s > HELD_UP_S:
            self._held_up_s = after_s

    def _tell_all_here(self) -> None:
        with self._changed:
            on_its_way = self._flights or self._batcher.waiting
        if not on_its_way:
            self._mailbox.all_here()

    def _finite(self, items: list[PendingSample], scores: np.ndarray) -> tuple[list[PendingSample], np.ndarray]:
        """Without the samples for which the network gave no numbers: their streams go on without them."""
        finite = np.isfinite(scores).all(axis=1)
        for item, fine in zip(items, finite, strict=True):
            if not fine:
                detail = "the network's scores of it are not finite"
                self._leave_out(item, Unclassified(item.sample, False, "not_finite", detail))
        return [item for item, fine in zip(items, finite, strict=True) if fine], scores[finite]

    def _failed(self, item: PendingSample, error: Exception) -> None:
        log.error("sample failed within the worker", **item.run.named, exc_info=error)
        self._leave_out(item, Unclassified(item.sample, False, "internal", f"{type(error).__name__}: {error}"))

    def _drop(self, gone: list[PendingSample], reason: DropReason) -> None:
        """Live samples that will not be classified: their slots are free, and their account hears of it."""
        if gone:
            self._count(gone)
        for item in gone:
            item.session.release(item.sample.slot)
            self._leave_out(item, Unclassified(item.sample, True, reason))

    def _count(self, items: list[PendingSample]) -> None:
        live = sum(item.run.live for item in items)
        if live:
            self._samples["live"].inc(live)
        if live < len(items):
            self._samples["finite"].inc(len(items) - live)

    def _leave_out(self, item: PendingSample, event: Unclassified) -> None:
        self._mailbox.put(RunNews(item.run, event, time.time()))
        with self._changed:
            followers = self._followers_of(item)
            if item.sample.thumbnail:
                item.run.gates[item.sample.region].lost(item.sample.sampled)
        for follower in followers:
            self._mailbox.put(RunNews(item.run, replace(event, sample=follower.sample), time.time()))

    def _passes_by(self, item: PendingSample, thumbnail: bytes) -> bool:
        """Whether a sample takes the scores of an earlier one: at once, or when that comes back from the device."""
        run, sample = item.run, item.sample
        with self._changed:
            number = run.gates[sample.region].look(sample.sampled, sample.pts_s, thumbnail)
            if number is None:
                self._followers[run, sample.sampled] = []
                return False
            waiting = self._followers.get((run, number))
            if waiting is not None:
                waiting.append(item)
        item.session.release(sample.slot)
        self._metrics.samples.labels(run.kind).inc()
        self._metrics.decode_s.observe([item.decode_s])
        if waiting is None:
            self._passed_by = True
            self._mailbox.put(RunNews(run, Reused(sample, number), time.time()))
        return True

    def _followers_of(self, item: PendingSample) -> list[PendingSample]:
        """Those that wait for what becomes of a sample, which is known by now."""
        with self._changed:
            return self._followers.pop((item.run, item.sample.sampled), [])
