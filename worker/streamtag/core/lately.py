"""The largest of the values of the last while, and how fast a counter grew. Pure: times are arguments."""

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


class RateLately:
    """Growth a second of a counter that is read now and then."""

    def __init__(self, window_s: float = 5.0) -> None:
        self._window_s = window_s
        self._seen: list[tuple[float, int]] = []

    def see(self, count: int, now_s: float) -> float:
        """Take the counter in; how fast it grew over about the last window."""
        if self._seen and (count < self._seen[-1][1] or now_s < self._seen[-1][0]):
            self._seen.clear()  # begun anew, or the clock was set
        self._seen.append((now_s, count))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - self._window_s:
            del self._seen[0]
        began_s, first = self._seen[0]
        return (count - first) / (now_s - began_s) if now_s > began_s else 0.0
