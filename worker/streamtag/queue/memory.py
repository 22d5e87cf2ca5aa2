"""Redis's memory: how full it is, what of it is this queue's, and when to stop before Redis itself refuses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from streamtag.queue.connection import Connection, text

REMEDY = "raise maxmemory there, shorten redis.expire_s, or run: streamtag gc"
ALERT = 0.9  # of redis.memory_share: from here on people are warned
KINDS = ("jobs", "results", "pictures", "events", "dead letters", "workers")


@dataclass(frozen=True, slots=True)
class RedisMemory:
    """What a server uses of what it may use."""

    used_bytes: int  # that count against the limit: no buffers of replicas
    limit_bytes: int  # maxmemory; 0 where there is none
    evicts: bool  # it makes room by removing keys, and so is never full

    @property
    def share(self) -> float | None:
        """From 0 to 1 and above; None without a limit."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else None

    def is_above(self, share: float) -> bool:
        """Whether it is so full, and will sooner or later refuse to write. Above a share of 1 it does so by itself."""
        return share < 1 and not self.evicts and self.share is not None and self.share >= share

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"share": None if self.share is None else round(self.share, 4)}

    def __str__(self) -> str:
        if self.share is None:
            return f"Redis uses {size(self.used_bytes)}; it has no limit (maxmemory)"
        return f"Redis uses {size(self.used_bytes)}, {self.share:.0%} of its {size(self.limit_bytes)} (maxmemory)"


@dataclass(frozen=True, slots=True)
class Holding:
    """What one kind of key of a queue takes, as Redis estimates it."""

    kind: str
    keys: int
    bytes: int


class MemoryGauge:
    """A server's memory, asked for at most once in ``every_s``: it changes slowly, and jobs may come quickly."""

    def __init__(self, connection: Connection, every_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._every_s = every_s
        self._now_s = now_s
        self._next_s = float("-inf")
        self._last = RedisMemory(0, 0, False)

    def read(self) -> RedisMemory:
        """
        Raises:
            QueueUnavailable: Redis does not tell.
        """
        if self._now_s() >= self._next_s:
            self._last = read_memory(self._connection)
            self._next_s = self._now_s() + self._every_s
        return self._last


def read_memory(connection: Connection) -> RedisMemory:
    """Of the server; of a cluster, of the node that holds the queue."""
    with connection.asking("INFO memory", of_queue=True):
        info = connection.client.info("memory")
    return RedisMemory(
        used_bytes=int(info["used_memory"]) - int(info.get("mem_not_counted_for_evict", 0)),
        limit_bytes=int(info.get("maxmemory", 0)),
        evicts=text(info.get("maxmemory_policy", "noeviction")) != "noeviction",
    )


def read_holdings(connection: Connection) -> list[Holding]:
    """What the keys of a queue take, by kind."""
    keys, found = connection.keys, dict.fromkeys(KINDS, (0, 0))
    for names in connection.scan(f"{keys.base}:"):
        with connection.asking(f"MEMORY USAGE {keys.base}:*", of_queue=True):
            pipeline = connection.client.pipeline(transaction=False)
            for name in names:
                pipeline.memory_usage(name)
            sizes = pipeline.execute()
        for name, taken in zip(names, sizes, strict=True):
            kind = _KIND_OF.get(name.removeprefix(f"{keys.base}:").partition(":")[0])
            if kind and taken:  # none where it has expired meanwhile
                count, total = found[kind]
                found[kind] = count + 1, total + int(taken)
    return [Holding(kind, *found[kind]) for kind in KINDS]


_KIND_OF = {
    "jobs": "jobs",
    "job": "jobs",
    "res": "results",
    "thumb": "pictures",
    "pics": "pictures",
    "events": "events",
    "dlq": "dead letters",
    "worker": "workers",
}


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
