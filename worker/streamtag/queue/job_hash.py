"""What the hash of a job says, read back as if a stranger had written it: a wrong value ends that job, with its name.

Each field is text in Redis. pydantic turns it into what we wrote, within the bounds that we keep to when writing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError, field_validator, model_validator

from streamtag.core.job import MAX_REGIONS, Job
from streamtag.core.records import Checkpoint, Counters, JobStatus, JobView
from streamtag.core.trace import Traceparent, trace_id
from streamtag.redaction import printable, shown_source

MOST = 10**15 - 1  # what the scripts take for a whole number
MAX_FIELD_BYTES = 8 * 1024**2  # of any field; the largest that we write is a smoother's state
CHECKPOINT_FIELDS = ("seq", "last_index", "last_pts", "last_id", "last_captured", "counters", "smoother")

Whole = Annotated[int, Field(ge=0, le=MOST)]
UnixTime = Annotated[float, Field(ge=0, le=1e11)]
LabelNames = Annotated[tuple[str, ...], Field(max_length=100_000)]
ByReason = Annotated[dict[Annotated[str, Field(max_length=100)], Whole], Field(max_length=1000)]


class Unreadable(ValueError):
    """A field of a job's hash holds what we never write."""


class _Stored(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False, hide_input_in_errors=True, extra="ignore")


class _StoredCounters(_Stored):
    decoded: Whole = 0
    sampled: Whole = 0
    published: Whole = 0
    dropped_by_reason: ByReason = {}
    failed_by_reason: ByReason = {}
    reused: Whole = 0
    regions: Annotated[int, Field(ge=1, le=MAX_REGIONS)] = 1

    @model_validator(mode="after")
    def _closes(self) -> _StoredCounters:
        handled = self.published + sum(self.dropped_by_reason.values()) + sum(self.failed_by_reason.values())
        # With an account that does not close, the job would wait for ever for samples that never were.
        if handled != self.sampled or self.sampled > self.decoded * self.regions or self.reused > self.published:
            raise ValueError("the account does not close")
        return self

    def counters(self) -> Counters:
        return Counters(
            self.decoded,
            self.sampled,
            self.published,
            self.dropped_by_reason,
            self.failed_by_reason,
            self.reused,
            self.regions,
        )


class _StoredCheckpoint(_Stored):
    seq: Whole = 0
    last_index: Annotated[int, Field(ge=-1, le=MOST)] = -1
    last_pts: Annotated[float, Field(ge=-1e12, le=1e12)] = 0.0
    last_id: Annotated[str, Field(pattern=r"^\d{1,20}-\d{1,20}$")] = "0-0"
    last_captured: UnixTime = 0.0
    counters: Json[_StoredCounters] = _StoredCounters()
    smoother: bytes = b""

    @field_validator("last_id")
    @classmethod
    def _fits(cls, value: str) -> str:
        if any(int(part) >= 2**64 for part in value.split("-")):
            raise ValueError("beyond 64 bits")
        return value


class _StoredView(_Stored):
    status: JobStatus = JobStatus.QUEUED
    state: str = ""
    reason: str = ""
    owner: str = ""
    progress: Annotated[float, Field(ge=0, le=1)] | None = None
    deliveries: Whole = 0
    crashes: Whole = 0
    counters: Json[_StoredCounters] = _StoredCounters()
    last_captured: UnixTime = 0.0
    lag: Annotated[float, Field(ge=0, le=1e11)] | None = None
    active: Json[LabelNames] = ()
    thumb: UnixTime = 0.0
    submitted: UnixTime = 0.0
    started: UnixTime = 0.0
    updated: UnixTime = 0.0
    finished: UnixTime = 0.0


class _Shown(_Stored):
    source: str = ""
    stream: str = ""
    traceparent: Traceparent = ""


def shown_json(job: Job) -> bytes:
    """A job as people may see it: kept beside the plain one, and instead of it once the job is over."""
    return orjson.dumps(orjson.loads(job.to_json()) | {"source": job.redacted_source})


def is_same_job(job: Job, plain: bytes, shown: bytes) -> bool:
    """Whether a stored job is the one that is submitted again: same source, stream, kind and sampling.

    Not its trace: who asks again may do so from elsewhere in it.
    Once a job is over, its plain source is gone: then what is shown of it has to do.
    """
    stored = plain or shown
    if not stored:
        return True
    try:
        return _identity(stored) == _identity(job.to_json() if plain else shown_json(job))
    except (orjson.JSONDecodeError, AttributeError):
        return False


