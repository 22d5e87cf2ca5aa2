"""A job as producers write it: one declaration, from which reading, checking and the published schema derive.

The queue is an open door: whatever may write to Redis can put any bytes there. So a job is bounded before it is
parsed, parsed by a parser that is bounded in depth, and every value of it has a type and a limit.
"""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from streamtag.core.job_faults import BLANK_LABEL, in_one_line
from streamtag.core.source import SourceKind, source_kind
from streamtag.core.trace import Traceparent, trace_id
from streamtag.redaction import holds_secret, shown_source

# The longest valid job, each character of it written as a JSON escape, has 79 kB.
MAX_JOB_BYTES = 96 * 1024
# No control characters, which terminals obey, and no marks that turn the direction of the text around them.
PLAIN_TEXT = r"^[^\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*$"
JOB_ID = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$"
REGION_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"
MAX_REGIONS = 16
MAX_WATCHED = 32  # labels
CREDENTIAL = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,62})?$"
_PLAIN_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_ID_FIELD = re.compile(rb'"job_id"\s*:\s*"([A-Za-z0-9][A-Za-z0-9._:@-]{0,127})"')
LEAST_REGION = 0.01  # of a side of the frame
ROUNDING = 1e-6  # three thirds may be a little more than one
_NEEDS_HOST = (SourceKind.RTSP, SourceKind.HTTP)
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


Decode = Literal["auto", "keyframes", "all"]


@dataclass(frozen=True, slots=True, config=_STRICT)
class Sampling:
    """Which frames are samples. At most one of the first three is set; none means the worker's default rate."""

    fps: Annotated[float | None, Field(gt=0, le=1000, description="Samples a second of presentation time.")] = None
    every: Annotated[int | None, Field(ge=1, le=1_000_000, description="Every n-th decoded frame.")] = None
    keyframes: Annotated[bool, Field(description="Key frames only; the others are not even decoded.")] = False
    decode: Annotated[
        Decode | None,
        Field(
            description="auto decodes no more than the samples need, where the source's format lets it, keyframes key "
            "frames of an RTSP stream only, all everything. Default: the worker's setting."
        ),
    ] = None
    motion_gate: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="A sample whose picture differs from the last one classified by no more than this (0 to 1, of "
            "the part that changed most) takes that one's scores; 0 classifies each. Default: the worker's setting.",
        ),
    ] = None
    motion_gate_max_s: Annotated[
        float | None,
        Field(
            gt=0,
            le=86_400,
            description="Seconds after which a sample is classified, whatever it shows. Default: the worker's setting.",
        ),
    ] = None

    @property
    def chooses(self) -> bool:
        """Whether it says which frames are samples."""
        return self.fps is not None or self.every is not None or self.keyframes

    @model_validator(mode="after")
    def _one_of_them(self) -> Sampling:
        if sum((self.fps is not None, self.every is not None, self.keyframes)) > 1:
            raise ValueError("choose one of fps, every, keyframes")
        return self


_Share = Annotated[float, Field(ge=0, le=1)]
Region = tuple[_Share, _Share, _Share, _Share]  # x, y, width and height, in fractions of the frame
Regions = Annotated[
    dict[Annotated[str, Field(pattern=REGION_NAME)], Region], Field(min_length=1, max_length=MAX_REGIONS)
]


