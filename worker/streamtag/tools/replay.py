"""Smooth a job's stored results again, with other settings and without the network. Pure: results in, segments out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.core.options import SmoothingSettings
from streamtag.core.records import Result
from streamtag.core.smoothing import Change, Smoother


@dataclass(frozen=True, slots=True)
class Stretch:
    """A label from its enter to its exit."""

    label: str
    start_s: float  # when its score crossed the threshold
    end_s: float
    entered_s: float  # when that was decided


@dataclass(slots=True)
class Replay:
    """What other settings would have said."""

    stretches: list[Stretch] = field(default_factory=list)
    samples: int = 0
    known: float = 1.0  # least share of the probability that the stored labels of a sample hold
    enters_stored: int = 0  # labels that became active as the job ran
    enters: int = 0  # and with these settings


def replay(results: Iterable[Result], settings: SmoothingSettings, bundle: Bundle) -> Replay:
    """
    Args:
        results: of one job, in order. Each has the raw scores of its best labels; what is left of the probability is
            spread evenly over the other classes, so with ``worker.top_k`` at the number of classes a replay is exact.
    """
    smoother = Smoother(settings, bundle.classes, bundle.thresholds, bundle.background)
    found = Replay()
    opened: dict[int, Change] = {}
    before: set[str] = set()
    for result in results:
        scores, known = _scores(result, bundle.classes)
        found.samples += 1
        found.known = min(found.known, known)
        found.enters_stored += len(set(result.active) - before)
        before = set(result.active)
        _, changes = smoother.update(result.pts_s, scores, result.change)
        _note(changes, opened, found, bundle)
    _note(smoother.close(), opened, found, bundle)
    found.stretches.sort(key=lambda stretch: (stretch.start_s, stretch.label))
    return found


def _scores(result: Result, classes: int) -> tuple[np.ndarray, float]:
    """(classes,) float32 of what is stored, and the share of the probability that it is."""
    ids = [label.class_id for label in result.labels if label.class_id < classes]
    known = [label.score for label in result.labels if label.class_id < classes]
    total = min(1.0, sum(known))
    scores = np.full(classes, (1.0 - total) / max(1, classes - len(ids)), np.float32)
    scores[ids] = known
    return scores, total


def _note(changes: list[Change], opened: dict[int, Change], found: Replay, bundle: Bundle) -> None:
    for change in changes:
        if change.kind == "enter":
            opened[change.class_id] = change
            found.enters += 1
        else:
            enter = opened.pop(change.class_id)
            label = bundle.labels[change.class_id]
            found.stretches.append(Stretch(label, enter.since_s, change.since_s, enter.pts_s))
