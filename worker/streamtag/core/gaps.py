"""What a live stream missed between two of its samples, and why. Pure: times are arguments.

Something is missing whenever nobody may have looked between two samples, or the time between two that are known of,
published or dropped, is longer than a few of the usual.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from streamtag.core.continuity import USUAL

GAP_S = 2.0  # without a sample at least, before something was missed, and ``USUAL`` times what is usual
PACE_SHARE = 0.3  # of each interval between samples in what is usual


class GapReason(StrEnum):
    """Why a live stream missed something."""

    HANDOVER = "handover"  # another worker had it before
    RECONNECT = "reconnect"
    LAGGING = "lagging"  # its decoder was too late, and went on with what is new
    SILENCE = "silence"  # the connection stood, and nothing came


@dataclass(frozen=True, slots=True)
class GapNoticed:
    """A live stream goes on after something was missed.

    Attributes:
        span_unix_s: from when to when, where that became clear only later; else from the last result to now.
    """

    reason: GapReason
    span_unix_s: tuple[float, float] | None = None


class Gaps:
    """Follows one stream's samples by their presentation times, connection by connection.

    Args:
        handed_over: another worker had it before.
    """

    def __init__(self, handed_over: bool) -> None:
        self.begun = False  # a sample with a picture came
        self._before = GapReason.HANDOVER if handed_over else None
        self._reason = self._before  # why something before the next sample is missing, if it is
        self._late: GapNoticed | None = None
        self._captured_unix_s: list[float] = []  # of the last two frames with samples
        self._pts_s: float | None = None  # of the last sample of this connection
        self._pace_s: float | None = None  # usual between two samples
        self._doubted_s: float | None = None  # between the first two, until a third tells whether that is usual

    def connecting(self) -> None:
        """Another connection begins: the time until it brings something says nothing."""
        self._pts_s = None

    def broke_off(self) -> None:
        """The connection is over."""
        self._reason = GapReason.RECONNECT if self.begun else self._before

    def gave_up(self) -> None:
        """The decoder passes samples over, up to what is new."""
        self._reason = self._reason or GapReason.LAGGING

    def know(self, pts_s: float, captured_unix_s: float) -> None:
        """Take in a frame with samples, whatever becomes of them."""
        passed_s = pts_s - self._pts_s if self._pts_s is not None else None
        self._pts_s = pts_s
        if passed_s is not None and self._misses(passed_s):
            self._reason = self._reason or GapReason.SILENCE
        self._captured_unix_s = [*self._captured_unix_s[-1:], captured_unix_s]

    def told(self) -> list[GapNoticed]:
        """A sample with a picture came: what is missing before it."""
        found = [GapNoticed(self._reason)] if self._reason is not None else []
        if self._late is not None:
            found.append(self._late)
        self.begun, self._reason, self._late = True, None, None
        return found

    def _misses(self, passed_s: float) -> bool:
        """Whether some should have come in this time between two."""
        if self._pace_s is None:
            self._pace_s = self._doubted_s = passed_s
            return False
        if self._doubted_s is not None:
            if self._doubted_s > max(GAP_S, USUAL * passed_s):
                self._late = GapNoticed(GapReason.SILENCE, (self._captured_unix_s[0], self._captured_unix_s[1]))
                self._pace_s = passed_s
            self._doubted_s = None
        missed = passed_s > max(GAP_S, USUAL * self._pace_s)
        self._pace_s += PACE_SHARE * (passed_s - self._pace_s)
        return missed
