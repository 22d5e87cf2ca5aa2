"""The clocks of a live stream: when each packet arrived, and what its time of presentation is. Pure.

A worker that is short of processor time leaves a stream in the kernel's buffers for half a minute, and what it then
reads looks as if it had come just now. But the camera's own times say how far apart two packets were made. So packets
are placed by them, from the last one on that had come just then, since nothing was left to read behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

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
# What it seems to be off by less is how unevenly packets come.
USUAL_RATE = 0.1
# Packets that come so much later than the camera's clock says, and after so many times its step, come after a hole.
HOLE_S = 0.2
HOLE_STEPS = 1.5
# Less than this is caught up on.
CAUGHT_UP_S = 0.1
# What waited comes as soon as somebody reads it: what has not caught up to so much of it for so long never waited.
CATCHING_UP = 0.9
FORGET_S = 10.0
# So long is remembered how late the earliest packets were, of those that come in bursts ...
BURSTS_S = 60.0
# ... and longer than this none is held back.
MAX_HELD_S = 30.0
# Packets that come this much faster than they were made were kept by the server; where some may lie about on this side,
# too, it is told from more of them, and more strictly.
BURST_PACE = 0.4
CLOSE_PACE, CLOSE_OVER_S = 0.8, 0.3


def at_pace(packets: Iterable[tuple[float, float | None]], prompt: bool) -> bool:
    """Whether packets come as fast as they were made, and not what had waited: neither in a burst nor after a hole.

    Args:
        packets: when each was seen, and its time by the camera's clock; the newest first.
        prompt: the first was here so soon that none can have waited on this side.
    """
    pace, over_s = (BURST_PACE, 0.0) if prompt else (CLOSE_PACE, CLOSE_OVER_S)
    newest = None
    for seen_s, raw_s in packets:
        if newest is None:
            newest = seen_s, raw_s
        elif newest[0] - seen_s >= over_s:
            waited_s = newest[0] - seen_s
            if newest[1] is None or raw_s is None:
                return waited_s > 0.01
            made_s = newest[1] - raw_s
            return pace * made_s <= waited_s <= made_s + HOLE_S
    return False


class ArrivalClock:
    """When packets arrived. All times are seconds of one clock of ours, but for the camera's (``raw_s``).

    That nothing is left to read behind a packet is no proof that it has just come: what feeds the connection may have
    had no processor either, or the network stood. That shows in a hole, after which less time has gone by for the
    camera than for us. So much are packets late from then on, less what they catch up on.
    """

    held_s = 0.0  # how long frames have to be held back: these come as they are made

    def __init__(self) -> None:
        self._anchor: tuple[float, float] | None = None  # arrival and camera time of the last packet
        self._seen_s = -math.inf  # when that was seen, where it was not known to have just come
        self._fresh: tuple[float, float] | None = None  # the same of one that had just come, some time ago
        self._rate = 1.0  # seconds of ours in one of the camera's
        self._last_s = -math.inf
        self._late_s = 0.0  # how much later than it arrived the last packet was seen
        self._hole_s = -math.inf  # when the last hole ended
        self._most_late_s = 0.0  # after it; 0 once that is caught up on

    def arrived_s(self, seen_s: float, raw_s: float | None, caught_up: bool) -> float:
        """When a packet arrived; never before the one before it, nor after it was seen.

        Args:
            seen_s: when we read it.
            raw_s: its time by the camera's clock, or None.
            caught_up: nothing was left to read behind it.
        """
        step_s = raw_s - self._anchor[1] if raw_s is not None and self._anchor is not None else 0.0
        if raw_s is None:
            arrived_s = seen_s
        elif not 0 <= step_s <= MAX_STEP_S:
            # The clock was set. A packet behind others waited with them, since when it does not say.
            arrived_s = seen_s if caught_up else self._last_s
            self._fresh, self._most_late_s = None, 0.0
        else:
            late_s = seen_s - self.place_s(raw_s, seen_s)
            self._look_for_hole(late_s, seen_s, step_s * self._rate)
            arrived_s = seen_s - (min(late_s, self._most_late_s) if caught_up else late_s)
        self._last_s = max(self._last_s, arrived_s)
        self._late_s = seen_s - self._last_s
        if raw_s is not None:
            self._anchor = self._last_s, raw_s
            self._seen_s = -math.inf if caught_up else seen_s
            if caught_up:
                self._learn_rate(seen_s, raw_s)
        return self._last_s

    def was_caught_up(self) -> None:
        """What was left to read behind the last packet was but the one after it, as is known now: it had just come.

        FFmpeg knows a packet's end by the beginning of the next, the rest of which may be there by then. Of a camera
        that sends each frame at once it always is.
        """
        if self._anchor is None or self._seen_s == -math.inf:
            return
        self._last_s = max(self._last_s, self._seen_s - min(self._late_s, self._most_late_s))
        self._late_s = self._seen_s - self._last_s
        self._anchor = self._last_s, self._anchor[1]
        self._learn_rate(self._seen_s, self._anchor[1])

    def place_s(self, raw_s: float | None, seen_s: float) -> float:
        """When a packet arrived by what is known of the camera's clock: also of one seen before that was known."""
        if raw_s is None or self._anchor is None:
            return seen_s
        arrived_s, camera_s = self._anchor
        return min(seen_s, arrived_s + (raw_s - camera_s) * self._rate)

    def _look_for_hole(self, late_s: float, seen_s: float, step_s: float) -> None:
        """Take in how late a packet is by the camera's clock, so much after the one before.

        Outside of holes that clock is slow, which shows in every step a little. And where nothing is caught up on after
        one, it stood still with the camera.
        """
        if late_s - self._late_s > max(HOLE_S, HOLE_STEPS * step_s):
            self._hole_s, self._most_late_s = seen_s, late_s
        elif late_s <= CAUGHT_UP_S or seen_s - self._hole_s > FORGET_S:
            self._most_late_s = 0.0
        elif late_s < CATCHING_UP * self._most_late_s:
            self._hole_s, self._most_late_s = seen_s, late_s

    def _learn_rate(self, seen_s: float, raw_s: float) -> None:
        if self._most_late_s:
            self._fresh = None
        elif self._fresh is None:
            self._fresh = seen_s, raw_s
        elif raw_s - self._fresh[1] >= RATE_S:
            rate = (seen_s - self._fresh[0]) / (raw_s - self._fresh[1])
            self._rate = min(MAX_RATE, max(1 / MAX_RATE, rate)) if abs(rate - 1.0) > USUAL_RATE else 1.0
            self._fresh = seen_s, raw_s


