"""What a job's next owner needs to go on with its labels, as bytes: read back as if a stranger had written it.

Of a job without named regions and without a motion gate that is the state of its smoother alone. Else it begins with
one line of JSON, and then comes for each region: the state of its smoother, and the thumbnail and the scores of the
sample that was classified last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated

import numpy as np
import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamtag.core.job import MAX_REGIONS
from streamtag.core.motion_gate import THUMBNAIL, Reference
from streamtag.core.smoother_state import MOST, Seconds
from streamtag.errors import RejectJob

_HEAD = b'{"parts":'


@dataclass(frozen=True, slots=True)
class RegionState:
    """Of one region."""

    smoother: bytes
    reference: Reference | None = None


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)

    smoother: Annotated[int, Field(ge=0, le=2**31)]  # bytes
    scores: Annotated[int, Field(ge=0, le=10**7)] = 0  # 0: none was classified
    number: Annotated[int, Field(ge=0, le=2**53)] = 0
    pts_s: Seconds = 0.0


class _Head(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    parts: Annotated[list[_Part], Field(min_length=1, max_length=MAX_REGIONS)]


def write_states(states: Sequence[RegionState]) -> bytes:
    """To be read by ``read_states`` in any process."""
    if len(states) == 1 and states[0].reference is None:
        return states[0].smoother
    parts, body = [], b""
    for state in states:
        reference = state.reference
        part: dict[str, float] = {"smoother": len(state.smoother)}
        body += state.smoother
        if reference is not None:
            part |= {"scores": len(reference.scores), "number": reference.number, "pts_s": reference.pts_s}
            body += reference.thumbnail + reference.scores.astype(np.float32).tobytes()
        parts.append(part)
    return orjson.dumps({"parts": parts}) + b"\n" + body


def read_states(stored: bytes, regions: int, classes: int) -> list[RegionState]:
    """The state of each region.

    The scores of a network with other classes are passed over, and so are the regions of a job that has others.

    Raises:
        RejectJob: the bytes are not what ``write_states`` writes. What is in the states of smoothers is not looked at.
    """
    if not stored.startswith(_HEAD):
        return [RegionState(stored if regions == 1 else b"") for _ in range(regions)]
    line, _, body = stored.partition(b"\n")
    try:
        parts = _Head.model_validate_json(line).parts
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise RejectJob(f"the stored state of its regions cannot be read: {fault['msg']}") from None
    if sum(map(_length, parts)) != len(body):
        raise RejectJob(f"the stored state of its regions cannot be read: it has {len(body)} bytes")
    if len(parts) != regions:
        return [RegionState(b"") for _ in range(regions)]
    states, at = [], 0
    for part in parts:
        states.append(_state(part, body[at : at + _length(part)], classes))
        at += _length(part)
    return states


def _length(part: _Part) -> int:
    return part.smoother + (prod(THUMBNAIL) + 4 * part.scores if part.scores else 0)


def _state(part: _Part, body: bytes, classes: int) -> RegionState:
    at = part.smoother + prod(THUMBNAIL)
    smoother, thumbnail = body[: part.smoother], body[part.smoother : at]
    if not part.number or part.scores != classes:
        return RegionState(smoother)
    scores = np.frombuffer(body[at:], np.float32)
    if not ((scores >= 0) & (scores <= MOST)).all():  # false for what is no number, too
        raise RejectJob("the stored state of its regions cannot be read: not all of its scores are probabilities")
    return RegionState(smoother, Reference(part.number, part.pts_s, thumbnail, scores))
