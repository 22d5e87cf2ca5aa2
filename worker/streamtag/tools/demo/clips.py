"""What the demo plays: a clip written at run time, and the truth about each stretch of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamtag.core.bundle import Bundle
from streamtag.core.records import GroupLabel, Label, Result
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


def judge(
    segments: Sequence[TrueSegment], results: Sequence[Result], groups: Mapping[str, frozenset[str]]
) -> tuple[Verdict, ...]:
    """What was shown for most of each segment, and whether that is right: a label that is accepted, or a group of it.

    A background is right with no label, and with one that the clip claims nowhere: a street may well have a bicycle.

    Args:
        groups: of the network, by name, with the labels that each is a union of.
    """
    claimed = frozenset[str]().union(*(segment.accepted for segment in segments))
    claimed |= {name for name, members in groups.items() if members <= claimed}
    return tuple(
        _verdict(segment, segment.accepted | _holding(segment.accepted, groups), claimed, results)
        for segment in segments
    )


def groups_of(bundle: Bundle) -> dict[str, frozenset[str]]:
    """The groups of a network, by name, with their labels."""
    return {one.name: frozenset(bundle.labels[number] for number in one.classes) for one in bundle.groups.all}


def _holding(labels: frozenset[str], groups: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset(name for name, members in groups.items() if members & labels)


def _verdict(
    segment: TrueSegment, accepted: frozenset[str], claimed: frozenset[str], results: Sequence[Result]
) -> Verdict:
    within = [result for result in results if segment.start_s <= result.pts_s < segment.end_s]
    votes = Counter(_shown(result) for result in within)
    if not votes:
        return Verdict(segment, "", 0.0, -1, False)
    label = votes.most_common(1)[0][0]
    if label == NOTHING:
        middle = within[len(within) // 2]
        return Verdict(segment, NOTHING, 0.0, middle.index, not segment.accepted)
    score, frame = max((_active(result)[label], result.index) for result in within if _shown(result) == label)
    is_right = label in accepted if segment.accepted else label not in claimed
    return Verdict(segment, label, score, frame, is_right)


def _shown(result: Result) -> str:
    """The best of what is active in a sample."""
    active = _active(result)
    return max(active, key=active.__getitem__, default=NOTHING)


def _active(result: Result) -> dict[str, float]:
    """Labels and groups that are active, with their smoothed scores."""
    told: list[Label | GroupLabel] = [*result.labels, *result.groups]
    return {one.name: one.smoothed for one in told if one.name in result.active}
