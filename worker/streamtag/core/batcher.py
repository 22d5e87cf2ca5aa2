"""Batches drawn across all running streams. Pure: every time is an argument.

One queue per stream, taken in turns, the stream first that was served longest ago. A batch leaves when the largest
bucket is full, or when the sample that may wait least can wait no longer. Finite streams wait in line. Of live ones
the freshest wins: beyond what one batch can take, a new sample drives out an older one, of its own stream or of the
one that has most; and what grew stale is dropped before the device sees it, not after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

COST_SHARE = 0.2  # of each new measurement in what is known of a bucket's cost
LEAST_COST_S = 1e-6  # a clock may be too coarse to see what a call took
TRY_AFTER = 32  # batches after which a larger bucket that would be full is tried again, whatever it is said to cost
SERVED_LIMIT = 256  # streams whose last turn is remembered; of the others it is longer ago


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Item]):
    """One sample in a queue. Times are monotonic seconds."""

    stream: Hashable
    item: Item
    deadline_s: float  # dispatch no later than this where the device allows
    stale_s: float  # of a live sample: worthless after this, and the time of one batch; infinity for finite sources

    @property
    def live(self) -> bool:
        return self.stale_s != float("inf")


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item]):
    """Items that go to the device together, padded up to ``bucket``; those of one stream are in order of time."""

    items: list[Item]
    bucket: int  # compiled batch size, at least len(items)
    superseded: list[Item]  # older ones of live streams, for which there was no room: their turn will not come


class Batcher(Generic[Item]):
    """One queue per stream, and the decision which samples go to the device next, and when.

    Args:
        buckets: compiled batch sizes, ascending.
        per_stream: samples of one stream in a batch while others wait and fill it.
        cost_s: measured seconds of one call of each bucket.
        per_live_stream: samples of one live stream that may wait: fewer than its decoder has slots, or the newest would
            find none.
    """

    def __init__(
        self, buckets: Sequence[int], per_stream: int, cost_s: dict[int, float], per_live_stream: int = 10
    ) -> None:
        self.waiting = 0
        self._buckets = buckets
        self._per_stream = per_stream
        self._per_live_stream = per_live_stream
        self._cost_s = cost_s
        self._idle = dict.fromkeys(buckets, TRY_AFTER)  # batches since each bucket was last measured
        self._queues: dict[Hashable, deque[Waiting[Item]]] = {}
        self._live_waiting = 0
        self._served: dict[Hashable, None] = {}  # streams in the order of their last turn

    def put(self, waiting: Waiting[Item]) -> list[Item]:
        """Take a sample in, and return those that it drives out."""
        queue = self._queues.setdefault(waiting.stream, deque())
        queue.append(waiting)
        self.waiting += 1
        if not waiting.live:
            return []
        self._live_waiting += 1
        if len(queue) > self._per_live_stream:
            return self._pop(queue, 1)
        if self._live_waiting > self._buckets[-1]:
            longest = max((queue for queue in self._queues.values() if queue[0].live), key=len)
            return self._pop(longest, 1) if len(longest) > 1 else []
        return []

    def forget(self, stream: Hashable) -> list[Item]:
        """Remove a stream and return what of it still waited."""
        queue = self._queues.pop(stream, deque())
        return self._pop(queue, len(queue))

    def stale(self, now_s: float) -> list[Item]:
        """Remove and return the samples that are worthless by now. Queues are in order of time."""
        gone: list[Item] = []
        if not self._live_waiting:
            return gone
        patience_s = self._cost_s.get(self._buckets[-1], 0.0)  # a device that is busy for so long is nobody's fault
        for stream, queue in list(self._queues.items()):
            while queue and queue[0].stale_s + patience_s <= now_s:
                gone += self._pop(queue, 1)
            if not queue:
                del self._queues[stream]
        return gone

    def measured(self, bucket: int, seconds: float) -> None:
        """One call of a bucket took so long: what it costs changes with what else the machine does."""
        seconds = max(seconds, LEAST_COST_S)
        known_s = self._cost_s.get(bucket, seconds)
        if self._idle[bucket] >= TRY_AFTER:
            known_s = seconds  # what was known is from another time
        self._cost_s[bucket] = known_s + COST_SHARE * (seconds - known_s)
        for other in self._idle:
            self._idle[other] += 1
        self._idle[bucket] = 0

    def per_s(self) -> float:
        """Samples a second that the device can take, by what its buckets cost; 0 while that is not known."""
        return max((bucket / max(cost_s, 1e-6) for bucket, cost_s in self._cost_s.items()), default=0.0)

    def due_s(self) -> float:
        """When the next batch should leave at the latest; infinity with nothing waiting."""
        if not self.waiting:
            return float("inf")
        if self.waiting >= self._buckets[-1]:
            return float("-inf")
        earliest_s = min(queue[0].deadline_s for queue in self._queues.values())
        return earliest_s - self._cost_s.get(self._bucket_for(self.waiting), 0.0)

    def take(self, now_s: float) -> Batch[Item] | None:
        """The next batch, or None while it pays to wait. Call only when the device is free."""
        if self.due_s() > now_s:
            return None
        return self._draw(self._bucket_for(self.waiting))

    def _smallest_for(self, count: int) -> int:
        return next((size for size in self._buckets if size >= count), self._buckets[-1])

    def _bucket_for(self, count: int) -> int:
        """The bucket that serves most samples a second: on a CPU a padded row costs as much as a real one.

        Without measurements: the smallest that holds them all.
        """
        fitting = self._smallest_for(count)
        candidates = [size for size in self._buckets if size <= fitting and size in self._cost_s]
        if not candidates:
            return fitting
        best = max(candidates, key=lambda size: (min(size, count) / self._cost_s[size], size))
        # A measurement that was disturbed, as at the start, would keep a bucket from ever being measured again.
        doubted = [size for size in candidates if best < size <= count and self._idle[size] >= TRY_AFTER]
        return doubted[-1] if doubted else best

    def _draw(self, limit: int) -> Batch[Item]:
        items: list[Item] = []
        superseded: list[Item] = []
        for stream, share in self._shares(limit).items():
            queue = self._queues[stream]
            if queue[0].live:
                superseded += self._pop(queue, len(queue) - share)
            items += self._pop(queue, share)
            if not queue:
                del self._queues[stream]
            self._served.pop(stream, None)
            self._served[stream] = None
            if len(self._served) > SERVED_LIMIT:
                del self._served[next(iter(self._served))]
        return Batch(items, self._smallest_for(len(items)), superseded)

    def _shares(self, limit: int) -> dict[Hashable, int]:
        """How many samples of each stream go into the next batch: in turns, up to the cap, and beyond it only into what
        would be padding."""
        line = [stream for stream in self._queues if stream not in self._served]
        line += [stream for stream in self._served if stream in self._queues]
        if len(line) >= limit:
            return dict.fromkeys(line[:limit], 1)  # each has one at least, so the first turn fills the batch
        shares = dict.fromkeys(line, 0)
        total = self._deal(shares, limit, self._per_stream if len(line) > 1 else limit)
        self._deal(shares, min(limit, self._smallest_for(total)) - total, limit)
        return {stream: share for stream, share in shares.items() if share}

    def _deal(self, shares: dict[Hashable, int], room: int, cap: int) -> int:
        """Add to the shares, one by one in turns, and return how many were added."""
        dealt = 0
        open_to = list(shares)
        while open_to and dealt < room:
            open_to = [stream for stream in open_to if shares[stream] < min(cap, len(self._queues[stream]))]
            for stream in open_to[: room - dealt]:
                shares[stream] += 1
                dealt += 1
        return dealt

    def _pop(self, queue: deque[Waiting[Item]], count: int) -> list[Item]:
        """Take the oldest of a queue."""
        popped = [queue.popleft() for _ in range(count)]
        self.waiting -= count
        if popped and popped[0].live:
            self._live_waiting -= count
        return [waiting.item for waiting in popped]
