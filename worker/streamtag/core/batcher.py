"""Batches drawn across all running streams. Pure: every time is an argument.

One queue per stream, taken in turns. A batch leaves when the largest bucket is full, or when the sample that may wait
least can wait no longer; a live sample that grew stale is dropped before the device sees it, not after.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Item]):
    """One sample in a queue. Times are monotonic seconds."""

    stream: Hashable
    item: Item
    deadline_s: float  # dispatch no later than this where the device allows
    stale_s: float  # worthless after this; infinity for finite sources, which wait


@dataclass(frozen=True, slots=True)
class Batch(Generic[Item]):
    """Items that go to the device together, padded up to ``bucket``."""

    items: list[Item]
    bucket: int  # compiled batch size, at least len(items)


@dataclass(slots=True)
class Batcher(Generic[Item]):
    """One queue per stream, and the decision which samples go to the device next, and when.

    Args:
        buckets: compiled batch sizes, ascending.
        per_stream: samples of one stream in a batch while others wait.
        cost_s: measured seconds of one call of each bucket.
    """

    buckets: Sequence[int]
    per_stream: int
    cost_s: dict[int, float]
    waiting: int = 0
    _queues: dict[Hashable, deque[Waiting[Item]]] = field(default_factory=dict)

    def put(self, waiting: Waiting[Item]) -> None:
        self._queues.setdefault(waiting.stream, deque()).append(waiting)
        self.waiting += 1

    def forget(self, stream: Hashable) -> list[Item]:
        """Remove a stream and return what of it still waited."""
        queue = self._queues.pop(stream, deque())
        self.waiting -= len(queue)
        return [waiting.item for waiting in queue]

    def stale(self, now_s: float) -> list[Item]:
        """Remove and return the samples that are worthless by now. Queues are in order of time."""
        gone: list[Item] = []
        for stream in list(self._queues):
            queue = self._queues[stream]
            while queue and queue[0].stale_s <= now_s:
                gone.append(queue.popleft().item)
            if not queue:
                del self._queues[stream]
        self.waiting -= len(gone)
        return gone

    def due_s(self) -> float:
        """When the next batch should leave at the latest; infinity with nothing waiting."""
        if not self.waiting:
            return float("inf")
        if self.waiting >= self.buckets[-1]:
            return float("-inf")
        earliest_s = min(queue[0].deadline_s for queue in self._queues.values())
        return earliest_s - self.cost_s.get(self._bucket_for(self.waiting), 0.0)

    def take(self, now_s: float) -> Batch[Item] | None:
        """The next batch, or None while it pays to wait. Call only when the device is free."""
        if self.due_s() > now_s:
            return None
        bucket = self._bucket_for(self.waiting)
        items = self._draw(bucket)
        # The cap per stream may have left fewer than were waiting.
        return Batch(items, next(size for size in self.buckets if size >= len(items)))

    def _bucket_for(self, count: int) -> int:
        """The bucket that serves most samples a second: on a CPU a padded row costs as much as a real one.

        Without measurements: the smallest that holds them all.
        """
        fitting = next((size for size in self.buckets if size >= count), self.buckets[-1])
        candidates = [size for size in self.buckets if size <= fitting and size in self.cost_s]
        if not candidates:
            return fitting
        return max(candidates, key=lambda size: (min(size, count) / self.cost_s[size], size))

    def _draw(self, limit: int) -> list[Item]:
        """Take turns between the streams; those served go to the back of the line."""
        items: list[Item] = []
        cap = self.per_stream if len(self._queues) > 1 else limit
        for _round in range(cap):
            for stream in list(self._queues):
                if len(items) == limit:
                    break
                queue = self._queues[stream]
                items.append(queue.popleft().item)
                del self._queues[stream]
                if queue:
                    self._queues[stream] = queue
            if len(items) == limit or not self._queues:
                break
        self.waiting -= len(items)
        return items
