"""The nouns: small frozen records that cross threads, processes and Redis. No input or output here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from streamtag.core.job import JOB_ID, Job

# Why a sample was not classified: for a reason of ours, and for one of its own.
DropReason = Literal["backpressure", "superseded", "stale", "lagging"]
FailReason = Literal["corrupt", "not_finite", "internal"]
MAX_OFFERS = 64  # of one worker at once
Rate = Annotated[float, Field(ge=0, le=1e9)]
SUSPECT_CRASHES = 2  # from so many on, a job may harm its neighbours and runs alone


class JobStatus(StrEnum):
    """Where a job is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNREADABLE = "unreadable"  # never stored: how a job is listed whose hash is not as we leave it

    @property
    def is_terminal(self) -> bool:
        return self in (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)


class JobEnd(StrEnum):
    """How a job leaves a worker. Those that failed, crashed or were rejected are dead letters."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"  # handed back for another worker
    MOVED = "moved"  # given to another worker, which had opened it before
    LOST = "lost"  # another worker has it, or may
    CRASHED = "crashed"  # too often, to be started once more
    REJECTED = "rejected"  # an entry that never became a job


class StreamState(StrEnum):
    """What a stream is doing, for people and alerts."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"  # connected, no frames
    FROZEN = "frozen"  # the same picture again and again
    BLACK = "black"
    RECONNECTING = "reconnecting"
    AUTH_FAILED = "auth_failed"
    ENDED = "ended"
    FAILED = "failed"

    @property
    def is_decoding(self) -> bool:
        """Whether frames of it may be decoded: a worker that vanishes meanwhile may have been brought down by them."""
        return self not in (StreamState.RECONNECTING, StreamState.AUTH_FAILED, StreamState.STALLED)

    @property
    def has_pictures(self) -> bool:
        """Whether pictures come, whatever is on them."""
        return self in (StreamState.LIVE, StreamState.FROZEN, StreamState.BLACK)


