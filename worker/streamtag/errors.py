"""The clear kinds of failure. Anything else that is raised is a bug and stops the service."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: the known one that it looks like, if there is any."""
    close = difflib.get_close_matches(name[:100], list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def in_words(error: BaseException) -> str:
    """What went wrong, in the system's words where it was the system.

    Without its number, which helps nobody, and the file or address, which stands beside it.
    """
    return str(getattr(error, "strerror", None) or error)


class StreamtagError(Exception):
    """A failure whose text is written for the person at the keyboard: it names the thing and the remedy."""


class RejectJob(StreamtagError):
    """The job can never succeed as it stands: it goes to the dead-letter queue with this reason."""


class RetryJob(StreamtagError):
    """The job may succeed elsewhere or later: it is handed back to the queue."""


class LeaseLost(StreamtagError):
    """Another worker owns the job by now, or may: nothing more of it is published here."""


class JobCancelled(StreamtagError):
    """A person cancelled the job while it ran."""


class ConfigError(StreamtagError):
    """A setting, a model name or a bundle is wrong; raised before any work starts."""


class NoTemporaryFolder(ConfigError):
    """Neither ``/tmp`` nor what ``TMPDIR`` names can be written to."""

    def __init__(self) -> None:
        super().__init__(
            "no folder for temporary files can be written to: /tmp is full, read-only or not there; make room, mount "
            "one there (docker run --tmpfs /tmp), or name another in TMPDIR"
        )


def is_want_of_temporary_folder(error: BaseException) -> bool:
    """Whether this is what Python raises where it finds none; it has no type of its own for that."""
    return isinstance(error, FileNotFoundError) and str(error.strerror).startswith("No usable temporary directory")


class UnknownScheme(ConfigError, ValueError):
    """A source begins with no scheme that a job may have. A ValueError, too: validators of jobs expect one."""


class NetworkUnusable(StreamtagError):
    """A worker does not start: its network, the weights of it or its engine cannot be had."""


class DeviceMissing(StreamtagError):
    """A worker does not start: a GPU is asked for, and its engine sees none."""


class MachineTooSmall(StreamtagError):
    """A worker does not start: so many jobs at once cannot fit into this machine or container."""


class QueueFull(StreamtagError):
    """The queue takes no new job now: above ``redis.queue_cap``, or Redis above ``redis.memory_share``."""


class QueueUnavailable(StreamtagError):
    """Redis gives no answer, or one that may pass: away, loading, read-only, out of memory. Ask again later."""


class AccessDenied(QueueUnavailable):
    """Redis does not know us, or does not let us: for people a refusal that names the right that is missing.

    For a worker it is no job's fault, so it waits as for an outage until somebody grants it.
    """


class QueueRefused(StreamtagError):
    """Redis refuses this one command, and would refuse it again tomorrow: a value or a key of the job is wrong."""


class JobConflict(StreamtagError):
    """The job id belongs to another job."""


class JobNotFound(StreamtagError):
    """The queue knows no job of that id."""
