"""The largest of the values of the last while. Pure: times are arguments."""

from __future__ import annotations


class WorstLately:
    """Of the last one to two windows, in two numbers."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._since_s = 0.0  # when the present window began
        self._present = self._before = 0.0

    def see(self, value: float, now_s: float) -> None:
        """Take a value in."""
        self._turn(now_s)
        self._present = max(self._present, value)

    def worst(self, now_s: float) -> float:
        """The largest; 0 where there was none."""
        self._turn(now_s)
        return max(self._present, self._before)

    def _turn(self, now_s: float) -> None:
        passed_s = now_s - self._since_s
        if passed_s >= self._window_s:
            self._before = self._present if passed_s < 2 * self._window_s else 0.0
            self._present, self._since_s = 0.0, now_s
