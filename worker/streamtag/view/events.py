"""The queue's events as they lie in Redis, followed once for all who look. Filled by one thread, read by others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from streamtag.core.entry_id import id_of
from streamtag.core.records import Event
from streamtag.queue.connection import Connection
from streamtag.queue.producer import Producer

KEPT: Final = 100_000  # as many as Redis keeps by default (redis.events_maxlen)
BATCH: Final = 1000
BATCHES: Final = 10  # read in one look: the beginning must not hold the wall up


Told = dict[str, Any]  # an event as it is told to a browser


class EventLog:
    """The newest events, oldest first, each as it is told: whatever one holds, little of it is kept."""

    def __init__(self) -> None:
        self._events: deque[Told] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._last_id = "0-0"
        self.is_whole = False  # all that Redis has is here

    def read(self, connection: Connection) -> set[str]:
        """Read what is new.

        Returns:
            The jobs that it tells of.

        Raises:
            QueueUnavailable: Redis does not tell.
        """
        told_of: set[str] = set()
        producer = Producer(connection)
        for _ in range(BATCHES):
            news = producer.events(self._last_id, BATCH)
            with self._lock:
                self._events.extend(map(told, news))
            if news:
                self._last_id = news[-1].id
                told_of |= {event.job_id for event in news if event.job_id}
            if len(news) < BATCH:
                self.is_whole = True
                break
        return told_of

    def newest(self, fits: Callable[[Told], bool], most: int, before: str = "") -> list[Told]:
        """Events that fit, newest first.

        Args:
            before: an event's id; only older ones are looked at.
        """
        with self._lock:
            events = list(self._events)
        limit = id_of(before) if before else None
        older = (event for event in reversed(events) if limit is None or id_of(event["id"]) < limit)
        return list(islice((event for event in older if fits(event)), most))


def told(event: Event) -> Told:
    """What of an event a person may want to know."""
    content = event.content
    label = content.get("label")
    region = content.get("region")
    name = str(label.get("name", "")) if isinstance(label, dict) else ""
    what = next((content[key] for key in ("state", "status", "reason", "path") if content.get(key)), "")
    return {
        "id": event.id,
        "at": id_of(event.id)[0] / 1000,
        "pts": event.pts_s,
        "job": event.job_id[:200],
        "stream": str(content.get("stream", ""))[:128] or event.job_id[:200],
        "kind": event.kind[:40],
        "label": f"{region}:{name}"[:240] if region and name else name[:200],
        "score": _number(content.get("score")),
        "what": str(what)[:300],
        "missed": _number(content.get("missed_s")),
    }


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
