"""The claims thread: takes jobs while slots are free, new ones and those that others left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from streamtag.core.boundary import JobBoundary
from streamtag.core.records import SUSPECT_CRASHES, Claim, JobEnd
from streamtag.errors import LeaseLost, QueueRefused, QueueUnavailable, RejectJob
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.pipeline.neighbours import Neighbours
from streamtag.pipeline.outage import Outage
from streamtag.pipeline.room import Room
from streamtag.pipeline.run import Runs
from streamtag.pipeline.slots import Slots
from streamtag.queue.claims import Entry
from streamtag.queue.session import QueueSession
from streamtag.settings import LeaseSettings

IDLE_S = 0.5
POLL_S = 0.2  # between looks of a worker that leaves new jobs to emptier ones, while there are none
FETCH_LIMIT = 8
ABANDONED_LIMIT = 8  # looked at in one go; a worker takes one live stream of them
SWEEP_S = 60.0
SWEEPERS = 10  # in that time, of however many: each looks at all the others
REDELIVERED_LIMIT = 1000
SUSPECT_PATIENCE_S = 300.0


class ClaimLoop:
    """Looks for work, again and again.

    Args:
        start: begins the work on a claim.
    """

    def __init__(
        self,
        session: QueueSession,
        runs: Runs,
        metrics: Metrics,
        start: Callable[[Claim], None],
        outage: Outage,
        room: Room,
        slots: Slots,
        neighbours: Neighbours,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claims = session.claims()
        self._commits = session.commits()
        self._lease: LeaseSettings = session.lease
        self._runs = runs
        self._metrics = metrics
        self._start = start
        self._outage = outage
        self._room = room
        self._slots = slots
        self._neighbours = neighbours
        self._now_s = now_s
        self._reclaim_s = 0.0
        self._sweep_s = 0.0
        self._film_s, self._film_wait_s = 0.0, IDLE_S  # when to look for one again, and the pause after that
        self._count = 1  # entries to read at once
        self._took_live = False
        self._idle = False  # nothing was there at the last look
        self._connected = False
        self._suspect_waits = False  # new jobs are left to others until this worker is free for it
        self._held_back_s: dict[str, float] = {}  # entry of a suspect to since when it is held back

    def run_once(self, stopping: threading.Event) -> None:
        """One look for work; blocks about a second at most."""
        if (wait_s := self._outage.wait_s()) > 0:
            stopping.wait(min(wait_s, IDLE_S))
            return
        try:
            self._look(stopping)
        except QueueUnavailable as error:
            self._connected = False
            self._outage.failed(error)

    def _look(self, stopping: threading.Event) -> None:
        if not self._connected:
            self._claims.ensure_group()
            # Entries delivered in a reply that never arrived are mine without my knowing.
            self._take(self._claims.redelivered(REDELIVERED_LIMIT))
            self._connected = True
            self._outage.answered()
        # Without a slot nothing could be taken: the look waits for one, and is due then.
        if self._now_s() >= self._reclaim_s and self._free() > 0:
            self._reclaim_s = self._now_s() + self._lease.reclaim_s
            if self._take_abandoned():
                # There may be more of them. Each worker takes some, and the emptiest is first to look again.
                self._reclaim_s = 0.0
                stopping.wait(self._neighbours.claim_delay_s())
                return
        if self._now_s() >= self._sweep_s:
            self._sweep_s = self._now_s() + SWEEP_S * max(1.0, len(self._neighbours.others) / SWEEPERS)
            if gone := self._claims.retire_others():
                log.info("removed what workers that are gone left in the group", workers=gone)
        # What others left was begun already, and goes on as what runs here does. Redis's memory is asked for also where
        # no slot is free: metrics tell it, and whether other workers may offer streams to this one goes by it.
        free = self._free() if self._room.look() and not self._suspect_waits else 0
        if free > 0 and self._neighbours.may_claim():
            self._take_new(free, stopping)
        elif free > 0 and self._film_is_next():
            self._film_s = 0.0
            self._take(self._claims.fetch(1, None))
        else:
            stopping.wait(IDLE_S)

    def _film_is_next(self) -> bool:
        """Whether a worker that is full of live streams should read a job nevertheless.

        A finite job takes of the device what live streams leave, and would else wait for as long as there are cameras.
        One at a time: live streams are what this worker is full of. Others read, too, so what is next is looked at
        again and again: ever more seldom, or it would be a third of what a full worker asks of Redis.
        """
        if self._now_s() < self._film_s or any(not run.live for run in self._runs.all()):
            return False
        self._film_s = self._now_s() + self._film_wait_s
        self._film_wait_s = min(2 * self._film_wait_s, self._lease.reclaim_s)
        entry = self._claims.next_waiting()
        try:
            return entry is not None and not self._claims.parse(entry).is_live
        except RejectJob:
            return True  # it does not take room for long

    def _take_new(self, free: int, stopping: threading.Event) -> None:
        """Take new jobs: one at a time while they are live, so that the emptiest worker gets the next."""
        self._film_s, self._film_wait_s = 0.0, IDLE_S
        if (delay_s := self._neighbours.claim_delay_s()) > 0:
            # A read that waits would be served before that of an emptier worker which began to wait later.
            stopping.wait(max(delay_s, POLL_S) if self._idle else delay_s)
            entries = self._claims.fetch(min(free, self._count), None)
        else:
            entries = self._claims.fetch(min(free, self._count))
        self._idle, self._took_live = not entries, False
        self._take(entries)
        self._count = 1 if self._took_live else min(FETCH_LIMIT, 2 * self._count)

    def _free(self) -> int:
        runs = self._runs.all()
        return 0 if any(run.alone for run in runs) else self._slots.free(runs)

    def _take_abandoned(self) -> bool:
        """Take what others left; of live streams one. Whether there may be more to take is the answer."""
        self._suspect_waits, took = False, False
        mine = {run.claim.entry_id for run in self._runs.all()}
        abandoned = self._claims.abandoned(ABANDONED_LIMIT)
        if len(abandoned) < ABANDONED_LIMIT:  # else some were not looked at, and may still be held back
            there = {entry.entry_id for entry in abandoned}
            self._held_back_s = {entry: since_s for entry, since_s in self._held_back_s.items() if entry in there}
        for entry in abandoned:
            with JobBoundary(partial(self._reject, entry)):
                if entry.entry_id in mine or self._free() <= 0 or self._hold_back(entry):
                    continue
                if self._claims.take_over(entry):
                    log.info("took over a job left by another worker", entry=entry.entry_id)
                    self._took_live = False
                    self._take([entry])
                    if self._took_live:
                        return True
                    took = True
        return took and len(abandoned) == ABANDONED_LIMIT

    def _hold_back(self, entry: Entry) -> bool:
        """A suspect runs alone. A worker busy with finite jobs lets them end first; one that has live streams leaves
        the suspect to another worker. Neither for ever: where no worker becomes free it runs beside the others."""
        try:
            job = self._claims.parse(entry)
        except RejectJob:
            return False
        if job.is_live or len(self._runs) == 0 or self._claims.crashes(job.job_id) < SUSPECT_CRASHES:
            return False
        if self._now_s() - self._held_back_s.setdefault(entry.entry_id, self._now_s()) > SUSPECT_PATIENCE_S:
            return False
        self._suspect_waits = not any(run.live for run in self._runs.all())
        return True

    def _take(self, entries: list[Entry]) -> None:
        for entry in entries:
            with JobBoundary(partial(self._reject, entry)), self._runs.taking:
                if entry.entry_id not in {run.claim.entry_id for run in self._runs.all()}:
                    self._take_one(entry)

    def _take_one(self, entry: Entry) -> None:
        claim = self._claims.acquire(entry)
        if claim is None:
            return
        self._took_live = self._took_live or claim.job.is_live
        limit = self._lease.max_crashes
        # A live source cannot be read again, and what brought workers down is past: it is never given up.
        if claim.crashes >= limit and not claim.job.is_live:
            reason = f"given up: it brought down {claim.crashes} workers without progress (lease.max_crashes: {limit})"
            self._give_up(claim, reason, JobEnd.CRASHED)
            return
        with JobBoundary(lambda error: self._give_up(claim, _reason(error), JobEnd.FAILED)):
            self._start(claim)

    def _give_up(self, claim: Claim, reason: str, end: JobEnd) -> None:
        """End a job that is ours and does not run."""
        log.warning("job given up", **claim.job.named, reason=reason)
        try:
            self._commits.dead_letter(claim, reason)
        except LeaseLost:
            return
        self._metrics.jobs.labels(end).inc()

    def _reject(self, entry: Entry, error: Exception) -> None:
        """End an entry that never became a claim."""
        reason = _reason(error)
        log.warning("entry is no job for this queue", entry=entry.entry_id, reason=reason)
        try:
            self._commits.dead_letter_entry(entry, reason)
        except QueueRefused as refusal:
            log.error("entry cannot be dead-lettered, left to its lease", entry=entry.entry_id, error=str(refusal))
            return
        self._metrics.jobs.labels(JobEnd.REJECTED).inc()


def _reason(error: Exception) -> str:
    """For a dead letter: what people wrote for people as it is, the rest by the name of its kind."""
    return str(error) if isinstance(error, RejectJob | QueueRefused) else f"{type(error).__name__}: {error}"