class BurstClock:
    """The same where frames come in bursts, as those of a playlist's segments do.

    Each was made as long before the last of its burst as its time by the camera's clock says. All times are seconds of
    one clock of ours, but for the camera's (``raw_s``).

    Attributes:
        held_s: how long frames have to be held back to be had as evenly as they were made.
    """

    def __init__(self) -> None:
        self.held_s = 0.0
        # Between our clock and the camera's, at least: lately, and before. A camera's clock that is slow shows in time.
        self._least_s = self._before_s = math.inf
        self._since_s = -math.inf
        self._raw_s: float | None = None  # of the last packet, and when it was seen and had come
        self._seen_s = self._last_s = -math.inf

    def arrived_s(self, seen_s: float, raw_s: float | None, caught_up: bool) -> float:
        """When a packet can have come at the latest; never before the one before it, nor after it was seen."""
        if raw_s is None:
            return seen_s
        waited_s = seen_s - self._seen_s
        if self._raw_s is not None and not 0 <= raw_s - self._raw_s <= MAX_STEP_S + waited_s:
            # The clock was set: at the beginning of a segment, all of which waits as long as the one before it.
            self._least_s, self._before_s = max(self._last_s, seen_s - self.held_s) - raw_s, math.inf
        if seen_s - self._since_s > BURSTS_S:
            self._before_s, self._least_s, self._since_s = self._least_s, math.inf, seen_s
        self._least_s = min(self._least_s, seen_s - raw_s)
        self._raw_s, self._seen_s = raw_s, seen_s
        self._last_s = max(self._last_s, self.place_s(raw_s, seen_s))
        self.held_s = max(self.held_s, min(MAX_HELD_S, seen_s - self._last_s))
        return self._last_s

    def place_s(self, raw_s: float | None, seen_s: float) -> float:
        """When a packet can have come at the latest, as is known by now: also of one seen before that was known."""
        return seen_s if raw_s is None else min(seen_s, raw_s + min(self._least_s, self._before_s))

    def was_caught_up(self) -> None:
        """That nothing was left to read says nothing here."""


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


class StreamTime:
    """Presentation times of a live stream over all its connections and owners: seconds since its first frame ever.

    Each connection counts from a first frame of its own. When that came is known with its first sample only: opening
    takes now a moment, now ten seconds, and then the next frame may be as far off.

    Args:
        origin_s: when it was 0, by our clock, of a stream that another had before.
        last_s: as far as it had come.
    """

    def __init__(self, origin_s: float | None = None, last_s: float = 0.0) -> None:
        self._origin_s = origin_s
        self._last_s = last_s
        self._later_s: float | None = None  # than on this connection

    def connecting(self) -> None:
        """Another connection begins."""
        self._later_s = None

    def place_s(self, pts_s: float, arrived_s: float) -> float:
        """The presentation time of a sample; never before that of the one before it.

        Args:
            pts_s: on its connection.
            arrived_s: when it came, by our clock.
        """
        if self._origin_s is None:
            self._origin_s, self._later_s = arrived_s - pts_s, 0.0
        elif self._later_s is None:
            self._later_s = max(self._last_s + LEAST_STEP_S, arrived_s - self._origin_s) - pts_s
        self._last_s = pts_s + (self._later_s or 0.0)
        return self._last_s
