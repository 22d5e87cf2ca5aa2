"""From smoothed scores to labels that enter and exit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamtag.core.smoother_state import Times

# In floating point 0.6 s less 0.2 s is a little less than 0.4 s, which would be a sample more or less by chance.
ROUNDING_S = 1e-6


def lasts(since_s: float, pts_s: float, least_s: float) -> bool:
    """Whether something has gone on for so long."""
    return pts_s - since_s >= least_s - ROUNDING_S


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
        self._settled: list[int] | None = None  # what was active and alone above enter; None while any rises or falls

    def update(self, pts_s: float, smoothed: np.ndarray, cut: bool) -> list[LabelTransition]:
        """The transitions at one sample. After a ``cut`` a label that is gone stops at once."""
        # Not by np.flatnonzero, whose three layers of Python take longer than the search itself.
        above = (smoothed >= self._enter).nonzero()[0].tolist()
        if above == self._settled:
            return []
        transitions: list[LabelTransition] = []
        for class_id in list(self.active):
            score = float(smoothed[class_id])
            if score >= self._exit[class_id]:
                self._falling.pop(class_id, None)
                continue
            since_s = self._falling.setdefault(class_id, pts_s)
            if cut or lasts(since_s, pts_s, self._min_off_s):
                transitions.append(self._leave(class_id, pts_s, since_s, score))
        if self._rising:
            self._rising = {c: since for c, since in self._rising.items() if c in above}
        for class_id in above:
            if class_id in self.active:
                continue
            since_s = self._rising.setdefault(class_id, pts_s)
            if lasts(since_s, pts_s, self._min_on_s):
                del self._rising[class_id]
                self.active[class_id] = pts_s
                transitions.append(LabelTransition("enter", class_id, pts_s, since_s, float(smoothed[class_id])))
        # Neither rises what is above enter nor falls what is not below exit, which is not above enter.
        self._settled = above if not self._rising and self.active.keys() == set(above) else None
        return transitions

    def close(self, pts_s: float) -> list[LabelTransition]:
        """Everything active stops: the stream ended, or too long was missed to know."""
        self._rising.clear()
        self._settled = None
        return [self._leave(class_id, pts_s, self._falling.get(class_id, pts_s), 0.0) for class_id in list(self.active)]

    def _leave(self, class_id: int, pts_s: float, since_s: float, score: float) -> LabelTransition:
        del self.active[class_id]
        self._falling.pop(class_id, None)
        return LabelTransition("exit", class_id, pts_s, since_s, score)

    def dump(self) -> list[list[tuple[int, float]]]:
        return [list(times.items()) for times in (self.active, self._rising, self._falling)]

    def load(self, content: tuple[Times, Times, Times]) -> None:
        self.active, self._rising, self._falling = (dict(times) for times in content)
        self._settled = None
