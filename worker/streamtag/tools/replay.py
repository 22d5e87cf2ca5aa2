"""Smooth a job's stored results again, with other settings and without the network. Pure: results in, segments out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.core.job import MAX_REGIONS
from streamtag.core.labelling import make_smoother
from streamtag.core.options import SmoothingSettings
from streamtag.core.records import Result
from streamtag.core.segments import Segment, SegmentBuilder
from streamtag.errors import StreamtagError


@dataclass(frozen=True, slots=True)
class Replay:
    """What other settings would have made of a job."""

    by_region: dict[str, tuple[Segment, ...]]  # of most jobs one region, without a name
    samples: int
    known: float  # least share of the probability that the stored labels of a sample hold
    enters_stored: int  # labels that became active as the job ran
    enters: int  # and with these settings

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Those of all regions."""
        return tuple(segment for segments in self.by_region.values() for segment in segments)


class _Again:
    """One region of a job."""

    def __init__(self, settings: SmoothingSettings, bundle: Bundle, watch: Sequence[str], step_s: float | None) -> None:
        self.smoother = make_smoother(bundle, settings, watch, step_s)
        self.segments = SegmentBuilder(bundle.outputs)
        self.active: set[str] = set()  # as the job ran


def replay(
    results: Iterable[Result],
    settings: SmoothingSettings,
    bundle: Bundle,
    watch: Sequence[str] = (),
    step_s: float | None = None,
) -> Replay:
    """Smooth stored results with these settings, those of each region by themselves.

    Args:
        results: of one job, in order. Each has the raw scores of its best labels; what is left of the probability is
            spread evenly over the other classes, so with ``worker.top_k`` at the number of classes a replay is exact.
        watch: labels and groups that the job was limited to; none means all.
        step_s: between two samples, as the job asked for them; None where the frames of its source decided.

    Raises:
        ConfigError: the network has no such label.
    """
    regions: dict[str, _Again] = {}
    samples, known, enters_stored = 0, 1.0, 0
    for result in results:
        if (again := regions.get(result.region)) is None:
            if len(regions) == MAX_REGIONS:
                raise StreamtagError(f"results of more than {MAX_REGIONS} regions: no worker writes that")
            again = regions[result.region] = _Again(settings, bundle, watch, step_s)
        scores, known_here = _scores(result, bundle.classes)
        samples += 1
        known = min(known, known_here)
        enters_stored += len(set(result.active) - again.active)
        again.active = set(result.active)
        scores = bundle.groups.extend(scores[np.newaxis])[0]
        _, transitions = again.smoother.update(result.pts_s, scores, result.change)
        again.segments.add(transitions)
    for again in regions.values():
        again.segments.add(again.smoother.close())
    by_region = {name: again.segments.segments() for name, again in regions.items()}
    enters = sum(again.segments.enters for again in regions.values())
    return Replay(by_region, samples, known, enters_stored, enters)


def _scores(result: Result, classes: int) -> tuple[np.ndarray, float]:
    """(classes,) float32 of what is stored, and the share of the probability that it is."""
    ids = [label.class_id for label in result.labels if label.class_id < classes]
    known = [label.score for label in result.labels if label.class_id < classes]
    total = min(1.0, sum(known))
    scores = np.full(classes, (1.0 - total) / max(1, classes - len(ids)), np.float32)
    scores[ids] = known
    return scores, total
