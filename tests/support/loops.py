"""What the worker's loops stand on, with a clock that tests turn: a queue without Redis, streams without decoders."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

import numpy as np
import orjson
from streamtag.core.album import Picture
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.core.job import Job
from streamtag.core.motion_gate import THUMBNAIL
from streamtag.core.options import SmoothingSettings
from streamtag.core.records import Checkpoint, Claim, JobStatus, Sample, WorkerView
from streamtag.core.stream_state import Outcome
from streamtag.core.track import Commit, Track
from streamtag.errors import QueueUnavailable, StreamtagError
from streamtag.ingest.session import DecoderSession
from streamtag.ingest.stream import Stream
from streamtag.metrics import Metrics
from streamtag.pipeline.outage import Outage
from streamtag.pipeline.run import PendingSample, Run
from streamtag.queue.claims import Entry
from streamtag.queue.commits import Step
from streamtag.queue.memory import RedisMemory
from streamtag.queue.pictures import PictureStep
from streamtag.queue.session import QueueSession
from streamtag.settings import LeaseSettings

BUNDLE = Bundle("toy", "none", ("cat", "dog"), Preprocessing(8))
LEASE = LeaseSettings()
PLENTY = RedisMemory(10, 100, evicts=False)


class Clock:
    """Monotonic time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class WallClock(Clock):
    """Time as it goes, where threads wait for each other."""

    def __call__(self) -> float:
        return time.monotonic()


