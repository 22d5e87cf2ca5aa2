"""The wall as a table: what looks at the fleet add up to, sorted and filtered. Pure: it is given what was looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from streamtag.core.lately import RateLately
from streamtag.core.records import JobStatus, StreamState
from streamtag.queue.fleet import FleetNow, ShownLabel, StreamNow

HISTORY = 20  # looks whose scores are shown
_BARS = "▁▂▃▄▅▆▇█"
_BAD = (StreamState.FAILED, StreamState.AUTH_FAILED, StreamState.RECONNECTING)
_DOUBTFUL = (StreamState.STALLED, StreamState.FROZEN, StreamState.BLACK)
_FAILED = (JobStatus.FAILED, JobStatus.UNREADABLE)


class Order(StrEnum):
    """What the lines are sorted by; of two that are alike the name decides."""

    STATE = "state"  # what is in trouble first
    NAME = "name"
    LABEL = "label"  # the surest label first
    RATE = "rate"
    LAG = "lag"
    AGE = "age"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Line:
    """A stream as it is shown.

    Attributes:
        state: of the stream while its job runs, else the job's status.
        concern: 0 what is in trouble, 1 what may be, 2 what is well, 3 what waits, 4 what failed, 5 what is over.
        scores: of the best label, look by look, the newest last.
        sampled_unix_s: when the last sample was captured; 0 before there is one.
    """

    stream: StreamNow
    state: str
    concern: int
    rate: float
    scores: tuple[float, ...]

    @property
    def name(self) -> str:
        return self.stream.view.stream or self.stream.view.job_id

    @property
    def told_state(self) -> str:
        """The state as people are told it."""
        return self.stream.view.told_state or self.state if self.is_running else self.state

    @property
    def active(self) -> tuple[ShownLabel, ...]:
        return tuple(label for label in self.stream.labels if label.active) if self.is_running else ()

    @property
    def is_running(self) -> bool:
        return self.stream.view.status is JobStatus.RUNNING

    @property
    def worker(self) -> str:
        return self.stream.view.worker if self.is_running else ""

    @property
    def sampled_unix_s(self) -> float:
        return self.stream.view.last_sample_unix_s if self.is_running else 0.0

    @property
    def best_score(self) -> float:
        return self.active[0].score if self.active else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For scripts."""
        view = self.stream.view
        return {
            "job_id": view.job_id,
            "stream": self.name,
            "state": self.state,
            "status": str(view.status),
            "active": [{"name": label.name, "score": round(label.score, 4)} for label in self.active],
            "samples_per_s": round(self.rate, 2),
            "lag_s": view.lag_s,
            "last_sample_unix_s": self.sampled_unix_s or None,
            "worker": self.worker,
            "reason": view.reason,
        }


@dataclass(slots=True)
class _Past:
    rate: RateLately = field(default_factory=RateLately)
    scores: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))


class TopTable:
    """Takes looks in, and gives lines."""

    def __init__(self) -> None:
        self._past: dict[str, _Past] = {}
        self._lines: list[Line] = []

    def see(self, fleet: FleetNow) -> None:
        """Take a look in."""
        self._past = {job_id: past for job_id, past in self._past.items() if job_id in fleet.streams}
        self._lines = [self._line(job_id, stream, fleet.at_unix_s) for job_id, stream in fleet.streams.items()]

    def lines(self, order: Order, turned: bool = False, words: str = "", over: bool = True) -> list[Line]:
        """The lines that hold all of the words.

        Args:
            turned: the other way round.
            words: each is looked for in name, id, state, labels and worker, in any case of letters.
            over: also of jobs that are over, well or not.
        """
        wanted = words.casefold().split()
        found = [line for line in self._lines if (over or line.concern < 4) and _holds(line, wanted)]
        found.sort(key=lambda line: (line.name, line.stream.view.job_id))
        found.sort(key=_KEYS[order], reverse=turned)
        return found

    def _line(self, job_id: str, stream: StreamNow, now_unix_s: float) -> Line:
        view = stream.view
        past = self._past.setdefault(job_id, _Past())
        rate = past.rate.see(view.counters.published, now_unix_s)
        running = view.status is JobStatus.RUNNING
        if running:
            past.scores.append(max((label.score for label in stream.labels), default=0.0))
        return Line(
            stream=stream,
            state=(view.state or "starting") if running else str(view.status),
            concern=_concern(stream),
            rate=rate if running else 0.0,
            scores=tuple(past.scores) if running else (),
        )


def _concern(stream: StreamNow) -> int:
    view = stream.view
    if view.status is JobStatus.RUNNING:
        return 0 if view.state in _BAD else 1 if view.state in _DOUBTFUL else 2
    if view.status is JobStatus.QUEUED:
        return 3
    return 4 if view.status in _FAILED else 5


def _holds(line: Line, words: Sequence[str]) -> bool:
    if not words:
        return True
    labels = " ".join(label.name for label in line.active)
    text = f"{line.name} {line.stream.view.job_id} {line.told_state} {line.worker} {labels}".casefold()
    return all(word in text for word in words)


_KEYS: dict[Order, Any] = {
    Order.STATE: lambda line: (line.concern, line.state),
    Order.NAME: lambda line: line.name,
    Order.LABEL: lambda line: -line.best_score,
    Order.RATE: lambda line: -line.rate,
    Order.LAG: lambda line: -(line.stream.view.lag_s or 0.0),
    # The oldest last sample first; what has none, last.
    Order.AGE: lambda line: line.sampled_unix_s or float("inf"),
    Order.WORKER: lambda line: (not line.worker, line.worker),
}


def sparkline(values: Iterable[float]) -> str:
    """Values from 0 to 1 as bars."""
    return "".join(_BARS[min(len(_BARS) - 1, int(max(0.0, value) * len(_BARS)))] for value in values)


def fleet_figures(fleet: FleetNow) -> dict[str, Any]:
    """The fleet as a whole, for scripts and for the line above the table."""
    serving = [worker for worker in fleet.workers if not worker.draining]
    queued = fleet.queued
    sampled = sum(stream.view.counters.sampled for stream in fleet.streams.values())
    dropped = sum(sum(stream.view.counters.dropped.values()) for stream in fleet.streams.values())
    return {
        "workers": len(fleet.workers),
        "leaving": len(fleet.workers) - len(serving),
        "running": sum(worker.running for worker in fleet.workers),
        "slots": sum(worker.slots for worker in serving),
        "samples_per_s": round(sum(worker.samples_per_s for worker in fleet.workers), 1),
        "supply": round(sum(worker.supply for worker in serving), 1),
        "busy": round(max((worker.busy for worker in fleet.workers), default=0.0), 3),
        "queued": len(queued),
        "oldest_waiting_s": round(max(0.0, fleet.at_unix_s - queued[0].submitted_unix_s), 1) if queued else 0.0,
        "dropped_share": round(dropped / sampled, 4) if sampled else 0.0,
        "redis_memory_share": None if fleet.memory.share is None else round(fleet.memory.share, 3),
        "left_out": fleet.left_out,
    }
