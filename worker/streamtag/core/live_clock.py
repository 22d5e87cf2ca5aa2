"""The two clocks of a live stream: when each packet arrived, and what its time of presentation is. Pure.

A worker that is short of processor time leaves a stream in the kernel's buffers for half a minute, and what it then
reads looks as if it had come just now. But the camera's own times say how far apart two packets were made. So packets
are placed by them, from the last one on that had come just then, since nothing was left to read behind it.
"""

from __future__ import annotations

import math

# A camera's clock that steps further than this between two packets was set, and says nothing about the time between.
MAX_STEP_S = 10.0
# Presentation time follows the camera's clock as it is, smoothly, while that is so near to the time of arrival ...
DEADBAND_S = 0.25
# ... and is drawn to it within about so long when it is not; further away than this it is set.
PULL_S = 1.0
RESET_S = 3.0
LEAST_STEP_S = 0.001
# Over so long the speed of a camera's clock is measured, and so much faster or slower than ours it may go.
RATE_S = 2.0
MAX_RATE = 4.0


class ArrivalClock:
    """When packets arrived. All times are seconds of one clock of ours, but for the camera's (``raw_s``)."""

    def __init__(self) -> None:
        self._anchor: tuple[float, float] | None = None  # arrival and camera time of the packet that others go by
        self._fresh: tuple[float, float] | None = None  # the same of one that had just come, some time ago
        self._rate = 1.0  # seconds of ours in one of the camera's
        self._last_raw_s: float | None = None
        self._last_s = -math.inf

    def arrived_s(self, seen_s: float, raw_s: float | None, caught_up: bool) -> float:
        """When a packet arrived; never before the one before it, nor after it was seen.

        Args:
            seen_s: when we read it.
            raw_s: its time by the camera's clock, or None.
            caught_up: nothing was left to read behind it.
        """
        if raw_s is None:
            arrived_s = seen_s if caught_up else max(self._last_s, self.place_s(None, seen_s))
        elif self._last_raw_s is not None and not 0 <= raw_s - self._last_raw_s <= MAX_STEP_S:
            # The clock was set. A packet behind others waited with them, since when it does not say.
            arrived_s, self._fresh = (seen_s if caught_up else self._last_s), None
        else:
            arrived_s = seen_s if caught_up else self.place_s(raw_s, seen_s)
        self._last_s = max(self._last_s, arrived_s)
        if raw_s is not None:
            if caught_up:
                self._learn_rate(seen_s, raw_s)
            self._last_raw_s, self._anchor = raw_s, (self._last_s, raw_s)
        return self._last_s

    def place_s(self, raw_s: float | None, seen_s: float) -> float:
        """When a packet arrived by what is known of the camera's clock: also of one seen before that was known."""
        if raw_s is None or self._anchor is None:
            return seen_s
        arrived_s, camera_s = self._anchor
        return min(seen_s, arrived_s + (raw_s - camera_s) * self._rate)

    def _learn_rate(self, seen_s: float, raw_s: float) -> None:
        if self._fresh is None:
            self._fresh = seen_s, raw_s
        elif raw_s - self._fresh[1] >= RATE_S:
            rate = (seen_s - self._fresh[0]) / (raw_s - self._fresh[1])
            self._rate = min(MAX_RATE, max(1 / MAX_RATE, rate))
            self._fresh = seen_s, raw_s


class LiveTimeline:
    """Presentation times of a live stream: as even as the camera's, as true as our clock, and never backwards.

    A camera's clock may run at half or double speed, or be set while it streams. What is asked in samples a second is
    meant in seconds of the wall clock.
    """

    def __init__(self) -> None:
        self._origin_s = 0.0
        self._pts_s: float | None = None
        self._raw_s: float | None = None
        self._arrived_s = 0.0

    def next_s(self, raw_s: float | None, arrived_s: float) -> float:
        """The presentation time of the next frame, from 0 at the first."""
        if self._pts_s is None:
            self._origin_s, self._pts_s = arrived_s, 0.0
        else:
            waited_s = max(0.0, arrived_s - self._arrived_s)
            self._pts_s += max(LEAST_STEP_S, self._step_s(raw_s, waited_s, arrived_s - self._origin_s))
        self._raw_s, self._arrived_s = raw_s, arrived_s
        return self._pts_s

    def _step_s(self, raw_s: float | None, waited_s: float, wall_s: float) -> float:
        assert self._pts_s is not None
        step_s = waited_s
        if raw_s is not None and self._raw_s is not None and 0 < raw_s - self._raw_s <= MAX_STEP_S:
            step_s = raw_s - self._raw_s
        ahead_s = self._pts_s + step_s - wall_s
        if abs(ahead_s) > RESET_S:
            return step_s - ahead_s
        beyond_s = math.copysign(max(0.0, abs(ahead_s) - DEADBAND_S), ahead_s)
        return step_s - beyond_s * (1.0 - math.exp(-waited_s / PULL_S))