@dataclass
class FakeQueue:
    """One thread's session. It notes what is asked, and raises what a test has put in its way.

    Attributes:
        raises: an error for ``"what"``, or for ``"what job"``.
    """

    entries: list[Entry] = field(default_factory=list)
    abandoned_entries: list[Entry] = field(default_factory=list)
    raises: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    published: dict[str, list[str]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    crash_counts: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    blocks: list[int | None] = field(default_factory=list)  # how long each read of new entries may wait
    lease: LeaseSettings = LEASE
    used: RedisMemory = PLENTY
    memory_share: float = 0.9
    albums: dict[str, list[tuple[str, Picture]]] = field(default_factory=dict)
    written: list[PictureStep] = field(default_factory=list)
    picture_ids: Iterator[int] = field(default_factory=count)

    def memory(self) -> RedisMemory:
        self._ask("memory")
        return self.used

    def claims(self) -> FakeQueue:
        return self

    def commits(self) -> FakeQueue:
        return self

    def leases(self) -> FakeQueue:
        return self

    def as_session(self) -> QueueSession:
        return cast(QueueSession, self)

    def times(self, what: str) -> int:
        return sum(name == what for name, _ in self.asked)

    def _ask(self, what: str, job: str = "") -> None:
        self.asked.append((what, job))
        for name in (what, f"{what} {job}"):
            if name in self.raises:
                raise self.raises[name]

    # What the claims thread asks.

    def ensure_group(self) -> None:
        self._ask("ensure_group")

    def redelivered(self, count: int) -> list[Entry]:
        self._ask("redelivered")
        return []

    def fetch(self, count: int, block_ms: int | None = 1000) -> list[Entry]:
        self._ask("fetch")
        self.blocks.append(block_ms)
        taken, self.entries = self.entries[:count], self.entries[count:]
        return taken

    def next_waiting(self) -> Entry | None:
        self._ask("next_waiting")
        return self.entries[0] if self.entries else None

    def abandoned(self, limit: int) -> list[Entry]:
        self._ask("abandoned")
        return self.abandoned_entries[:limit]

    def take_over(self, entry: Entry) -> bool:
        self._ask("take_over", entry.entry_id)
        return True

    def parse(self, entry: Entry) -> Job:
        self._ask("parse", entry.entry_id)
        return Job(job_id=entry.entry_id, source=self.sources.get(entry.entry_id, "clip.mp4"))

    def crashes(self, job_id: str) -> int:
        return self.crash_counts.get(job_id, 0)

    def retire_others(self) -> list[str]:
        self._ask("retire_others")
        return []

    def acquire(self, entry: Entry) -> Claim | None:
        self._ask("acquire", entry.entry_id)
        return claim(
            entry.entry_id, self.sources.get(entry.entry_id, "clip.mp4"), self.crash_counts.get(entry.entry_id, 0)
        )

    # What the commits thread asks.

    def commit_each(self, steps: Sequence[Step]) -> list[Exception | None]:
        troubles: list[Exception | None] = []
        for step in steps:
            if troubles and isinstance(troubles[-1], QueueUnavailable):  # as when the connection broke
                troubles.append(troubles[-1])
                continue
            try:
                self._commit(step.claim, step.commit)
                troubles.append(None)
            except StreamtagError as error:
                troubles.append(error)
        return troubles

    def _commit(self, held: Claim, commit: Commit) -> None:
        self._ask("commit", held.job.job_id)
        self.published.setdefault(held.job.job_id, []).extend(entry_id for entry_id, _ in commit.results)
        self.events += [orjson.loads(event) for event in commit.events]

    def finish(self, held: Claim, status: JobStatus, reason: str, state: str, pts_s: float) -> None:
        self._ask("finish", held.job.job_id)

    def release(self, held: Claim) -> None:
        self._ask("release", held.job.job_id)

    def dead_letter(self, held: Claim, reason: str, pts_s: float | None = None) -> None:
        self._ask("dead_letter", held.job.job_id)
        self.reasons[held.job.job_id] = reason

    def dead_letter_entry(self, entry: Entry, reason: str) -> None:
        self._ask("dead_letter_entry", entry.entry_id)
        self.reasons[entry.entry_id] = reason

    # What the pictures thread asks.

    def pictures(self, most: int) -> FakeQueue:
        return self

    def album(self, job_id: str) -> list[tuple[str, Picture]]:
        self._ask("album", job_id)
        return self.albums.get(job_id, [])

    def write_each(self, steps: Sequence[PictureStep]) -> list[list[str] | Exception]:
        answers: list[list[str] | Exception] = []
        for step in steps:
            try:
                self._ask("write", step.claim.job.job_id)
            except StreamtagError as error:
                answers.append(error)
                continue
            self.written.append(step)
            answers.append([f"{next(self.picture_ids)}-0" for _ in step.album])
        return answers

    # What the leases thread asks.

    def renew(self, held: Sequence[Claim]) -> list[str]:
        names = [one.job.job_id for one in held]
        self._ask("renew", ",".join(names))
        for name in names:
            if f"renew {name}" in self.raises:
                raise self.raises[f"renew {name}"]
        return [self.answers.get(name, "OK") for name in names]


@dataclass(eq=False)
class FakeStream:
    """A stream that does nothing but be asked."""

    healthy: bool = True
    progress: float | None = None
    outcome: Outcome | None = None
    session: Any = None  # whatever a selector can wait on
    live: bool = False
    asked: list[str] = field(default_factory=list)
    on_ask: Callable[[str], None] = lambda what: None

    def as_stream(self) -> Stream:
        return cast(Stream, self)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self.on_ask(what)

    def start(self) -> None:
        self._ask("start")

    def receive(self) -> None:
        self._ask("receive")

    def hold_back(self) -> None:
        self._ask("hold_back")

    def check(self) -> None:
        self._ask("check")

    def stop(self) -> None:
        self._ask("stop")

    def kill(self) -> None:
        self._ask("kill")

    def break_off(self, error: Exception) -> None:
        self.asked.append(f"break_off {error}")


@dataclass
class FakeSlots:
    """A decoder session of which only the pictures are left."""

    released: list[int] = field(default_factory=list)
    broken: bool = False
    seen: list[int] = field(default_factory=list)  # what the picture of each slot shows, for the motion gate

    def as_session(self) -> DecoderSession:
        return cast(DecoderSession, self)

    def picture(self, slot: int) -> np.ndarray:
        if self.broken:
            raise IndexError("no such slot")
        return np.full(BUNDLE.preprocessing.shape, slot, np.uint8)

    def thumbnail(self, slot: int) -> bytes:
        return np.full(THUMBNAIL, self.seen[slot], np.uint8).tobytes()

    def release(self, slot: int) -> None:
        self.released.append(slot)


def claim(job_id: str, source: str = "clip.mp4", crashes: int = 0) -> Claim:
    return Claim(Job(job_id=job_id, source=source), job_id, 1, crashes, Checkpoint())


def view(worker: str, running: int, room: int, supply: float, seen_unix_s: float = 1.0, **more: Any) -> WorkerView:
    """What a worker says of itself; each of its jobs is a live stream of two samples a second."""
    known = {"streams": running, "asked": 2.0 * running} | more
    head = (worker, "host", "1.0", "toy", "none", running + room, running, 0.0, False, 1.0, seen_unix_s)
    return WorkerView(*head, supply=supply, room=room, **known)


def run_of(
    job_id: str,
    source: str = "clip.mp4",
    clock: Clock | None = None,
    stream: FakeStream | None = None,
    crashes: int = 0,
) -> Run:
    """A run whose stream is a fake."""
    held = claim(job_id, source, crashes)
    track = Track(held, BUNDLE, SmoothingSettings())
    renewed_s = (clock or Clock()).now_s
    asked = 2.0 if held.job.is_live else 0.0
    return Run(held, track, (stream or FakeStream()).as_stream(), asked, renewed_s=renewed_s)


def sample(number: int, slot: int = 0) -> Sample:
    return Sample(number, number * 0.2, 1e9 + number, slot, 0.0, number + 1, number + 1)


def pending(run: Run, number: int, slots: FakeSlots | None = None) -> PendingSample:
    return PendingSample(run, (slots or FakeSlots()).as_session(), sample(number, number), 0.001)


def outage(clock: Clock, metrics: Metrics, on_redis: Callable[[bool], None] = lambda reachable: None) -> Outage:
    """One whose back-off is known: 0.2 s, doubled each time."""
    return Outage("a thread", metrics, on_redis, clock, lambda: 1.0)
