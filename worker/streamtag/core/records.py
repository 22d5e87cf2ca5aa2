"""The nouns: small frozen records that cross threads, processes and Redis. No input or output here."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from streamtag.core.source import SourceKind, source_kind
from streamtag.redaction import redact

JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which frames are samples. At most one of the three is set; none means the worker's default rate."""

    fps: float | None = None  # samples a second of presentation time
    every: int | None = None  # every n-th decoded frame
    keyframes: bool = False  # key frames only; the others are not even decoded

    def __post_init__(self) -> None:
        if sum((self.fps is not None, self.every is not None, self.keyframes)) > 1:
            raise ValueError("choose one of fps, every, keyframes")
        if self.fps is not None and not (math.isfinite(self.fps) and 0 < self.fps <= 1000):
            raise ValueError(f"fps must be above 0 and at most 1000, got {self.fps}")
        if self.every is not None and not 1 <= self.every <= 1_000_000:
            raise ValueError(f"every must be from 1 to 1000000, got {self.every}")


@dataclass(frozen=True, slots=True)
class Job:
    """One source to tag, as a producer wrote it."""

    job_id: str
    source: str = field(repr=False)  # may hold a password: never printed, see ``redacted_source``
    stream: str = ""  # the name people know the camera or archive by; the job id unless given
    model: str = ""  # must be the queue's model where given
    live: bool | None = None  # None: told from the kind of source
    sampling: Sampling = Sampling()
    submitted_unix_s: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.job_id, str) or not JOB_ID.fullmatch(self.job_id):
            raise ValueError(
                f"job_id {str(self.job_id)[:80]!r} must be 1 to 128 letters, digits or any of . _ : @ - "
                "and begin with a letter or digit"
            )
        if not isinstance(self.source, str) or not self.source.strip() or len(self.source) > 4096:
            raise ValueError("source must be a path or URL of 1 to 4096 characters")
        if any(ord(character) < 32 for character in self.source):
            raise ValueError("source must not contain control characters")
        source_kind(self.source)  # raises on a scheme that no job may have

    @property
    def kind(self) -> SourceKind:
        return source_kind(self.source)

    @property
    def is_live(self) -> bool:
        """Live sources cannot be read again; what was missed is a gap."""
        return self.live if self.live is not None else self.kind in (SourceKind.RTSP, SourceKind.CAMERA)

    @property
    def redacted_source(self) -> str:
        return redact(self.source)

    def to_json(self) -> str:
        content = {"job_id": self.job_id, "source": self.source, "submitted_unix_s": self.submitted_unix_s}
        content |= {
            name: value for name in ("stream", "model", "live") if (value := getattr(self, name)) not in ("", None)
        }
        sampling = {name: value for name, value in asdict(self.sampling).items() if value}
        return json.dumps(content | ({"sampling": sampling} if sampling else {}))

    @classmethod
    def from_json(cls, text: str | bytes) -> Job:
        """Read the ``job`` field of a queue entry.

        Raises:
            ValueError: not JSON, an unknown or missing field, or a value out of range. The text names the field
                and never quotes the source.
        """
        try:
            content = json.loads(text)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            where = f"{error.msg} at character {error.pos}" if isinstance(error, json.JSONDecodeError) else "not UTF-8"
            raise ValueError(f"the job is not valid JSON: {where}") from None
        if not isinstance(content, dict):
            raise ValueError(f"the job must be a JSON object, got {type(content).__name__}")
        _check_fields("job", content, cls, required=("job_id", "source"))
        sampling = content.pop("sampling", {})
        if not isinstance(sampling, dict):
            raise ValueError("sampling must be an object with fps, every or keyframes")
        _check_fields("sampling", sampling, Sampling)
        return cls(sampling=Sampling(**sampling), **content)


_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "job_id": (str,),
    "source": (str,),
    "stream": (str,),
    "model": (str,),
    "live": (bool, type(None)),
    "sampling": (dict,),
    "submitted_unix_s": (int, float),
    "fps": (int, float),
    "every": (int,),
    "keyframes": (bool,),
}


def _check_fields(what: str, content: dict[str, Any], record: type, required: tuple[str, ...] = ()) -> None:
    known = [declared.name for declared in fields(record)]
    for name, value in content.items():
        if name not in known:
            raise ValueError(f"{what} has an unknown field {name[:80]!r}; known: {', '.join(known)}")
        expected = _FIELD_TYPES[name]
        if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
            raise ValueError(f"{what}.{name} must be {expected[0].__name__}, got {type(value).__name__}")
    for name in required:
        if name not in content:
            raise ValueError(f"{what} lacks the field {name!r}")


class JobStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)


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


@dataclass(slots=True)
class Counters:
    """The account of one job. It closes: decoded = sampled + skipped, sampled = published + dropped + failed."""

    decoded: int = 0
    sampled: int = 0
    published: int = 0
    dropped: dict[str, int] = field(default_factory=dict)  # by reason
    failed: dict[str, int] = field(default_factory=dict)  # by reason

    @property
    def skipped(self) -> int:
        return self.decoded - self.sampled

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
            "dropped": sum(self.dropped.values()),
            "failed": sum(self.failed.values()),
            "dropped_by_reason": dict(self.dropped),
            "failed_by_reason": dict(self.failed),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Counters:
        return cls(
            content.get("decoded", 0),
            content.get("sampled", 0),
            content.get("published", 0),
            dict(content.get("dropped_by_reason", {})),
            dict(content.get("failed_by_reason", {})),
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a job stands in Redis: everything its next owner needs to go on exactly there."""

    seq: int = 0  # commits so far
    last_index: int = -1  # frame index of the last sample whose fate is committed
    last_pts_s: float = 0.0
    last_id: str = "0-0"  # of the last result entry
    last_captured_unix_s: float = 0.0
    counters: dict[str, Any] = field(default_factory=dict)
    smoother: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job: the queue entry, and the fence that makes an earlier owner harmless."""

    job: Job
    entry_id: str
    fence: int
    attempts: int  # crashes and hand-overs without progress, this one included
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame the sampler kept, resized and waiting in a shared-memory slot of its decoder."""

    index: int  # decode order, from 0
    pts_s: float  # presentation time, from the stream's start
    captured_unix_s: float  # when the decoder had it
    slot: int
    change: float  # 0 the same picture as the sample before, 1 nothing in common
    decoded: int  # frames decoded so far, this one included
    sampled: int  # samples so far, this one included


@dataclass(frozen=True, slots=True)
class Label:
    class_id: int
    name: str
    score: float  # of this sample alone
    smoothed: float  # after smoothing over time


@dataclass(frozen=True, slots=True)
class Result:
    """One sample's outcome, as read from the results stream."""

    id: str
    index: int
    pts_s: float
    labels: tuple[Label, ...]
    active: tuple[str, ...]  # names of the labels that are active at this time
    change: float = 0.0  # how much the picture differs from the sample before, 0 to 1; small ones are not stored

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
    attempts: int = 0
    submitted_unix_s: float = 0.0
    started_unix_s: float = 0.0
    updated_unix_s: float = 0.0
    finished_unix_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        content = asdict(self)
        return content | {"status": str(self.status), "counters": self.counters.to_dict()}
