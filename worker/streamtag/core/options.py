"""The settings that the pure core reads, and how many samples a job means. The others are in ``settings.py``.

All derive from ``Group``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

from streamtag.core.job import Decode, Sampling
from streamtag.core.sampler import asked_fps

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _named(label: str) -> str:
    if not label.strip():
        raise ValueError("a label must not be blank; name labels and groups, or leave the list empty for all of them")
    return label


# Of a list that may be empty.
LabelName = Annotated[str, Field(max_length=128), AfterValidator(_named)]


class Group(BaseModel):
    """Settings that belong together; unknown names are errors."""

    # hide_input_in_errors: a validation error would print the neighbour's secret.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class SamplingSettings(Group):
    """How many frames are classified, unless the job says."""

    live_fps: Positive = Field(
        2.0, description="Samples a second of a live source, unless the job says. Cost is linear."
    )
    finite_fps: Positive = Field(5.0, description="Samples a second of a finite source, unless the job says.")
    decode: Decode = Field(
        "auto",
        description="auto decodes no more than the samples need, of RTSP streams and of films in MP4 or Matroska, and "
        "prefers key frames of a stream where they come often enough; keyframes decodes key frames of a stream only, "
        "all everything.",
    )
    motion_gate: Fraction = Field(
        0.0,
        description="A sample whose picture differs from the last one classified by no more than this (0 to 1, of the "
        "part that changed most) takes that one's scores. 0 classifies each, unless the job says. Saves inference.",
    )
    motion_gate_max_s: Positive = Field(
        10.0, description="Seconds after which a sample is classified whatever it shows, unless the job says."
    )

    def usual_fps(self, live: bool) -> float:
        """Samples a second of a job that does not say."""
        return self.live_fps if live else self.finite_fps

    def step_s(self, sampling: Sampling, live: bool) -> float | None:
        """Seconds between two samples, as a job asks for them; None where the frames of its source decide."""
        fps = asked_fps(sampling, self.usual_fps(live))
        return None if fps is None else 1.0 / fps


class BatchingSettings(Group):
    """How long samples wait for company."""

    live_delay_s: float = Field(0.05, ge=0, description="Seconds a live sample may wait for company in its batch.")
    finite_delay_s: float = Field(
        0.25, ge=0, description="The same for finite sources. More waits fill batches better."
    )
    per_stream: int = Field(4, ge=1, description="Samples of one stream in a batch while others wait. Fairness.")
    staleness_s: Positive = Field(
        0.5,
        description="Live samples that waited longer than this, and than one batch takes, are dropped (and counted).",
    )


class SmoothingSettings(Group):
    """How labels are steadied over time."""

    method: Literal["ema", "majority", "sticky", "none"] = Field(
        "ema", description="ema: exponential average; majority: vote of a window; sticky: HMM filter; none: raw scores."
    )
    tau_s: Positive = Field(0.6, description="Seconds. Time constant of ema: larger is steadier and slower to notice.")
    window_s: Positive = Field(1.5, description="Seconds of votes that majority counts.")
    stay_s: Positive = Field(3.0, description="Seconds for which sticky expects a label to stay.")
    enter: Fraction = Field(0.4, description="Smoothed score at which a label becomes active.")
    exit: Fraction = Field(
        0.15, description="Smoothed score below which it stops. Further below enter means less flicker."
    )
    exact: Fraction = Field(
        0.85,
        description="Share of an active group's score that a label in it needs to be told in its place. 0: the most "
        "exact label is told, however unsure. A bundle may have its own (evaluate --write level).",
    )
    exact_s: float = Field(
        1.0, ge=0, description="Seconds for which it must have had that share where the group is told already."
    )
    min_on_s: float = Field(
        0.0, ge=0, description="Seconds above enter before the label is active. Delays every onset."
    )
    min_off_s: float = Field(
        1.0, ge=0, description="Seconds below exit before the label stops. Bridges what is hidden for a moment."
    )
    reset_gap_s: Positive = Field(
        5.0,
        description="Seconds without a sample after which the past no longer counts; two and a half usual steps of the "
        "stream where those are longer.",
    )
    scene_cut: Fraction = Field(
        0.6, description="Change between two samples (0 to 1) that is a cut and resets the past. 1 never resets."
    )
    labels: list[LabelName] = Field(
        [], max_length=1000, description="Labels and groups that may become active; empty: all. A job may name its own."
    )
    images: bool = Field(False, description="Smooth folders of images too. Off: each picture stands for itself.")

    @model_validator(mode="after")
    def _hysteresis(self) -> SmoothingSettings:
        if self.exit > self.enter:
            raise ValueError(f"smoothing.exit ({self.exit}) must not be above smoothing.enter ({self.enter})")
        return self
