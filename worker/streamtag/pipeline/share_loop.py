"""The sharing thread: says how this worker fares, hears how the others do, gives and takes live streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from streamtag.core.records import Offer, WorkerView
from streamtag.errors import QueueUnavailable
from streamtag.pipeline.giving import Giving
from streamtag.pipeline.neighbours import Neighbours
from streamtag.pipeline.outage import Outage
from streamtag.pipeline.presence import Presence
from streamtag.pipeline.taking import Taking
from streamtag.queue.session import QueueSession

TICK_S = 0.25
TELL_S = 0.5
ALONE_S = 1.0  # the same of a worker that knows of no other: one that comes hears of it at once, and is heard in FIND_S
# Each worker reads what all others say: fifty of them do so half as often as three.
HEAR_S = 0.2
HEAR_EACH_S = 0.006
FIND_S = 2.0  # between looks for workers that are new or gone
LEAVING_S = 5.0  # for the others to open what a worker that leaves offers them; it goes on meanwhile


class ShareLoop:
    """One look around after another."""

    def __init__(
        self,
        session: QueueSession,
        presence: Presence,
        neighbours: Neighbours,
        giving: Giving,
        taking: Taking,
        outage: Outage,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._heartbeats = session.heartbeats()
        self._presence = presence
        self._neighbours = neighbours
        self._giving = giving
        self._taking = taking
        self._outage = outage
        self._now_s = now_s
        self._wake = threading.Event()
        self._wake.set()  # the first look is at once: the claims thread goes by it
        self._leave_until_s: float | None = None
        self._tell_s = self._hear_s = self._find_s = 0.0
        self._told: tuple[Offer, ...] = ()
        self._view: WorkerView | None = None

    def wake(self) -> None:
        """Something has changed that should not wait for the next look. Any thread may call it."""
        self._wake.set()

    def leave(self, until_s: float) -> None:
        """Give all live streams to others."""
        self._leave_until_s = until_s
        self._tell_s = self._hear_s = self._find_s = 0.0
        self.wake()

    @property
    def has_left(self) -> bool:
        """Whether that is done, as far as others take them."""
        return self._giving.done

    def run_once(self) -> None:
        """Wait a little, then look. A worker that is alone has nobody to answer."""
        self._wake.wait(TICK_S if self._neighbours.others else ALONE_S)
        self._wake.clear()
        if self._outage.wait_s() > 0:
            return
        try:
            self._look(self._now_s())
        except QueueUnavailable as error:
            self._outage.failed(error)
        else:
            self._outage.answered()

    def _look(self, now_s: float) -> None:
        self._giving.follow(now_s)
        view = self._look_at_me(now_s)
        me = self._neighbours.know_me(view)
        if now_s >= self._find_s:
            self._heartbeats.find()
            self._find_s = now_s + FIND_S
        if now_s >= self._hear_s:
            views = self._heartbeats.others()
            self._hear_s = now_s + HEAR_S + HEAR_EACH_S * len(views)
            self._neighbours.hear(views)
            self._taking.hear(view, views, now_s)
        for job_id in self._taking.go_on(now_s):
            self._giving.rest(job_id, now_s)
        if self._leave_until_s is not None:
            self._giving.leave(me, self._neighbours.others, self._leave_until_s)
        else:
            self._giving.decide(me, self._neighbours.others, now_s)
        self._tell(view, now_s)

    def _look_at_me(self, now_s: float) -> WorkerView:
        """How this worker fares: anew where it is to be told, and while streams are on their way."""
        if self._view is None or now_s >= self._tell_s or self._giving.offers or self._taking.coming:
            self._view = self._presence.look(self._giving.offers, self._taking.coming)
        return self._view

    def _tell(self, view: WorkerView, now_s: float) -> None:
        offers = self._giving.offers
        if now_s >= self._tell_s or offers != self._told:
            self._heartbeats.beat(replace(view, offers=offers))
            self._tell_s, self._told = now_s + TELL_S, offers
