"""Segments of labels in time: the one record, and the one way from enters and exits to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamtag.core.hysteresis import LabelTransition


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time that has a label."""

    label: str
    start_s: float  # seen by smoothing: when the score crossed the threshold
    end_s: float
    entered_s: float | None = None  # when that was decided; of a truth there is no such time


class SegmentBuilder:
    """Folds the enters and exits of one stream into segments.

    Args:
        labels: names of the classes.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.enters = 0
        self._labels = labels
        self._open: dict[int, LabelTransition] = {}
        self._segments: list[Segment] = []

    def add(self, transitions: Iterable[LabelTransition]) -> None:
        """Take what one sample, or the end of the stream, made enter and exit."""
        for transition in transitions:
            if transition.kind == "enter":
                self.enters += 1
                self._open[transition.class_id] = transition
            else:
                enter = self._open.pop(transition.class_id)
                label = self._labels[transition.class_id]
                self._segments.append(Segment(label, enter.since_s, transition.since_s, enter.pts_s))

    def segments(self) -> tuple[Segment, ...]:
        """Those that have ended, by their start and label."""
        return tuple(sorted(self._segments, key=lambda segment: (segment.start_s, segment.label)))
