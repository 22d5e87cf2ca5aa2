"""The settings that the pure core reads. The others are in ``settings.py``; all derive from ``Group``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_validator,
)

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
    reset_gap_s: Positive = Field(5.0, description="Seconds without a sample after which the past no longer counts.")
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