def _identity(text: bytes | str) -> dict[str, Any]:
    content = orjson.loads(text)
    return {name: value for name, value in content.items() if name not in ("submitted_unix_s", "traceparent")}


def read_checkpoint(values: Sequence[bytes | None]) -> Checkpoint:
    """The checkpoint in the values of ``CHECKPOINT_FIELDS``.

    Raises:
        Unreadable: one of them is not what we write; the text names it.
    """
    present = {name: value for name, value in zip(CHECKPOINT_FIELDS, values, strict=True) if value is not None}
    stored = _validated(_StoredCheckpoint, present)
    return Checkpoint(
        seq=stored.seq,
        last_index=stored.last_index,
        last_pts_s=stored.last_pts,
        last_id=stored.last_id,
        last_captured_unix_s=stored.last_captured,
        counters=stored.counters.counters(),
        smoother=stored.smoother,
    )


def read_view(job_id: str, hash_fields: Mapping[bytes, bytes]) -> JobView:
    """A job as ``status`` shows it.

    Raises:
        Unreadable: a field is not what we write; the text names it.
    """
    # Before a job is acquired some are missing, and a progress that is not known is empty.
    present = {name.decode("utf-8", "replace"): value for name, value in hash_fields.items() if value != b""}
    stored = _validated(_StoredView, present)
    shown = _validated(_Shown, _object(present.get("shown")))
    return JobView(
        job_id=job_id,
        status=stored.status,
        source=shown_source(shown.source),
        stream=printable(shown.stream, 128) or job_id,
        trace_id=trace_id(shown.traceparent),
        state=printable(stored.state, 40),
        reason=printable(stored.reason, 2000),
        counters=stored.counters.counters(),
        progress=stored.progress,
        worker=printable(stored.owner, 200),
        deliveries=stored.deliveries,
        crashes=stored.crashes,
        submitted_unix_s=stored.submitted,
        started_unix_s=stored.started,
        updated_unix_s=stored.updated,
        finished_unix_s=stored.finished,
        last_sample_unix_s=stored.last_captured,
        thumb_unix_s=stored.thumb,
        lag_s=stored.lag if stored.status is JobStatus.RUNNING else None,
        active=tuple(printable(name, 200) for name in stored.active if stored.status is JobStatus.RUNNING),
    )


@dataclass(frozen=True, slots=True)
class ShownNames:
    """How people may see a job named.

    Attributes:
        named: as ``Job.named`` has it.
    """

    source: str
    stream: str
    named: dict[str, str]


def shown_names(job_id: str, shown: bytes | None) -> ShownNames:
    """A job's source and the name that people know it by, as they may see them; nothing and its id at the worst."""
    named = {"job_id": job_id}
    try:
        content = _validated(_Shown, _object(shown))
    except Unreadable:
        return ShownNames("", job_id, named)
    traced = {"trace_id": trace_id(content.traceparent)} if content.traceparent else {}
    return ShownNames(shown_source(content.source), printable(content.stream, 128) or job_id, named | traced)


def unreadable_view(job_id: str, reason: str) -> JobView:
    """A broken job among good ones: it is listed with what is wrong, and hides none of the others."""
    return JobView(job_id=job_id, status=JobStatus.UNREADABLE, source="", reason=reason)


def _object(text: bytes | None) -> dict[str, Any]:
    try:
        content = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise Unreadable("field shown is not valid: a JSON object is expected")
    return content


_Record = TypeVar("_Record", bound=_Stored)


def _validated(record: type[_Record], values: Mapping[str, Any]) -> _Record:
    for name, value in values.items():
        # Before it is parsed: a row of numbers in JSON takes thirty times its size.
        if isinstance(value, bytes) and len(value) > MAX_FIELD_BYTES:
            raise Unreadable(f"field {printable(name, 60)} is not valid: {len(value)} bytes are more than we write")
    try:
        return record.model_validate(dict(values))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(printable(str(part), 60) for part in fault["loc"])
        raise Unreadable(f"field {name} is not valid: {printable(fault['msg'], 120)}") from None
