"""The metrics of ``streamtag notify``, declared once. The name of a sink is a label: the settings name few of them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry

from streamtag.metrics import Declare

# refused: for what it is, at once; expired: it was tried until notify.give_up_s; lost: Redis had trimmed it before.
Outcome = Literal["delivered", "refused", "expired", "lost"]


class NotifyMetrics:
    """A runner's registry. Every series is there from the start.

    Args:
        sinks: their names.
    """

    def __init__(self, sinks: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        names = tuple(sinks)
        new = Declare(self.registry)
        self._events = new.counter(
            "notify_events_total",
            "Events that a sink wants, by what became of them. Those refused or expired are dead letters; lost are all "
            "that Redis had trimmed before they were told, as far as it counts them.",
            sink=names,
            outcome=get_args(Outcome),
        )
        self._retries = new.counter(
            "notify_retries_total",
            "Tries that a sink did not take, each followed by another after a pause.",
            sink=names,
        )
        self._oldest = new.gauge(
            "notify_oldest_undelivered_seconds",
            "Age of the oldest event that the sink is yet to take; 0 where there is none, and where another runner "
            "tells events.",
            sink=names,
        )
        self._last = new.gauge(
            "notify_last_delivery_timestamp_seconds",
            "When the sink last took an event, Unix time; until then, when the runner started.",
            sink=names,
        )
        self._held = False
        self._lease = new.gauge("notify_lease", "1 while this runner is the one that tells events.")
        self._waiting: dict[str, float] = {}  # sink to when the event happened that it is yet to take, Unix time
        for name in names:
            self._last.labels(name).set_to_current_time()
            self._oldest.labels(name).set_function(partial(self._age_s, name))

    def hold(self, held: bool) -> None:
        """Whether this runner has the lease."""
        self._held = held
        self._lease.set(held)

    def count(self, sink: str, outcome: Outcome, events: int = 1) -> None:
        """What became of events of a sink."""
        self._events.labels(sink, outcome).inc(events)
        if outcome == "delivered":
            self._last.labels(sink).set_to_current_time()

    def retry(self, sink: str) -> None:
        """A sink did not take what it will be told again."""
        self._retries.labels(sink).inc()

    def waits(self, sink: str, happened_unix_s: float | None) -> None:
        """When the oldest event happened that a sink is yet to take; None where it has all."""
        if happened_unix_s is None:
            self._waiting.pop(sink, None)
        else:
            self._waiting[sink] = happened_unix_s

    def _age_s(self, sink: str) -> float:
        since_unix_s = self._waiting.get(sink) if self._held else None
        # The clock of Redis, which ids are made of, may be ahead of ours.
        return 0.0 if since_unix_s is None else max(0.0, time.time() - since_unix_s)
