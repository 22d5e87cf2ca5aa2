"""What the demo plays: a clip written at run time, and the truth about each stretch of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamtag.core.records import Result
from streamtag.tools.demo import drawing
from streamtag.tools.demo.drawing import NOTHING, SHAPES

DRAWN_SEED = 7


@dataclass(frozen=True, slots=True)
class TrueSegment:
    """What is to be seen for a while, and which labels say so."""

    name: str  # for people
    accepted: frozenset[str]  # empty: background, where no label of the clip's other segments may stand
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the worker showed for most of a segment."""

    segment: TrueSegment
    label: str  # ``NOTHING`` if no label was active
    score: float  # smoothed, of the label, where it was highest; 0 for nothing
    frame: int  # where that was, in decode order; -1 if the segment has no sample
    is_right: bool


class Clip(Protocol):
    """Something to play that can be written as a file."""

    @property
    def title(self) -> str:
        """What it is, in the middle of a sentence."""

    @property
    def labels(self) -> frozenset[str]:
        """The labels that a network must have to know what is in it."""

    def write(self, path: Path, seconds: float) -> tuple[TrueSegment, ...]:
        """Encode it, and tell what is in it.

        Raises:
            StreamtagError: the file cannot be written.
        """


class DrawnClip:
    """Six drawn shapes and nothing, for the small network that is shipped."""

    title = "a clip of drawn shapes"
    labels = frozenset(SHAPES)

    def write(self, path: Path, seconds: float) -> tuple[TrueSegment, ...]:
        """Encode it, and tell what is in it."""
        segments = drawing.plan(seconds, DRAWN_SEED)
        drawing.write_clip(path, segments, DRAWN_SEED)
        return tuple(
            TrueSegment(one.label, frozenset({one.label} - {NOTHING}), one.start_s, one.end_s) for one in segments
        )


def judge(segments: Sequence[TrueSegment], results: Sequence[Result]) -> tuple[Verdict, ...]:
    """What was shown for most of each segment, and whether that is right.

    A background is right with no label, and with one that the clip claims nowhere: a street may well have a bicycle.
    """
    claimed = frozenset[str]().union(*(segment.accepted for segment in segments))
    return tuple(_verdict(segment, claimed, results) for segment in segments)


def _verdict(segment: TrueSegment, claimed: frozenset[str], results: Sequence[Result]) -> Verdict:
    within = [result for result in results if segment.start_s <= result.pts_s < segment.end_s]
    votes = Counter(_shown(result) for result in within)
    if not votes:
        return Verdict(segment, "", 0.0, -1, False)
    label = votes.most_common(1)[0][0]
    if label == NOTHING:
        middle = within[len(within) // 2]
        return Verdict(segment, NOTHING, 0.0, middle.index, not segment.accepted)
    score, frame = max((result.labels[0].smoothed, result.index) for result in within if _shown(result) == label)
    is_right = label in segment.accepted if segment.accepted else label not in claimed
    return Verdict(segment, label, score, frame, is_right)


def _shown(result: Result) -> str:
    """The best label of a sample, if it is active."""
    return result.labels[0].name if result.labels and result.labels[0].name in result.active else NOTHING
