"""Steady labels from flickering scores. Pure and driven by presentation time: a replay gives the same answer.

A *filter* turns the scores of one sample into smoothed scores; ``Hysteresis`` turns smoothed scores into labels that
enter and exit. Both can be stored after any sample and resumed elsewhere with the same output.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson

from streamtag.core.options import SmoothingSettings
from streamtag.core.smoother_state import FilterState, Times, read_state


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

    def update(self, elapsed_s: float, scores: np.ndarray) -> np.ndarray:
        if self._vector is None:
            self._vector = scores.astype(np.float32)
        else:
            # In place: a vector of 1000 is allocated more slowly than it is averaged.
            step = scores - self._vector
            step *= np.float32(1.0 - math.exp(-elapsed_s / self._tau_s))
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


@dataclass(frozen=True, slots=True)
class LabelTransition:
    """A label that became active or stopped being so."""

    kind: str  # enter | exit
    class_id: int
    pts_s: float  # when it was decided
    since_s: float  # when the score crossed the threshold: where the segment really begins or ends
    score: float  # smoothed


class Hysteresis:
    """Labels enter at one threshold and exit at a lower one, each after a minimum time."""

    def __init__(self, enter: np.ndarray, exit_: np.ndarray, min_on_s: float, min_off_s: float) -> None:
        """Thresholds are (classes,) float32."""
        self._enter, self._exit = enter, exit_
        self._min_on_s, self._min_off_s = min_on_s, min_off_s
        self.active: dict[int, float] = {}  # class to the time of its enter
        self._rising: dict[int, float] = {}  # class to when it rose above enter
        self._falling: dict[int, float] = {}  # active class to when it fell below exit

    def update(self, pts_s: float, smoothed: np.ndarray, cut: bool) -> list[LabelTransition]:
        """The transitions at one sample. After a ``cut`` a label that is gone stops at once."""
        transitions: list[LabelTransition] = []
        for class_id in list(self.active):
            score = float(smoothed[class_id])
            if score >= self._exit[class_id]:
                self._falling.pop(class_id, None)
                continue
            since_s = self._falling.setdefault(class_id, pts_s)
            if cut or pts_s - since_s >= self._min_off_s:
                transitions.append(self._leave(class_id, pts_s, since_s, score))
        above = np.flatnonzero(smoothed >= self._enter).tolist()
        if self._rising:
            self._rising = {c: since for c, since in self._rising.items() if c in above}
        for class_id in above:
            if class_id in self.active:
                continue
            since_s = self._rising.setdefault(class_id, pts_s)
            if pts_s - since_s >= self._min_on_s:
                del self._rising[class_id]
                self.active[class_id] = pts_s
                transitions.append(LabelTransition("enter", class_id, pts_s, since_s, float(smoothed[class_id])))
        return transitions

    def close(self, pts_s: float) -> list[LabelTransition]:
        """Everything active stops: the stream ended, or too long was missed to know."""
        self._rising.clear()
        return [self._leave(class_id, pts_s, self._falling.get(class_id, pts_s), 0.0) for class_id in list(self.active)]

    def _leave(self, class_id: int, pts_s: float, since_s: float, score: float) -> LabelTransition:
        del self.active[class_id]
        self._falling.pop(class_id, None)
        return LabelTransition("exit", class_id, pts_s, since_s, score)

    def dump(self) -> list[list[tuple[int, float]]]:
        return [list(times.items()) for times in (self.active, self._rising, self._falling)]

    def load(self, content: tuple[Times, Times, Times]) -> None:
        self.active, self._rising, self._falling = (dict(times) for times in content)


class Smoother:
    """One stream's filter and hysteresis, with the resets: a gap in time, or a scene cut."""

    def __init__(
        self,
        settings: SmoothingSettings,
        classes: int,
        thresholds: dict[int, tuple[float, float]] | None = None,
        never_active: frozenset[int] = frozenset(),
    ) -> None:
        """
        Args:
            classes: length of the score vectors.
            thresholds: class to its own (enter, exit), where the bundle has one.
            never_active: classes that mean "nothing" and are no label.
        """
        enter = np.full(classes, settings.enter, np.float32)
        exit_ = np.full(classes, settings.exit, np.float32)
        for class_id, pair in (thresholds or {}).items():
            enter[class_id], exit_[class_id] = pair
        enter[list(never_active)] = np.inf
        self._settings = settings
        self._classes = classes
        self._filter = make_filter(settings)
        self._hysteresis = Hysteresis(enter, exit_, settings.min_on_s, settings.min_off_s)
        self._last_pts_s: float | None = None

    @property
    def active(self) -> list[int]:
        return list(self._hysteresis.active)

    def update(
        self, pts_s: float, scores: np.ndarray, scene_change: float = 0.0
    ) -> tuple[np.ndarray, list[LabelTransition]]:
        """Take one sample.

        Args:
            scores: (classes,) float32 probabilities.
            scene_change: how much the picture differs from the sample before, 0 to 1.

        Returns:
            Smoothed scores, (classes,) float32, good until the next call and not to be written to; and the labels that
            entered or left.
        """
        transitions: list[LabelTransition] = []
        elapsed_s = 0.0 if self._last_pts_s is None else max(0.0, pts_s - self._last_pts_s)
        cut = scene_change > self._settings.scene_cut
        if self._last_pts_s is not None and elapsed_s > self._settings.reset_gap_s:
            transitions = self._hysteresis.close(self._last_pts_s)
            self._filter.reset()
        elif cut:
            self._filter.reset()
        smoothed = self._filter.update(elapsed_s, scores)
        self._last_pts_s = pts_s
        return smoothed, transitions + self._hysteresis.update(pts_s, smoothed, cut)

    def close(self) -> list[LabelTransition]:
        """The stream ended: every active label exits at its last sample."""
        return self._hysteresis.close(self._last_pts_s or 0.0)

    def dump(self) -> bytes:
        """All of the state, to be read by ``load`` in any process."""
        head, body = self._filter.dump()
        content = {
            "method": self._settings.method,
            "classes": self._classes,
            "last_pts_s": self._last_pts_s,
            "labels": self._hysteresis.dump(),
            "filter": head,
        }
        return orjson.dumps(content) + b"\n" + body

    def load(self, state: bytes) -> None:
        """Go on from a stored state.

        One of a network with other classes is passed over; of one of another smoothing method the active labels are
        kept, and the filter starts anew.

        Raises:
            RejectJob: the bytes are not a state.
        """
        if not state:
            return
        stored, vector = read_state(state)
        if stored.classes != self._classes:
            return
        self._last_pts_s = stored.last_pts_s
        self._hysteresis.load(stored.labels)
        if stored.method == self._settings.method:
            self._filter.load(stored.filter, vector)
