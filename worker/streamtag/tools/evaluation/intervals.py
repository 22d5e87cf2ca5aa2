"""How far a figure may be off by the luck of the pictures: intervals of 95 %, and whether two networks differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

Z = 1.959964  # standard deviations of a normal distribution that 95 % lie within
DRAWS = 400  # of the bootstrap: the ends of 95 % are then known to about a tenth of the interval


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its interval of 95 %."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the width of the interval: what is printed behind ±."""
        return (self.high - self.low) / 2


def share(hits: int, of: int) -> Figure:
    """A share with the interval of Wilson (1927), which holds for few and for shares near 0 and 1, too.

    Of nothing the share is 0 and may be anything.
    """
    if of == 0:
        return Figure(0.0, 0.0, 1.0)
    value = hits / of
    middle = (value + Z * Z / (2 * of)) / (1 + Z * Z / of)
    half = Z / (1 + Z * Z / of) * math.sqrt(value * (1 - value) / of + Z * Z / (4 * of * of))
    return Figure(value, min(value, max(0.0, middle - half)), max(value, min(1.0, middle + half)))


def bootstrap(value: float, count: int, of_draw: Callable[[np.ndarray], float]) -> Figure:
    """A figure of samples with what it would be of others like them (Efron 1979, percentiles).

    Args:
        count: of samples.
        of_draw: the figure, where each sample occurs so often, (count,) int64.
    """
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS)
    low, high = np.quantile([of_draw(row) for row in weights], (0.025, 0.975))
    return Figure(value, min(value, float(low)), max(value, float(high)))


def mean(values: np.ndarray) -> Figure:
    """The mean of (n,) values."""
    return bootstrap(float(values.mean()), len(values), lambda weights: float(weights @ values) / len(values))


def differ(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test (1947) of two networks on the same samples.

    Args:
        first, second: (n,) bool, whether a network is right.

    Returns:
        How many the first alone has right, how many the second alone, and how likely a difference as large as this is
        where neither is better.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 0, 0, 1.0
    return only_first, only_second, float(binomtest(only_first, only_first + only_second).pvalue)
