"""The stored state of a smoother, read back as if a stranger had written it: it comes from Redis.

The form is one line of JSON, then the bytes of the filter's vector, float32 a class.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamtag.errors import RejectJob

MOST = 1.001  # a probability, and rounding
Seconds = Annotated[float, Field(ge=-1e12, le=1e12)]
ClassId = Annotated[int, Field(ge=0, le=10**7)]
Times = Annotated[list[tuple[ClassId, Seconds]], Field(max_length=10**6)]


class FilterState(BaseModel):
    """What a filter remembers beside its vector: the votes of the majority filter and its clock."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)

    votes: Annotated[list[tuple[Seconds, ClassId]], Field(max_length=10**6)] = []
    clock_s: Seconds = 0.0


class SmootherState(BaseModel):
    """The line of JSON."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, hide_input_in_errors=True)

    method: Literal["ema", "majority", "sticky", "none"]
    classes: Annotated[int, Field(ge=1, le=10**7)]
    last_pts_s: Seconds | None
    labels: tuple[Times, Times, Times]  # active, rising, falling: classes and since when
    filter: FilterState
    told: Annotated[list[ClassId], Field(max_length=10**6)] | None = None  # of the active; states of before have none
    waiting: Times = []  # of the active, and since when
    steps: Annotated[list[Annotated[float, Field(ge=0, le=1e12)]], Field(max_length=1000)] = []  # of its pace, likewise


def read_state(state: bytes) -> tuple[SmootherState, np.ndarray]:
    """A stored state and its vector, (classes,) float32, or (0,) where the filter has none.

    Raises:
        RejectJob: the bytes are not what a smoother stores.
    """
    head, _, body = state.partition(b"\n")
    try:
        stored = SmootherState.model_validate_json(head)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise RejectJob(f"the stored smoothing state cannot be read: {fault['msg']}") from None
    classes = [class_id for times in stored.labels for class_id, _ in times]
    classes += [class_id for _, class_id in stored.filter.votes]
    classes += [*(stored.told or []), *(class_id for class_id, _ in stored.waiting)]
    if any(class_id >= stored.classes for class_id in classes):
        raise RejectJob("the stored smoothing state cannot be read: it names a class that there is not")
    active = {class_id for class_id, _ in stored.labels[0]}
    if not {*(stored.told or []), *(class_id for class_id, _ in stored.waiting)} <= active:
        raise RejectJob("the stored smoothing state cannot be read: it told a label that was not active")
    if len(body) not in (0, 4 * stored.classes):
        raise RejectJob(f"the stored smoothing state cannot be read: {len(body)} bytes for {stored.classes} classes")
    vector = np.frombuffer(body, np.float32)
    if not ((vector >= 0) & (vector <= MOST)).all():  # false for what is no number, too
        raise RejectJob("the stored smoothing state cannot be read: not all of its scores are probabilities")
    return stored, vector
