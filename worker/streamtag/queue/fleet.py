"""The whole fleet at one look, for those who look again and again: jobs, their newest labels, workers, memory.

What a look costs does not depend on how many watch. The names of jobs and workers are found by SCAN, which goes
through every key of the server, so seldom: as often as it is cheap, and at least every ``SLOWEST_SCAN_S``. In between,
jobs that events tell of are looked at. Of a job's hash the fields that people see are read, without the smoother's
state, which is most of it; of its results the newest, when there is one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from redis.exceptions import ResponseError

from streamtag.core.records import JobStatus, JobView, WorkerView
from streamtag.queue.connection import Connection, text
from streamtag.queue.heartbeats import MAX_WORKERS, read_heartbeat
from streamtag.queue.job_hash import Unreadable, read_view, unreadable_view
from streamtag.queue.memory import RedisMemory, read_memory
from streamtag.queue.seen import Seen, read_seen
from streamtag.redaction import redact

MOST_JOBS: Final = 5000  # that are looked at; of more, those that were submitted last
BATCH: Final = 100  # commands in one round trip: Redis does nothing else meanwhile
RESTING: Final = 200  # jobs that do not run, of which as many are looked at again each time
SCAN_SHARE: Final = 0.05  # of the time that may go into SCAN
FASTEST_SCAN_S: Final = 1.0
SLOWEST_SCAN_S: Final = 30.0
MEMORY_S: Final = 5.0

_FIELDS: Final = (
    *("status", "state", "reason", "owner", "progress", "deliveries", "crashes", "counters", "last_captured", "lag"),
    *("active", "submitted", "started", "updated", "finished", "last_id", "thumb", "shown"),
)
_NAMES: Final = tuple(name.encode() for name in _FIELDS)
_LABELS_OF_CLASS: Final = 3  # shown of a sample, where they are not active
_LABELS_ACTIVE: Final = 8


@dataclass(frozen=True, slots=True)
class ShownLabel:
    """A label of a stream's newest sample, or of the newest of one of its regions."""

    name: str  # region:name where the job names regions
    score: float  # smoothed
    active: bool


@dataclass(frozen=True, slots=True)
class StreamNow:
    """A job and what it shows at the moment."""

    view: JobView
    labels: tuple[ShownLabel, ...] = ()  # active ones first, then best first
    thumb: str = ""  # changes when there is a newer picture; empty where there is none
    last_id: str = "0-0"


@dataclass(frozen=True, slots=True)
class FleetNow:
    """One look at a queue."""

    at_unix_s: float
    streams: dict[str, StreamNow]  # by the job's id
    workers: tuple[WorkerView, ...]
    memory: RedisMemory
    left_out: int  # jobs beyond those that are looked at

    @property
    def queued(self) -> list[JobView]:
        """Jobs that wait for a worker, the oldest first."""
        waiting = [stream.view for stream in self.streams.values() if stream.view.status is JobStatus.QUEUED]
        return sorted(waiting, key=lambda view: view.submitted_unix_s)