@dataclass(slots=True)
class Counters:
    """The account of one job. It closes: decoded = sampled + skipped, sampled = published + dropped + failed.

    A sample is a region of a frame: of a job with several, ``decoded`` times ``regions`` is sampled + skipped.
    """

    decoded: int = 0
    sampled: int = 0
    published: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # by reason
    failed: dict[str, int] = field(default_factory=dict)  # by reason
    reused: int = 0  # of those published, how many took the scores of one before
    regions: int = 1

    def copy(self) -> Counters:
        """The account as it is now: the one it is copied from goes on counting."""
        return Counters(
            self.decoded, self.sampled, self.published, dict(self.dropped), dict(self.failed), self.reused, self.regions
        )

    @property
    def skipped(self) -> int:
        return self.decoded * self.regions - self.sampled

    @property
    def handled(self) -> int:
        """Samples whose fate is known."""
        return self.published + sum(self.dropped.values()) + sum(self.failed.values())

    def to_dict(self) -> dict[str, Any]:
        return {
            "decoded": self.decoded,
            "sampled": self.sampled,
            "skipped": self.skipped,
            "published": self.published,
            "reused": self.reused,
            "dropped": sum(self.dropped.values()),
            "failed": sum(self.failed.values()),
            "dropped_by_reason": dict(self.dropped),
            "failed_by_reason": dict(self.failed),
            "regions": self.regions,
        }


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a job stands in Redis: everything its next owner needs to go on exactly there."""

    seq: int = 0  # commits so far
    last_index: int = -1  # frame index of the last sample whose fate is committed
    last_pts_s: float = 0.0
    last_id: str = "0-0"  # of the last result entry
    last_captured_unix_s: float = 0.0
    counters: Counters = field(default_factory=Counters)
    smoother: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job: the queue entry, and the fence that makes an earlier owner harmless."""

    job: Job
    entry_id: str
    fence: int
    crashes: int  # owners that vanished while its frames were being decoded, since it last made progress
    checkpoint: Checkpoint
    deliveries: int = 1  # times it was acquired, this one included


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame the sampler kept, or a region of it, resized and waiting in a shared-memory slot of its decoder."""

    index: int  # decode order, from 0
    pts_s: float  # presentation time, from the stream's start
    captured_unix_s: float  # when the decoder had it
    slot: int
    scene_change: float  # 0 the same picture as the sample before, 1 nothing in common
    decoded: int  # frames decoded so far, this one included
    sampled: int  # samples so far, this one included
    path: str = ""  # the file of a picture
    region: int = 0  # which of the job's
    thumbnail: bytes = field(default=b"", repr=False)  # what its picture shows in the large, for the motion gate


@dataclass(frozen=True, slots=True)
class Label:
    """A class with its scores for one sample."""

    class_id: int
    name: str
    score: float  # of this sample alone
    smoothed: float  # after smoothing over time


@dataclass(frozen=True, slots=True)
class GroupLabel:
    """A group of classes with its scores for one sample."""

    name: str
    score: float  # of this sample alone: the sum over its classes
    smoothed: float  # after smoothing over time
    group: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """One sample's outcome, as read from the results stream."""

    id: str
    index: int
    pts_s: float
    labels: tuple[Label, ...]
    active: tuple[str, ...]  # names of the labels that are active at this time
    change: float = 0.0  # how much the picture differs from the sample before, 0 to 1; small ones are not stored
    path: str = ""  # the file of a picture
    region: str = ""  # of the frame, where the job names some
    reused: bool = False  # its picture is as good as the one classified last, and its scores are that one's
    groups: tuple[GroupLabel, ...] = ()  # those with more than nothing to say, best first

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a job: enter, exit, gap, state, frame_failed, status."""

    id: str
    job_id: str
    kind: str
    pts_s: float
    content: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "job_id": self.job_id, "kind": self.kind, "pts_s": self.pts_s} | self.content


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as ``status`` shows it."""

    job_id: str
    status: JobStatus
    source: str  # redacted
    stream: str = ""
    state: str = ""
    reason: str = ""
    counters: Counters = field(default_factory=Counters)
    progress: float | None = None  # 0 to 1 where the length is known
    worker: str = ""
    deliveries: int = 0  # times a worker has taken it
    crashes: int = 0  # of those, how many vanished while decoding, since it last made progress
    submitted_unix_s: float = 0.0
    started_unix_s: float = 0.0
    updated_unix_s: float = 0.0
    finished_unix_s: float = 0.0
    last_sample_unix_s: float = 0.0  # when the last published sample was captured
    active: tuple[str, ...] = ()  # names of the labels that are active, while the job runs
    # Of the last result of a live job that runs: from its capture, an RTSP stream's arrival, to its commit.
    lag_s: float | None = None
    trace_id: str = ""  # of its W3C trace context
    thumb_unix_s: float = 0.0  # of its newest small picture; 0 where there is none

    @property
    def told_state(self) -> str:
        """The state as people are told it."""
        return self.told(self.state)

    def told(self, state: str) -> str:
        """A state of its stream in a word for people: what has an end, and is read to it, is no live stream to them."""
        is_read = state == StreamState.LIVE and self.progress is not None
        return str(JobStatus.RUNNING) if is_read else state

    def to_dict(self) -> dict[str, Any]:
        content = asdict(self)
        return content | {"status": str(self.status), "counters": self.counters.to_dict()}


@dataclass(frozen=True, slots=True)
class Offer:
    """A live stream that its worker would give to another, which opens it first and then takes it."""

    job_id: Annotated[str, Field(pattern=JOB_ID)]
    entry_id: Annotated[str, Field(pattern=r"^[0-9]{1,20}-[0-9]{1,20}$")]
    fence: Annotated[int, Field(ge=1, lt=10**15)]  # of the worker that offers it
    to: Annotated[str, Field(max_length=300)]
    asked: Rate  # samples a second that it asks for


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as it says of itself, twice a second. What has a default, workers of earlier versions do not say."""

    worker: str  # its name in the queue, new at every start
    host: str
    version: str
    model: str
    engine: str
    slots: int  # jobs it may run at once, at most
    running: int  # jobs it runs now
    samples_per_s: float  # classified lately
    draining: bool  # it takes no new jobs and hands its own back
    started_unix_s: float
    seen_unix_s: float  # when it said so
    short_of_memory: bool = False  # Redis is, so it takes no new jobs (redis.memory_share)
    streams: Annotated[int, Field(ge=0, le=10**6)] = 0  # live ones among the jobs it runs
    asked: Rate = 0.0  # samples a second that they ask for
    supply: Rate = 0.0  # samples a second that it was measured to be able to give
    busy: Rate = 0.0  # share of the time that its device was at work lately, 0 to 1
    lag_s: Rate = 0.0  # the furthest that one of its live streams was behind its camera lately
    drop_share: Rate = 0.0  # of the samples, dropped lately
    room: Annotated[int, Field(ge=0, le=10**6)] = 0  # jobs it would take besides
    offers: Annotated[
        tuple[Offer, ...], Field(max_length=MAX_OFFERS)
    ] = ()  # its streams that are on their way to another

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
