"""What the benches share: rounds in turns told as median and spread, and the machine that they ran on."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from streamtag.networks.engines.machine import this_machine


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure of several rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float], digits: int = 2) -> Spread:
        """The spread of at least one value, rounded."""
        return cls(*(round(value, digits) for value in (statistics.median(values), min(values), max(values))))

    def __str__(self) -> str:
        return f"{self.median:g} ({self.least:g} to {self.most:g})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of each round: what disturbs a round disturbs both."""
    return round(statistics.median(one / other for one, other in zip(ours, theirs, strict=True)), 3)


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the values that so large a share of them does not exceed."""
    ranked = sorted(values)
    return ranked[max(0, min(len(ranked) - 1, -int(-share * len(ranked) // 1) - 1))]


def machine() -> str:
    """This machine, and how busy it is just now: figures are worth nothing without it."""
    here = this_machine()
    return f"{here.cores} cores of {here.processor}, load {os.getloadavg()[0]:.1f}"
