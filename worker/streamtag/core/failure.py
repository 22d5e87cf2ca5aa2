"""What ended a connection to a source: what that means for its job, and the cause, for those who count them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """What a failed connection means for its job."""

    RETRY = "retry"  # it may pass
    AUTH = "auth"  # the server refuses us: it may pass, when a person has set it right
    REJECT = "reject"  # the source can never succeed as it stands
    LIVE = "live"  # none: the source goes on for ever, which the job left open


class FailureCause(StrEnum):
    """Whose fault a failed connection was, and how it showed."""

    AUTH = "auth"  # user or password
    UNREACHABLE = "unreachable"  # no connection could be made
    TIMEOUT = "timeout"  # no answer, or nothing came any more
    SOURCE = "source"  # it broke off, answered with an error, or cannot be read now
    REJECTED = "rejected"  # it can never be read as it stands
    DIED = "died"  # the decoder process did
    SILENT = "silent"  # the decoder gave no sign of life, and was killed
    MALFORMED = "malformed"  # the decoder said what it may not, and was killed
    MACHINE = "machine"  # no decoder process could be started
    INTERNAL = "internal"  # a fault of ours


CAUSE_OF_KIND = {
    FailureKind.RETRY: FailureCause.SOURCE,
    FailureKind.AUTH: FailureCause.AUTH,
    FailureKind.REJECT: FailureCause.REJECTED,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """How one connection ended before its time.

    Attributes:
        opened: the source had been open by then.
    """

    cause: FailureCause
    opened: bool
