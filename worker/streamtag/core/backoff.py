"""How long to wait before something is tried again."""

from __future__ import annotations

MOST_DOUBLINGS = 30


def full_jitter_s(tries: int, first_s: float, cap_s: float, chance: float) -> float:
    """Exponential back-off with full jitter: many that lost one server do not come back all at once.

    Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        tries: that failed so far, at least 1.
        first_s: at most, after the first; doubled with each.
        cap_s: what it grows to.
        chance: drawn evenly from 0 to 1.
    """
    return chance * min(cap_s, first_s * 2.0 ** min(tries - 1, MOST_DOUBLINGS))
