"""Filters over time: each turns the scores of one sample into smoothed scores, and can be stored after any sample."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Protocol

import numpy as np

from streamtag.core.options import SmoothingSettings
from streamtag.core.smoother_state import FilterState


class Filter(Protocol):
    """Smooths scores over time. ``scores`` and the answer are (classes,) float32."""

    def update(self, elapsed_s: float, scores: np.ndarray) -> np.ndarray: ...
    def reset(self) -> None: ...
    def dump(self) -> tuple[dict[str, Any], bytes]: ...
    def load(self, head: FilterState, vector: np.ndarray) -> None: ...


class NoFilter:
    """The scores as they come."""

    def update(self, elapsed_s: float, scores: np.ndarray) -> np.ndarray:
        return scores

    def reset(self) -> None:
        pass

    def dump(self) -> tuple[dict[str, Any], bytes]:
        return {}, b""

    def load(self, head: FilterState, vector: np.ndarray) -> None:
        pass


class _VectorFilter:
    """A filter whose whole memory is one vector with a value per class."""

    def __init__(self) -> None:
        self._vector: np.ndarray | None = None

    def reset(self) -> None:
        self._vector = None

    def dump(self) -> tuple[dict[str, Any], bytes]:
        return {}, b"" if self._vector is None else self._vector.tobytes()

    def load(self, head: FilterState, vector: np.ndarray) -> None:
        self._vector = vector.copy() if vector.size else None


class ExponentialFilter(_VectorFilter):
    """Exponential moving average in continuous time: ``α = 1 − exp(−Δt/τ)``."""

    def __init__(self, tau_s: float) -> None:
        super().__init__()
        self._tau_s = tau_s
        self._step = np.empty(0, np.float32)

    def update(self, elapsed_s: float, scores: np.ndarray) -> np.ndarray:
        if self._vector is None:
            self._vector = scores.astype(np.float32)
            return self._vector
        # All in place: a vector of 1000 is allocated more slowly than it is averaged.
        step = self._step
        if step.shape != scores.shape:
            step = self._step = np.empty_like(self._vector)
        np.subtract(scores, self._vector, out=step)
        np.multiply(step, np.float32(1.0 - math.exp(-elapsed_s / self._tau_s)), out=step)
        self._vector += step
        return self._vector


class StickyFilter(_VectorFilter):
    """Forward algorithm of a hidden Markov model whose classes stay for ``stay_s`` on average.

    ``b ← (p·b + (1 − p)/C) · scores``, normalised, with ``p = exp(−Δt/stay_s)`` (Rabiner 1989, section III A).
    """

    def __init__(self, stay_s: float) -> None:
        super().__init__()
        self._stay_s = stay_s

    def update(self, elapsed_s: float, scores: np.ndarray) -> np.ndarray:
        if self._vector is None:
            belief = scores.astype(np.float32)
        else:
            stay = np.float32(math.exp(-elapsed_s / self._stay_s))
            # The floor keeps a class that was once impossible from being so for ever.
            belief = (stay * self._vector + (1 - stay) / scores.size) * np.maximum(scores, np.float32(1e-6))
        self._vector = belief / max(float(belief.sum()), 1e-12)
        return self._vector


class MajorityFilter:
    """The share of the votes (best class of each sample) within the last ``window_s``."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._votes: deque[tuple[float, int]] = deque()  # (age when cast on our own clock, class)
        self._clock_s = 0.0

    def update(self, elapsed_s: float, scores: np.ndarray) -> np.ndarray:
        self._clock_s += elapsed_s
        self._votes.append((self._clock_s, int(scores.argmax())))
        while self._votes[0][0] < self._clock_s - self._window_s:
            self._votes.popleft()
        shares = np.bincount([vote for _, vote in self._votes], minlength=scores.size)
        return (shares / len(self._votes)).astype(np.float32)

    def reset(self) -> None:
        self._votes.clear()
        self._clock_s = 0.0

    def dump(self) -> tuple[dict[str, Any], bytes]:
        return {"votes": list(self._votes), "clock_s": self._clock_s}, b""

    def load(self, head: FilterState, vector: np.ndarray) -> None:
        self._votes = deque(head.votes)
        self._clock_s = head.clock_s


def make_filter(settings: SmoothingSettings) -> Filter:
    """The filter that the settings name."""
    match settings.method:
        case "ema":
            return ExponentialFilter(settings.tau_s)
        case "majority":
            return MajorityFilter(settings.window_s)
        case "sticky":
            return StickyFilter(settings.stay_s)
    return NoFilter()
