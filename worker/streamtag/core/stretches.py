"""Stretches of time in which the same labels are active, from the results of a job. Pure, and one result at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streamtag.core.job import MAX_REGIONS
from streamtag.core.pace import Pace
from streamtag.core.records import Result
from streamtag.errors import StreamtagError

FIRST_STEP_S = 1.0  # how long a sample stands for where no other tells


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of presentation time with what was active all through it."""

    start_s: float
    end_s: float
    active: tuple[str, ...]  # never none; with several regions ``region: label``


def stretches(results: Iterable[Result], gap_s: float, step_s: float | None = None) -> Iterator[Stretch]:
    """The stretches of a job, in order, none overlapping another.

    A sample stands for the time until the next one. Where none follows, or a gap, or time begins anew, it stands for as
    long as the one before it did: so what is active at the end closes there.

    Args:
        results: of one job, in order; those of several regions of one frame follow each other.
        gap_s: seconds without a sample after which nothing is known; more of a stream of slow pace.
        step_s: between two samples, as they were asked for; None where the frames of the stream decided.

    Raises:
        StreamtagError: the results are of more regions than a job may have.
    """
    told = _Told(gap_s, step_s)
    for result in results:
        yield from told.take(result)
    yield from told.close()


class _Told:
    """What is active so far, and since when."""

    def __init__(self, gap_s: float, step_s: float | None) -> None:
        self._pace = Pace(gap_s, step_s)
        self._now_s: float | None = None  # of the last sample
        self._step_s = min(FIRST_STEP_S, gap_s)
        self._by_region: dict[str, tuple[str, ...]] = {}
        self._since_s = 0.0
        self._active: tuple[str, ...] = ()  # as told since then

    def take(self, result: Result) -> Iterator[Stretch]:
        """Hear one sample. Those of one frame count together, once a later one comes."""
        now_s = result.pts_s
        if self._now_s is not None and now_s != self._now_s:
            yield from self._settle()
            passed_s = now_s - self._now_s
            if self._pace.breaks(passed_s) or passed_s < 0:
                yield from self._end()
            else:
                self._step_s = passed_s
        self._now_s = now_s
        self._by_region[result.region] = result.active
        if len(self._by_region) > MAX_REGIONS:
            raise StreamtagError(f"results of more than {MAX_REGIONS} regions: no worker writes that")

    def close(self) -> Iterator[Stretch]:
        """There are no more."""
        if self._now_s is not None:
            yield from self._settle()
            yield from self._end()

    def _settle(self) -> Iterator[Stretch]:
        """The frame at hand is whole: has what is active changed with it?"""
        assert self._now_s is not None
        active = tuple(
            dict.fromkeys(
                f"{region}: {name}" if region else name for region, names in self._by_region.items() for name in names
            )
        )
        if set(active) == set(self._active):
            return  # best first, so the order alone may differ
        if self._active and self._now_s > self._since_s:
            yield Stretch(self._since_s, self._now_s, self._active)
        self._active, self._since_s = active, self._now_s

    def _end(self) -> Iterator[Stretch]:
        assert self._now_s is not None
        if self._active:
            yield Stretch(self._since_s, self._now_s + self._step_s, self._active)
        self._active, self._by_region = (), {}