@dataclass(frozen=True, slots=True, config=_STRICT)
class Job:
    """One source to tag, as a producer wrote it."""

    job_id: Annotated[str, Field(pattern=JOB_ID, description="Yours, for submitting safely again.")]
    # May hold a password, so it is never printed: see ``redacted_source``.
    source: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            pattern=PLAIN_TEXT,
            description="A file, a folder or glob of images, an http(s) or rtsp(s) URL, or camera:N, as the worker "
            "sees it.",
        ),
    ] = Field(repr=False)
    stream: Annotated[
        str,
        Field(
            max_length=128,
            pattern=PLAIN_TEXT,
            description="The name people know the source by; copied into each event. Default: the job id.",
        ),
    ] = ""
    model: Annotated[
        str, Field(max_length=128, pattern=PLAIN_TEXT, description="Where given, it must be the queue's model.")
    ] = ""
    live: Annotated[
        bool | None, Field(description="Whether the source cannot be read again. Default: told from its kind.")
    ] = None
    sampling: Annotated[Sampling, Field(description="Which frames are samples.")] = Sampling()
    submitted_unix_s: Annotated[float, Field(ge=0, le=1e11, description="When it was submitted, Unix seconds.")] = 0.0
    roi: Annotated[
        Region | Regions | None,
        Field(
            description="The region of each frame that is looked at, in place of all of it: [x, y, width, height] in "
            "fractions of the frame, from its top left corner. It must lie within the frame. Or several by name, each "
            "a stream of results of its own: {name: [x, y, width, height]}."
        ),
    ] = None

    credential: Annotated[
        str,
        Field(
            pattern=CREDENTIAL,
            description="Name of the user and password that the worker has for the source, an rtsp(s) or http(s) URL "
            "without any (source.credentials).",
        ),
    ] = ""

    traceparent: Traceparent = ""
    watch: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=128, pattern=PLAIN_TEXT)], ...],
        Field(max_length=MAX_WATCHED, description="Labels and groups that may become active; none: all."),
    ] = ()

    @field_validator("source")
    @classmethod
    def _names_something(cls, source: str) -> str:
        if not source.strip():
            raise ValueError("must be a path or URL, not only blanks")
        kind = source_kind(source)  # raises on a scheme that no job may have
        if "://" not in source:
            return source
        try:
            parts = urlsplit(source)
            named = (parts.hostname, parts.port)
        except ValueError:
            # The reason is not repeated: it quotes the address, and with it the password.
            raise ValueError("is no valid address; write / ? # @ : in a password as %2F %3F %23 %40 %3A") from None
        if kind in _NEEDS_HOST and not named[0]:
            raise ValueError("is an address without a host")
        return source

    @field_validator("credential")
    @classmethod
    def _is_the_only_one(cls, credential: str, info: ValidationInfo) -> str:
        source = info.data.get("source")  # none where that is wrong itself
        if not credential or source is None:
            return credential
        if source_kind(source) not in _NEEDS_HOST:
            raise ValueError("is for rtsp(s) and http(s) sources")
        # Only what nobody could read in another way: each program has its own idea of an odd address.
        if not _PLAIN_HOST.fullmatch(urlsplit(source).netloc):
            raise ValueError("needs a source with a plain host[:port]: leave user and password out of it")
        return credential

    @field_validator("watch")
    @classmethod
    def _names_labels(cls, watch: tuple[str, ...]) -> tuple[str, ...]:
        if not all(name.strip() for name in watch):
            raise ValueError(BLANK_LABEL)
        return watch

    @field_validator("roi")
    @classmethod
    def _lie_within(cls, roi: Region | Regions | None) -> Region | Regions | None:
        for x, y, width, height in roi.values() if isinstance(roi, dict) else [roi] if roi else []:
            if min(width, height) < LEAST_REGION or max(x + width, y + height) > 1 + ROUNDING:
                raise ValueError(
                    f"must lie within the frame (x + width and y + height at most 1) and measure {LEAST_REGION}"
                )
        return roi

    @property
    def kind(self) -> SourceKind:
        return source_kind(self.source)

    @property
    def regions(self) -> dict[str, Region | None]:
        """What is looked at of each frame, by name, in the order of its samples; one without a name is the usual."""
        return dict(self.roi) if isinstance(self.roi, dict) else {"": self.roi}

    @property
    def is_live(self) -> bool:
        """Live sources cannot be read again; what was missed is a gap."""
        return self.live if self.live is not None else self.kind in (SourceKind.RTSP, SourceKind.CAMERA)

    @property
    def name(self) -> str:
        """What its events call it."""
        return self.stream or self.job_id

    @property
    def named(self) -> dict[str, str]:
        """What log lines and events about it begin with."""
        traced = {"trace_id": trace_id(self.traceparent)} if self.traceparent else {}
        return {"job_id": self.job_id} | traced

    @property
    def redacted_source(self) -> str:
        """The source as people may see it."""
        return shown_source(self.source)

    @property
    def holds_secret(self) -> bool:
        """Whether its source is to be forgotten when the job ends."""
        return holds_secret(self.source)

    def to_json(self) -> str:
        return _JOB.dump_json(self, exclude_defaults=True).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Job:
        """Read the ``job`` field of a queue entry.

        Raises:
            ValueError: too large, not JSON, an unknown or missing field, or a value out of range. The text names the
                field and never quotes the source.
        """
        if len(text) > MAX_JOB_BYTES:
            raise ValueError(f"the job has {len(text)} bytes; at most {MAX_JOB_BYTES} are read")
        try:
            return _JOB.validate_json(text)
        except ValidationError as error:
            raise ValueError(explain(error, "job")) from None


_JOB: TypeAdapter[Job] = TypeAdapter(Job)


def job_schema() -> dict[str, Any]:
    """The JSON Schema of the ``job`` field, for producers in other languages."""
    return _JOB.json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def find_job_id(raw: bytes) -> str:
    """The id in a job that cannot be read, so that its producer hears of it; empty where there is none.

    Searched for and not parsed: what is broken about the job may be its JSON.
    """
    found = _ID_FIELD.search(raw[:MAX_JOB_BYTES])
    return found.group(1).decode() if found else ""


def explain(error: ValidationError, what: str = "job") -> str:
    """The first fault of a job or sampling in one line: the field, what it must be, and never its value."""
    names = {record: tuple(declared.name for declared in fields(record)) for record in (Job, Sampling)}
    return in_one_line(error, what, names[Job], names[Sampling], MAX_REGIONS)
