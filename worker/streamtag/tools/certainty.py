"""How sure the network is of a picture: by what was published of it, or by asking it now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamtag.core.records import Result
from streamtag.ingest import geometry
from streamtag.networks.engines.base import calibrated
from streamtag.networks.loading import LoadedNetwork

# Of a picture at a time, from 0 to 1: what separates the best class from the next; None where it is not known.
Certainty = Callable[[float, np.ndarray], float | None]


def by_network(network: LoadedNetwork) -> Certainty:
    """What the network makes of each picture now."""
    preprocessing, engine = network.bundle.preprocessing, network.engine
    seen = np.empty(preprocessing.shape, np.uint8)

    def certainty(_pts_s: float, picture: np.ndarray) -> float:
        geometry.fit(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), preprocessing, seen)
        return margin(calibrated(engine.predict([seen]), network.bundle)[0])

    return certainty


@dataclass(frozen=True, slots=True)
class Published:
    """What results say of a job."""

    certainty: Certainty
    step_s: float  # from one sample to the next


def by_results(results: Iterable[Result]) -> Published | None:
    """What was published of one region of a job; None where nothing is there (any more)."""
    known = sorted((result.pts_s, margin([label.score for label in result.labels])) for result in results)
    if not known:
        return None
    times, values = np.array([pts_s for pts_s, _ in known]), [value for _, value in known]
    steps = np.diff(times)
    step_s = float(np.median(steps[steps > 0])) if (steps > 0).any() else 1.0

    def certainty(pts_s: float, _picture: np.ndarray) -> float | None:
        at = int(np.abs(times - pts_s).argmin())
        return values[at] if abs(times[at] - pts_s) <= step_s / 2 else None

    return Published(certainty, step_s)


def margin(scores: Sequence[float] | np.ndarray) -> float:
    """How far the best is ahead of the next, 0 to 1."""
    first, second = [*sorted(map(float, scores), reverse=True), 0.0, 0.0][:2]
    return first - second
