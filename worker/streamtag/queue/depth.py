"""How much waits in a queue, told by Redis alone: also while no worker is there to say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streamtag.core.entry_id import id_of
from streamtag.queue.connection import Connection, text
from streamtag.queue.keys import GROUP


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The jobs of a queue that are not over."""

    waiting: int  # that no worker has had yet
    taken: int  # that a worker has, or had and left to another
    oldest_waiting_s: float  # since the first of those that wait was submitted; 0 where none waits
    dead_letters: int


def read_depth(connection: Connection) -> QueueDepth:
    """Read it in two round trips, whatever the length of the queue.

    A producer that writes entries of another time than Redis's own is not heard: ages are by the ids, which Redis gave.

    Raises:
        QueueUnavailable: Redis does not tell.
    """
    keys = connection.keys
    with connection.asking(f"XLEN {keys.jobs}", of_queue=True):
        pipeline = connection.client.pipeline(transaction=False)
        pipeline.xlen(keys.jobs)
        pipeline.xlen(keys.dlq)
        pipeline.time()
        length, dead_letters, (seconds, micros) = pipeline.execute()
        if not length:
            return QueueDepth(0, 0, 0.0, dead_letters)
        group = group_of(connection.client.xinfo_groups(keys.jobs))
        last_id, taken = (text(group["last-delivered-id"]), int(group["pending"])) if group else ("0-0", 0)
        first = connection.client.xrange(keys.jobs, f"({last_id}", "+", count=1)
    oldest_s = seconds + micros / 1e6 - id_of(text(first[0][0]))[0] / 1e3 if first else 0.0
    return QueueDepth(max(0, length - taken), taken, max(0.0, oldest_s), dead_letters)


def group_of(groups: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The workers' group; none before the first of them has ever come."""
    return next((group for group in groups if text(group["name"]) == GROUP), None)
