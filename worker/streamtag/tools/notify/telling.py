"""One sink's thread: event after event, each until the sink has it, or it is given up."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from streamtag.core.backoff import full_jitter_s
from streamtag.core.entry_id import id_of
from streamtag.core.records import Event
from streamtag.errors import LeaseLost, QueueUnavailable
from streamtag.logs import log
from streamtag.notify_metrics import NotifyMetrics, Outcome
from streamtag.notify_settings import NotifySettings
from streamtag.notify_settings import Sink as SinkSettings
from streamtag.queue.notices import Notices, Place
from streamtag.redaction import printable
from streamtag.tools.notify.notice import (
    Channel,
    Notice,
    Unacceptable,
    Unreachable,
    notice_of,
    notice_of_loss,
    wants,
)

REDIS_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class _GivenUp:
    outcome: Outcome
    reason: str
    tries: int


class _Stopped(Exception):
    """The runner ends, or another one has the lease."""


class SinkLoop:
    """Tells one sink what it wants to hear, in order.

    Args:
        holds: whether this runner has the lease, by its own clock.
        stopping: set when it is to end.
    """

    def __init__(
        self,
        sink: SinkSettings,
        channel: Channel,
        notices: Notices,
        settings: NotifySettings,
        queue: str,
        metrics: NotifyMetrics,
        holds: Callable[[], bool],
        stopping: threading.Event,
    ) -> None:
        self._sink = sink
        self._channel = channel
        self._notices = notices
        self._settings = settings
        self._queue = queue
        self._metrics = metrics
        self._holds = holds
        self._stopping = stopping
        self._trouble = ""  # why the sink does not take the event at hand, as last told
        self._redis_away = False

    def run(self) -> None:
        """Until ``stopping``, or the lease is gone."""
        self._channel.open()
        try:
            while self._goes_on():
                self._turn()
        except (_Stopped, LeaseLost):
            pass
        finally:
            self._channel.close()
            self._notices.close()

    def _turn(self) -> None:
        try:
            self.run_once()
            if self._redis_away:
                log.info("redis is there again", sink=self._sink.name)
            self._redis_away = False
        except QueueUnavailable as error:
            if not self._redis_away:
                log.warning("redis does not answer, trying on", sink=self._sink.name, error=str(error))
            self._redis_away = True
            self._stopping.wait(REDIS_PAUSE_S)

    def run_once(self) -> None:
        """Tell what there is, or wait a while for something."""
        name = self._sink.name
        unheard = self._notices.read(name)
        if unheard.is_new:
            self._notices.advance(name, unheard.place)
            log.info("a new sink hears what happens from now on", sink=name)
            return
        place, passed = unheard.place, False
        if unheard.lost != 0:
            count = "an unknown number" if unheard.lost is None else unheard.lost
            log.warning("events were trimmed before they were told", sink=name, lost=count)
            self._tell(notice_of_loss(unheard.lost, unheard.place.id, self._queue), time.time(), place)
            self._notices.advance(name, place, lost=unheard.lost or 0)
            self._metrics.count(name, "lost", unheard.lost or 0)
        for event in unheard.events:
            if not wants(self._sink, event):
                place, passed = place.after(event.id), True
                continue
            given_up = self._tell(notice_of(event, self._queue), _time_of(event), place)
            place, passed = place.after(event.id), False
            self._write_down(place, event, given_up)
        if passed:
            self._notices.advance(name, place)
        self._metrics.waits(name, None)
        if not unheard.events:
            self._channel.idle()
            self._notices.wait(place)

    def _write_down(self, place: Place, event: Event, given_up: _GivenUp | None) -> None:
        name = self._sink.name
        if given_up is None:
            self._notices.advance(name, place, delivered=1)
            self._metrics.count(name, "delivered")
            return
        log.warning("event given up", sink=name, event_id=event.id, reason=given_up.reason, tries=given_up.tries)
        trouble = given_up.reason if self._trouble else ""
        self._notices.bury(name, place, event, given_up.reason, given_up.tries, self._settings.dlq_maxlen, trouble)
        self._metrics.count(name, given_up.outcome)

    def _tell(self, notice: Notice, happened_unix_s: float, place: Place) -> _GivenUp | None:
        """Try until the sink has it; None then.

        Raises:
            _Stopped: it is not told yet.
        """
        tries = 0
        self._metrics.waits(self._sink.name, happened_unix_s)
        while True:
            if not self._goes_on():
                raise _Stopped
            tries += 1
            try:
                self._channel.send(notice)
            except Unacceptable as error:
                return _GivenUp("refused", str(error), tries)
            except ValueError as error:  # whatever somebody wrote into it: the events behind it must not suffer
                return _GivenUp("refused", f"cannot be told: {type(error).__name__}: {error}", tries)
            except Unreachable as error:
                if time.time() - happened_unix_s > self._settings.give_up_s:
                    return _GivenUp("expired", str(error), tries)
                self._metrics.retry(self._sink.name)
                self._wait(error, tries, place)
                continue
            if self._trouble:
                log.info("sink takes events again", sink=self._sink.name)
            self._trouble = ""
            return None

    def _wait(self, error: Unreachable, tries: int, place: Place) -> None:
        reason = printable(str(error), 300)
        if reason != self._trouble:  # the first one may be over, and another stand behind it
            log.warning("sink does not take an event, trying on", sink=self._sink.name, reason=reason)
            self._trouble = reason
            self._notices.advance(self._sink.name, place, trouble=reason)
        cap_s = self._settings.backoff_cap_s
        pause_s = full_jitter_s(tries, self._settings.backoff_s, cap_s, random.random())
        self._stopping.wait(max(pause_s, min(error.wait_s, cap_s)))

    def _goes_on(self) -> bool:
        return self._holds() and not self._stopping.is_set()


def _time_of(event: Event) -> float:
    """When Redis had it, as its id says."""
    return id_of(event.id)[0] / 1000
