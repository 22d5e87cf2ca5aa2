"""Smooth a job's stored results again, with other settings and without the network. Pure: results in, segments out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.core.options import SmoothingSettings
from streamtag.core.records import Result
from streamtag.core.segments import Segment, SegmentBuilder
from streamtag.core.smoothing import Smoother


@dataclass(frozen=True, slots=True)
class Replay:
    """What other settings would have made of a job."""

    segments: tuple[Segment, ...]
    samples: int
    known: float  # least share of the probability that the stored labels of a sample hold
    enters_stored: int  # labels that became active as the job ran
    enters: int  # and with these settings


def replay(results: Iterable[Result], settings: SmoothingSettings, bundle: Bundle) -> Replay:
    """Smooth stored results with these settings.

    Args:
        results: of one job, in order. Each has the raw scores of its best labels; what is left of the probability is
            spread evenly over the other classes, so with ``worker.top_k`` at the number of classes a replay is exact.
    """
    smoother = Smoother(settings, bundle.classes, bundle.thresholds, bundle.background)
    segments = SegmentBuilder(bundle.labels)
    samples, known, enters_stored = 0, 1.0, 0
    before: set[str] = set()
    for result in results:
        scores, known_here = _scores(result, bundle.classes)
        samples += 1
        known = min(known, known_here)
        enters_stored += len(set(result.active) - before)
        before = set(result.active)
        _, transitions = smoother.update(result.pts_s, scores, result.change)
        segments.add(transitions)
    segments.add(smoother.close())
    return Replay(segments.segments(), samples, known, enters_stored, segments.enters)


def _scores(result: Result, classes: int) -> tuple[np.ndarray, float]:
    """(classes,) float32 of what is stored, and the share of the probability that it is."""
    ids = [label.class_id for label in result.labels if label.class_id < classes]
    known = [label.score for label in result.labels if label.class_id < classes]
    total = min(1.0, sum(known))
    scores = np.full(classes, (1.0 - total) / max(1, classes - len(ids)), np.float32)
    scores[ids] = known
    return scores, total
