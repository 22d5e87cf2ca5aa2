"""What is published of jobs: results, events and dead letters, above all read back. A broken one is named, no more.

What was written about a stranger's file may hold a stranger's text, so nothing that a terminal obeys gets out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamtag.core.job import REGION_NAME
from streamtag.core.records import Event, GroupLabel, JobStatus, Label, Result
from streamtag.errors import QueueRefused
from streamtag.queue.connection import text
from streamtag.redaction import printable

MOST = 10**15 - 1  # what the scripts take for a whole number
MAX_DEPTH = 16  # of what an event holds; ours have three levels


class _Stored(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)


_Number = Annotated[int, Field(ge=0, le=MOST)]


class _StoredLabelScore(_Stored):
    class_id: _Number
    name: str
    score: float
    smoothed: float


class _StoredGroupScore(_Stored):
    name: str
    score: float
    smoothed: float
    group: bool


class _StoredResult(_Stored):
    index: _Number
    pts_s: float
    labels: tuple[_StoredLabelScore, ...]
    active: tuple[str, ...]
    change: float = 0.0
    path: str = ""
    region: Annotated[str, Field(pattern=f"{REGION_NAME}|^$")] = ""
    reused: bool = False
    groups: tuple[_StoredGroupScore, ...] = ()


class _StoredLabel(_Stored):
    name: str


class _StoredEvent(_Stored):
    job_id: str
    kind: str
    pts_s: float
    label: _StoredLabel | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that ended without a chance to succeed, or an entry that was no job."""

    id: str
    job_id: str
    reason: str
    deliveries: int  # times a worker had taken it
    source: str  # redacted
    at_unix_s: float


def status_event(named: Mapping[str, str], stream: str, status: JobStatus, reason: str | None, pts_s: float) -> bytes:
    """A job's change of status, as the stream of events tells it.

    Args:
        named: the job, as ``Job.named`` has it.
        stream: the name that people know the source by.
        reason: None where none is told.
        pts_s: presentation time of the last sample.
    """
    event = {**named, "stream": stream, "kind": "status", "pts_s": round(pts_s, 6), "status": status}
    return orjson.dumps(event if reason is None else event | {"reason": reason})


def read_result(entry_id: str, fields: Mapping[bytes, bytes]) -> Result:
    """One result.

    Raises:
        QueueRefused: it is not what a worker writes.
    """
    try:
        stored = _StoredResult.model_validate_json(fields.get(b"result", b""))
    except ValidationError as error:
        raise QueueRefused(f"result {entry_id} is not what a worker writes: {_fault(error)}") from None
    labels = tuple(Label(**dict(label)) for label in stored.labels)
    groups = tuple(GroupLabel(**dict(group)) for group in stored.groups)
    return Result(entry_id, **(dict(stored) | {"labels": labels, "groups": groups}))


def read_event(entry_id: str, fields: Mapping[bytes, bytes]) -> Event:
    """An event; one that no worker writes has the kind ``unreadable``, since the stream is that of all jobs."""
    try:
        content = orjson.loads(fields.get(b"event", b""))
        _StoredEvent.model_validate(content)
        content = _printable(content)
    except ValueError as error:  # pydantic's and orjson's errors are some
        fault = _fault(error) if isinstance(error, ValidationError) else str(error)
        return Event(entry_id, "", "unreadable", 0.0, {"reason": f"not what a worker writes: {fault}"})
    head = {name: content.pop(name) for name in ("job_id", "kind", "pts_s")}
    return Event(entry_id, content=content, **head)


def read_dead_letter(entry_id: str, fields: Mapping[bytes, bytes]) -> DeadLetter:
    """A dead letter, whatever is in it: it is there to be looked at."""
    return DeadLetter(
        id=entry_id,
        job_id=printable(text(fields.get(b"job_id")), 200),
        reason=printable(text(fields.get(b"reason"))),
        deliveries=int(_number(fields.get(b"deliveries"))),
        source=printable(text(fields.get(b"source"))),
        at_unix_s=_number(fields.get(b"at")),
    )


def _number(value: bytes | None) -> float:
    try:
        number = float(value or 0)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _fault(error: ValidationError) -> str:
    """The first that is wrong, without what a stranger has written."""
    first = error.errors(include_url=False, include_input=False)[0]
    return printable(" ".join([*map(str, first["loc"]), first["msg"]]), 200)


def _printable(value: Any, depth: int = MAX_DEPTH) -> Any:
    if depth < 0:
        raise ValueError(f"more than {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(name), 100): _printable(part, depth - 1) for name, part in value.items()}
    return [_printable(part, depth - 1) for part in value] if isinstance(value, list) else value
