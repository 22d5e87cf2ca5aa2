"""Whether a live stream stands still. Pure: times are arguments.

A stream that sends little is not one that stands still: what counts is when its last packet came, and how long it was
silent before.
"""

from __future__ import annotations

import math

STALLED_S = 5.0  # of silence at least, before a stream is called stalled ...
USUAL = 3.0  # ... and so many times what is usual for it; for its samples, too (``gaps.py``)
MEMORY_S = 60.0  # how long the longest silence stays the usual one


class Continuity:
    """Follows one stream's packets by the clock.

    Args:
        read_timeout_s: of silence, after which a stream is given up: it is called stalled before.
    """

    def __init__(self, read_timeout_s: float) -> None:
        self._stalled_s = min(STALLED_S, read_timeout_s / 2)
        self._packet_s: float | None = None  # when the connection was opened or last brought a packet
        self._usual_silence_s: float | None = None  # once there were two packets

    def connecting(self) -> None:
        """Another connection begins: the time until it brings something says nothing."""
        self._packet_s = None

    def opened(self, now_s: float) -> None:
        self._packet_s = now_s

    def packet(self, now_s: float, learn: bool) -> None:
        """One came, or several.

        Args:
            learn: the silence before it is one of those to expect.
        """
        if learn and self._packet_s is not None:
            silent_s = now_s - self._packet_s
            self._usual_silence_s = max(silent_s, (self._usual_silence_s or 0.0) * math.exp(-silent_s / MEMORY_S))
        self._packet_s = now_s

    def silent_s(self, now_s: float) -> float:
        """How long nothing has come on a connection that is open; 0 where none is."""
        return now_s - self._packet_s if self._packet_s is not None else 0.0

    def stands_still(self, now_s: float) -> bool:
        """Whether it is silent for longer than is usual."""
        usual_s = self._usual_silence_s
        return usual_s is not None and self.silent_s(now_s) > max(self._stalled_s, USUAL * usual_s)

    def moves_until_s(self, heard_s: float) -> float:
        """Before that it is neither called stalled nor given up, whatever comes meanwhile.

        Args:
            heard_s: when anything was heard of it, packet or not.
        """
        return (heard_s if self._packet_s is None else min(heard_s, self._packet_s)) + self._stalled_s
