"""Whether a live picture is frozen or black, told from its motion and brightness. Pure: the clock is an argument.

A camera that hangs sends one picture again and again, and its encoder makes each a little different: by at most 0.0009
of full scale as ``motion`` counts. The noise of a sensor alone makes 0.0016 and more, real pictures 0.0027 in the
stillest twentieth of their samples. A stream that is quieter by nature shows it while it moves, and is judged by it.
"""

from __future__ import annotations

from collections import deque

from streamtag.core.records import StreamState

STILL = 0.0012  # motion below which a picture is the same as the one before
# The floor is the motion that a stream falls below in a twentieth of its samples while it is not frozen.
FLOOR_QUANTILE = 0.05
FLOOR_STEP = 0.05  # of the floor, by which a sample moves it at most
FLOOR_SHARE = 0.6
STILL_SAMPLES = 3  # at least so many, however far apart they are
MOVES_AGAIN = 1.5  # times the motion that would have kept it from being frozen
BRIGHTER = 0.02  # more than what is black, to be black no longer
QUIET_KEPT = 64
HOLD_S = 2.0  # a picture becomes black, or ceases to be, when it has been so for so long


class PictureWatch:
    """Looks at each sample of a stream.

    Args:
        frozen_s: seconds of the same picture that make it frozen.
        black_luma: mean brightness below which it is black.
    """

    def __init__(self, frozen_s: float, black_luma: float) -> None:
        self.state = StreamState.LIVE  # live, frozen or black
        self._frozen_s = frozen_s
        self._black_luma = black_luma
        self._dark = False  # at the last sample
        self._dark_changed_s = 0.0
        self._black = False
        self._floor: float | None = None
        self._still_samples = 0
        self._still_since_s = 0.0
        self._quiet: deque[float] = deque(maxlen=QUIET_KEPT)  # motions since then
        self._frozen = False

    def see(self, motion: float | None, luma: float, now_s: float) -> StreamState:
        """What the picture shows: nothing at all, nothing new, or life.

        Args:
            motion: difference to the sample before, 0 to 1; None where there is none to compare with.
            luma: mean brightness, 0 to 1.
        """
        self._look_for_light(luma, now_s)
        if motion is not None:
            self._look_for_motion(motion, now_s)
        self.state = StreamState.BLACK if self._black else StreamState.FROZEN if self._frozen else StreamState.LIVE
        return self.state

    def _look_for_light(self, luma: float, now_s: float) -> None:
        dark = luma < self._black_luma + (BRIGHTER if self._dark else 0.0)
        if dark is not self._dark:
            self._dark, self._dark_changed_s = dark, now_s
        if self._dark is not self._black and now_s - self._dark_changed_s >= HOLD_S:
            self._black = self._dark

    def _look_for_motion(self, motion: float, now_s: float) -> None:
        limit = STILL if self._floor is None else min(STILL, FLOOR_SHARE * self._floor)
        if motion >= limit * (MOVES_AGAIN if self._frozen else 1.0):
            # What was quiet for a while only, and not long enough to be frozen, is in the nature of the stream.
            if not self._frozen and not self._dark:
                for seen in (*self._quiet, motion):
                    self._learn(seen)
            self._frozen, self._still_samples = False, 0
            self._quiet.clear()
            return
        if self._still_samples == 0:
            self._still_since_s = now_s
        self._still_samples += 1
        self._quiet.append(motion)
        if self._still_samples >= STILL_SAMPLES and now_s - self._still_since_s >= self._frozen_s:
            self._frozen = True

    def _learn(self, motion: float) -> None:
        if self._floor is None:
            self._floor = max(motion, STILL)
        self._floor *= 1.0 + FLOOR_STEP * (FLOOR_QUANTILE - (motion < self._floor))
