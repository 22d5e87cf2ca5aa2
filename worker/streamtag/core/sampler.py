"""Which frames are samples, and when a frame is shown. Pure: presentation times in, decisions out.

Sampling goes by presentation time, never by counting frames over a frame rate, so that a file of variable
frame rate or one with lost frames gives the samples that its true times say.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from streamtag.core.job import Decode, Sampling

# Presentation times are rounded by containers (milliseconds in Matroska, 1/90000 s in MPEG-TS): a frame
# that is due at 0.2 s may carry 0.19999.
EPSILON_S = 1e-4
# A frame that is said to come more than a day after the one before it is no time-lapse but a broken clock, and no
# recording goes on for three years. Believed, such clocks would drive a job's result ids past what Redis can hold.
MAX_STEP_S = 86_400.0
MAX_LENGTH_S = 1e8
# Frames that may have the time of the one before them; with more in a row their clock stands still.
_REPEATED = 2
# Key frames that come so much more seldom than samples are asked for will still do: the rate is then 5 % lower.
KEYS_TOLERANCE = 1.05
# Periods without a sample after which any frame is one.
KEYS_OVERDUE = 1.6


def asked_fps(sampling: Sampling, default_fps: float) -> float | None:
    """Samples a second that are asked for; None where the frames of the source decide."""
    return None if sampling.every or sampling.keyframes else (sampling.fps or default_fps)


class Sampler:
    """Keeps the first frame of each period of ``1 / fps`` seconds, or each n-th frame, or all of them.

    The periods stand on a fixed grid from 0, so the choice depends on times alone: a second run over the same
    file keeps the same frames.
    """

    def __init__(self, sampling: Sampling, default_fps: float) -> None:
        self.fps = asked_fps(sampling, default_fps)
        self.every = sampling.every or 1
        self._last_period = -1

    def keep(self, index: int, pts_s: float) -> bool:
        if self.fps is None:
            return index % self.every == 0
        period = math.floor((pts_s + EPSILON_S) * self.fps)
        if period <= self._last_period:
            return False
        self._last_period = period
        return True


class DueFrames:
    """Keeps the frame that is nearest to each moment at which a sample is due; so of a live stream.

    On a fixed grid the frames of a camera of just the rate that is asked for would lie now before a line and now behind
    it, for they tremble by a millisecond: a quarter of them were passed over. Here a sample is due a period after the
    one before it was, or later where that one's frame was late by more than half a frame.
    """

    def __init__(self, fps: float) -> None:
        self._period_s = 1.0 / fps
        self._due_s: float | None = None
        self._last_s = -math.inf
        self._near_s = 0.0  # half of what lay between the last two frames

    def keep(self, pts_s: float) -> bool:
        self._due_s = pts_s if self._due_s is None else self._due_s
        usual_s, self._near_s = self._near_s, min(pts_s - self._last_s, self._period_s) / 2
        self._last_s = pts_s
        if pts_s < self._due_s - self._near_s - EPSILON_S:
            return False
        self._due_s = max(self._due_s, pts_s - min(usual_s, self._near_s)) + self._period_s
        return True


class SparseSampler:
    """The same for a live stream of which not every frame needs to be decoded: prefers key frames, which cost little.

    Where key frames come at least as often as samples are asked for, samples are key frames. Where they stay out, or
    come too seldom, any frame will do.

    Args:
        mode: ``auto`` as said; ``keyframes`` key frames only, however few; ``all`` any frame.
    """

    def __init__(self, sampling: Sampling, default_fps: float, mode: Decode) -> None:
        self._grid = Sampler(sampling, default_fps)
        self._fps = self._grid.fps
        self._due = DueFrames(self._fps or 1.0)
        self._mode = mode
        self._intervals_s: deque[float] = deque(maxlen=4)  # between the last key frames
        self._key_s: float | None = None  # the last key frame
        self._kept_s = -math.inf
        self.only_keys = mode == "keyframes"  # only a key frame can be the next to be kept, as things stand

    def keep(self, index: int, pts_s: float, key: bool) -> bool:
        if key:
            if self._key_s is not None:
                self._intervals_s.append(pts_s - self._key_s)
            self._key_s = pts_s
        kept = self._wants(index, pts_s, key)
        if kept:
            self._kept_s = pts_s
        return kept

    def _wants(self, index: int, pts_s: float, key: bool) -> bool:
        if self._fps is None:
            return (key or self._mode != "keyframes") and self._grid.keep(index, pts_s)
        self.only_keys = self._mode == "keyframes" or (self._mode == "auto" and self._keys_suffice(pts_s))
        return (key or not self.only_keys) and self._due.keep(pts_s)

    def _keys_suffice(self, pts_s: float) -> bool:
        assert self._fps is not None
        if self._key_s is not None and pts_s - max(self._key_s, self._kept_s) > KEYS_OVERDUE / self._fps:
            self._key_s = None
            self._intervals_s.clear()
        if not self._intervals_s:
            return False
        return max(self._intervals_s) * self._fps <= KEYS_TOLERANCE


class Timeline:
    """Turns the times that a demuxer reports into times that never go back, nor further forward than is believable.

    A missing time (raw H.264, some AVI files) is one frame later than the last; after a jump (joined files, a counter
    that wrapped, a file that lies) time goes on from there. Two megabytes of Matroska whose times went to and fro added
    up to more than the id of a result can hold.

    Attributes:
        jumps: how often that was.
        untimed: how many had no time.
        longest_s: between two frames.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = min(frame_s, MAX_STEP_S)
        self._last_s: float | None = None
        self._offset_s = 0.0
        self._raw_s: float | None = None
        self._repeated = 0  # frames in a row with the time of the one before them
        self.jumps = self.untimed = 0
        self.longest_s = 0.0

    @property
    def last_s(self) -> float:
        """When the last frame was shown."""
        return self._last_s or 0.0

    def next(self, raw_s: float | None) -> float:
        """The presentation time of the next frame, in seconds.

        Args:
            raw_s: what the demuxer says, or None or NaN where it says nothing.
        """
        due_s = 0.0 if self._last_s is None else self._last_s + self._frame_s
        if raw_s is None or not math.isfinite(raw_s):
            pts_s = due_s
            self.untimed += 1
        else:
            pts_s = raw_s + self._offset_s
            self._repeated = self._repeated + 1 if raw_s == self._raw_s else 0
            self._raw_s = raw_s
            if self._last_s is not None and 0 < self._repeated <= _REPEATED:
                pts_s = self._last_s + self._frame_s / (_REPEATED + 2)  # before the next, which is where it says
            elif not self._believable(pts_s):
                self.jumps += 1
                self._offset_s, pts_s = due_s - raw_s, due_s
        self.longest_s = max(self.longest_s, pts_s - self.last_s)
        self._last_s = pts_s
        return pts_s

    def _believable(self, pts_s: float) -> bool:
        if self._last_s is None:
            return 0.0 <= pts_s <= MAX_STEP_S
        return self._last_s < pts_s <= min(self._last_s + MAX_STEP_S, MAX_LENGTH_S)


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to become of a frame."""

    index: int  # in the order of showing
    pts_s: float
    wanted: bool  # it is a sample, and not done with


class FramePlan:
    """Plans frame by frame, in the order of showing.

    Args:
        keep: whether a frame is a sample: by its index, its time in seconds, and whether it is a key frame.
        first_index: of the first frame.
        resume_index: samples before it are done with.
    """

    def __init__(
        self, keep: Callable[[int, float, bool], bool], timeline: Timeline, first_index: int, resume_index: int
    ) -> None:
        self._keep = keep
        self._timeline = timeline
        self._index = first_index
        self._resume_index = resume_index

    def next(self, raw_s: float | None, key: bool = False, usable: bool = True) -> Planned:
        """
        Args:
            raw_s: what the demuxer says of its time, or None where it says nothing.
            usable: it may be a sample.
        """
        index, pts_s = self._index, self._timeline.next(raw_s)
        self._index += 1
        wanted = usable and self._keep(index, pts_s, key)
        return Planned(index, pts_s, wanted and index >= self._resume_index)