class FleetReader:
    """Looks at one queue over a connection of its own. For one thread.

    Args:
        most_jobs: that are looked at.
        now_s: a clock that is never set.
    """

    def __init__(
        self, connection: Connection, most_jobs: int = MOST_JOBS, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._most_jobs = most_jobs
        self._now_s = now_s
        self._streams: dict[str, StreamNow] = {}
        self._resting_from = 0
        self._anew: set[str] = set()  # of which another job has the id by now
        self._worker_keys: list[str] = []
        self._left_out = 0
        self._next_scan_s = float("-inf")
        self._next_memory_s = float("-inf")
        self._memory = RedisMemory(0, 0, False)

    def read(self, told_of: Iterable[str] = ()) -> FleetNow:
        """Look at everything that may have changed.

        Args:
            told_of: jobs that events tell of since the last look: they are looked at, known or not.

        Raises:
            QueueUnavailable: Redis does not tell.
        """
        began_s = self._now_s()
        if began_s >= self._next_scan_s:
            self._find()
            took_s = self._now_s() - began_s
            self._next_scan_s = began_s + min(SLOWEST_SCAN_S, max(FASTEST_SCAN_S, took_s / SCAN_SHARE))
        if began_s >= self._next_memory_s:
            self._memory = read_memory(self._connection)
            self._next_memory_s = began_s + MEMORY_S
        self._look_at(self._due(told_of))
        return FleetNow(time.time(), dict(self._streams), self._workers(), self._memory, self._left_out)

    def _find(self) -> None:
        prefix = self._connection.keys.job("")
        found: dict[str, None] = {}
        for names in self._connection.scan(prefix):
            found.update((name.removeprefix(prefix), None) for name in names)
        self._streams = {job_id: stream for job_id, stream in self._streams.items() if job_id in found}
        self._look_at(islice((job_id for job_id in found if job_id not in self._streams), 2 * self._most_jobs))
        self._left_out = max(0, len(found) - self._most_jobs)
        if len(self._streams) > self._most_jobs:
            newest = sorted(self._streams.items(), key=_rank)[: self._most_jobs]
            self._streams = dict(newest)
        keys = self._connection.keys.worker("")
        self._worker_keys = [name for names in self._connection.scan(keys) for name in names][:MAX_WORKERS]

    def _due(self, told_of: Iterable[str]) -> list[str]:
        """Jobs that run, those that events tell of, and some of the others in turn."""
        due = dict.fromkeys(islice(told_of, self._most_jobs))
        resting = []
        for job_id, stream in self._streams.items():
            if stream.view.status is JobStatus.RUNNING:
                due[job_id] = None
            else:
                resting.append(job_id)
        begin = self._resting_from if self._resting_from < len(resting) else 0
        due.update(dict.fromkeys(resting[begin : begin + RESTING]))
        self._resting_from = begin + RESTING
        return list(due)

    def _look_at(self, job_ids: Iterable[str]) -> None:
        keys = self._connection.keys
        for batch in _batches(job_ids):
            # What is shown of the source never changes, so it is read and made fit to be seen once.
            known = {job_id for job_id in batch if job_id in self._streams and job_id not in self._anew}
            commands = [("HMGET", keys.job(job_id), *_FIELDS[: -1 if job_id in known else None]) for job_id in batch]
            answers = self._connection.ask_each(f"HMGET {keys.job('')}*", commands)
            fresh = []
            for job_id, answer in zip(batch, answers, strict=True):
                before = self._streams.get(job_id)
                stream = _read_stream(job_id, answer, before if job_id in known else None)
                self._anew.discard(job_id)
                if stream is None:
                    self._streams.pop(job_id, None)
                    continue
                self._streams[job_id] = stream
                if before is not None and stream.view.submitted_unix_s != before.view.submitted_unix_s:
                    self._anew.add(job_id)
                if stream.last_id != (before.last_id if before else "0-0"):
                    fresh.append(stream)
            self._label(fresh)

    def _label(self, streams: Sequence[StreamNow]) -> None:
        """Give streams the labels of their newest results."""
        keys = self._connection.keys
        commands = [
            ("XREVRANGE", keys.results(stream.view.job_id), "+", "-", "COUNT", stream.view.counters.regions)
            for stream in streams
        ]
        if not commands:
            return
        answers = self._connection.ask_each(f"XREVRANGE {keys.results('')}*", commands)
        for stream, answer in zip(streams, answers, strict=True):
            if not isinstance(answer, ResponseError):
                self._streams[stream.view.job_id] = replace(stream, labels=_labels(answer))

    def _workers(self) -> tuple[WorkerView, ...]:
        if not self._worker_keys:
            return ()
        (answer,) = self._connection.ask_each("MGET", [("MGET", *self._worker_keys)])
        if isinstance(answer, ResponseError):
            return ()
        views = [read_heartbeat(value) for value in answer if value is not None]
        return tuple(sorted((view for view in views if view), key=lambda view: view.worker))


def _rank(item: tuple[str, StreamNow]) -> tuple[bool, float]:
    """What is kept where there is too much: what is not over, then what is new."""
    view = item[1].view
    return view.status.is_terminal, -view.submitted_unix_s


def _batches(job_ids: Iterable[str]) -> Iterable[list[str]]:
    iterator = iter(job_ids)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _read_stream(job_id: str, answer: Any, before: StreamNow | None) -> StreamNow | None:
    """None for a job that is gone. What was not read again is as it was ``before``."""
    if isinstance(answer, ResponseError):
        return StreamNow(unreadable_view(job_id, f"its key is not what Streamtag writes: {redact(str(answer))}"))
    fields = {name: value for name, value in zip(_NAMES, answer, strict=False) if value is not None}
    if not fields:
        return None
    try:
        view = read_view(job_id, fields)
    except Unreadable as error:
        return StreamNow(unreadable_view(job_id, str(error)))
    if before is not None:
        view = replace(view, source=before.view.source, stream=before.view.stream, trace_id=before.view.trace_id)
    labels = before.labels if before is not None else ()
    return StreamNow(view, labels, text(fields.get(b"thumb"))[:40], text(fields.get(b"last_id"))[:50] or "0-0")


def _labels(rows: list[Any]) -> tuple[ShownLabel, ...]:
    """Of the newest samples, one for each region."""
    newest: dict[str, Seen] = {}
    for _entry_id, pairs in rows or []:
        if seen := read_seen(pairs[1] if len(pairs) == 2 else b""):
            newest.setdefault(seen.region, seen)
    found = [label for seen in newest.values() for label in _shown(seen)]
    return tuple(sorted(found, key=lambda label: (not label.active, -label.score)))


def _shown(seen: Seen) -> list[ShownLabel]:
    scores = {name: smoothed for name, _, smoothed in (*seen.groups, *seen.labels)}
    active = [ShownLabel(name, scores.get(name, 0.0), True) for name in seen.active[:_LABELS_ACTIVE]]
    others = [(name, smoothed) for name, _, smoothed in seen.labels[:_LABELS_OF_CLASS] if name not in seen.active]
    return active + [ShownLabel(name, smoothed, False) for name, smoothed in others]
