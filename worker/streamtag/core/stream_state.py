"""What a stream is doing, told from what its decoder says and from the clock. Pure: clock and chance are arguments."""

from __future__ import annotations

from enum import StrEnum


class FailureKind(StrEnum):
    """What a failed connection means for its job."""

    RETRY = "retry"  # it may pass
    AUTH = "auth"  # the server refuses us: it may pass, when a person has set it right
    REJECT = "reject"  # the source can never succeed as it stands
