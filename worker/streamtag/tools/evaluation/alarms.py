"""How often a network says something of footage that shows none of its classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.stats import chi2

from streamtag.core.bundle import UNKNOWN
from streamtag.core.job import Sampling
from streamtag.errors import ConfigError
from streamtag.tools.classify import Classifier, Moment, Progress, expand
from streamtag.tools.evaluation.intervals import Figure


@dataclass(frozen=True, slots=True)
class Alarms:
    """Labels that became active where nothing was to be told."""

    count: int
    hours: float
    per_hour: Figure
    labels: tuple[str, ...]  # of them, each once


def false_alarms(
    classifier: Classifier, videos: Sequence[str], sampling: Sampling, on_progress: Callable[[Progress], None]
) -> Alarms:
    """Count them over videos, by the smoothing in force. That something is unknown is no alarm.

    Raises:
        ConfigError: a video cannot be read, or is no video.
    """
    ends: dict[str, tuple[float, float]] = {}

    def on_moment(moment: Moment) -> None:
        first, _ = ends.get(moment.source, (moment.pts_s, 0.0))
        ends[moment.source] = (first, moment.pts_s)

    told: list[str] = []
    for answer in classifier.classify(list(expand(videos)), 1, sampling, on_progress, on_moment):
        if answer.error:
            raise ConfigError(f"--without {answer.path}: {answer.error}")
        told += [segment.label for segment in answer.segments if segment.label != UNKNOWN]
    hours = sum(last - first for first, last in ends.values()) / 3600
    if hours <= 0:
        raise ConfigError(f"--without {', '.join(videos)}: no video that lasts")
    return Alarms(len(told), hours, rate(len(told), hours), tuple(dict.fromkeys(told)))


def rate(count: int, hours: float) -> Figure:
    """Events an hour with the exact interval of a Poisson process (Garwood 1936)."""
    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    return Figure(count / hours, low / hours, float(chi2.ppf(0.975, 2 * count + 2)) / 2 / hours)
