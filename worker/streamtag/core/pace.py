"""What is a gap in a stream: the time without a sample, against the pace of the stream. Pure: seconds come in.

The one rule for all who judge it, so that a replay, an export and a page say what the worker said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf

MISSED = 2.5  # usual steps without a sample: more than one is missing
BY_CLOCK = 3  # last steps that tell the pace of a stream of which a rate is asked for
BY_FRAMES = 16  # the same where its frames decide: a film has key frames at its cuts and, between them, now and then


class Pace:
    """The steps from one sample of a stream to the next.

    Its pace is the step that it took twice among the last few, since once may have been a gap; and no quicker than what
    is asked for.

    Args:
        gap_s: seconds without a sample that are no gap at any pace.
        step_s: seconds between two samples, as they are asked for; None where frames decide. Then nothing tells what
            the first step is, and it is no gap.
    """

    def __init__(self, gap_s: float, step_s: float | None) -> None:
        self._gap_s = gap_s
        self._step_s = step_s
        self._steps: deque[float] = deque(maxlen=BY_FRAMES if step_s is None else BY_CLOCK)

    def breaks(self, elapsed_s: float) -> bool:
        """Take in the time since the sample before, and tell whether it is a gap."""
        missed = elapsed_s > self._gap_s and elapsed_s > MISSED * self._usual_s()
        if elapsed_s > 0:
            self._steps.append(round(elapsed_s, 3))
        return missed

    def _usual_s(self) -> float:
        if not self._steps:
            return inf if self._step_s is None else self._step_s
        return max(sorted(self._steps)[-2:][0], self._step_s or 0.0)

    def dump(self) -> list[float]:
        """Seconds of the last steps, oldest first."""
        return list(self._steps)

    def load(self, steps: Sequence[float]) -> None:
        self._steps.extend(steps)
