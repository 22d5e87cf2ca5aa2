"""What this worker knows of the others that serve the same queue. Written by the sharing thread, read by claims."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from streamtag.core.records import WorkerView
from streamtag.core.sharing import MAX_DELAY_S, Load, claim_delay_s, may_claim
from streamtag.pipeline.run import Runs
from streamtag.pipeline.slots import Slots

SILENT_S = 3.0  # a worker that was stopped or killed is seen until its heartbeat is over, and is nobody to count on


class Neighbours:
    """The others, and this worker beside them."""

    def __init__(self, slots: Slots, runs: Runs, now_s: Callable[[], float] = time.monotonic) -> None:
        self.others: tuple[Load, ...] = ()  # of those that are heard
        self._known = False  # whether Redis has told who there is
        self._me = Load("", 0, 0.0, 0.0, 0)
        self._slots = slots
        self._runs = runs
        self._now_s = now_s
        self._heard: dict[str, tuple[float, float]] = {}  # what each last said of the time, and when that was new here

    def hear(self, views: Sequence[WorkerView]) -> list[WorkerView]:
        """Take in what the others say, and return those that say something new."""
        now_s, heard, self._known = self._now_s(), {}, True
        for view in views:
            said_s, since_s = self._heard.get(view.worker, (-1.0, now_s))
            heard[view.worker] = (view.seen_unix_s, now_s if view.seen_unix_s != said_s else since_s)
        self._heard = heard
        present = [view for view in views if now_s - heard[view.worker][1] < SILENT_S]
        self.others = tuple(Load.of(view) for view in present)
        return present

    def know_me(self, view: WorkerView) -> Load:
        """What the sharing thread has found out about this worker."""
        self._me = Load.of(view)
        return self._me

    def may_claim(self) -> bool:
        """Whether to look for new jobs at all."""
        return not self._slots.auto or self._me.supply == 0 or may_claim(self._now(), self.others)

    def claim_delay_s(self) -> float:
        """How long to leave the next one to others."""
        return claim_delay_s(self._now(), self.others) if self._known else MAX_DELAY_S

    def _now(self) -> Load:
        """This worker with the streams that it has at this moment."""
        live = [run for run in self._runs.all() if run.live]
        asked, room = sum(run.asked for run in live), self._slots.most - len(self._runs)
        return replace(self._me, streams=len(live), asked=asked, room=room, offers=())
