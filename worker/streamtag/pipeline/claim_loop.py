"""The claims thread: takes jobs while slots are free, new ones and those that others left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from streamtag.core.records import Claim
from streamtag.errors import LeaseLost, QueueUnavailable, RejectJob
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.pipeline.run import Runs
from streamtag.queue.claims import Claims, Entry
from streamtag.queue.commits import Commits
from streamtag.settings import LeaseSettings

RETRY_S = 0.5
OWN_LIMIT = 1000


class Claiming:
    """The claims thread: takes jobs while slots are free.

    Args:
        start: begins the work on a claim.
        commits: for jobs that are put aside before they begin; over this thread's own connection.
        on_redis: told whether Redis answers.
    """

    def __init__(
        self,
        claims: Claims,
        commits: Commits,
        runs: Runs,
        slots: int,
        lease: LeaseSettings,
        metrics: Metrics,
        start: Callable[[Claim], None],
        on_redis: Callable[[bool], None],
    ) -> None:
        self._claims = claims
        self._commits = commits
        self._runs = runs
        self._slots = slots
        self._lease = lease
        self._metrics = metrics
        self._start = start
        self._on_redis = on_redis
        self._reclaim_s = 0.0
        self._connected = False
        self._told = False  # the log says that Redis is away; once is enough
        self._suspect_waits = False

    def turn(self, stopping: threading.Event) -> None:
        """One look for work; blocks about a second at most."""
        try:
            if not self._connected:
                self._claims.ensure_group()
                # Entries delivered in a reply that never arrived are mine without my knowing.
                self._take(self._claims.own(OWN_LIMIT))
                if self._told:
                    log.info("redis is there again")
                self._connected, self._told = True, False
                self._on_redis(True)
            if time.monotonic() >= self._reclaim_s:
                self._reclaim_s = time.monotonic() + self._lease.reclaim_s
                self._take_abandoned()
            free = self._free()
            if free > 0 and not self._suspect_waits:
                self._take(self._claims.fetch(min(free, 8)))
            else:
                stopping.wait(RETRY_S)
        except QueueUnavailable as error:
            if not self._told:
                log.warning("no jobs without redis, trying on", error=str(error))
            self._connected, self._told = False, True
            self._on_redis(False)
            self._metrics.redis_errors.labels("claims").inc()
            stopping.wait(RETRY_S)

    def _free(self) -> int:
        runs = self._runs.all()
        if any(run.alone for run in runs):
            return 0
        return self._slots - len(runs)

    def _take_abandoned(self) -> None:
        self._suspect_waits = False
        mine = {run.claim.entry_id for run in self._runs.all()}
        for entry in self._claims.abandoned(self._slots * 2):
            if entry.entry_id in mine or self._free() <= 0 or self._hold_back(entry):
                continue
            if self._claims.take_over(entry):
                log.info("took over a job left by another worker", entry=entry.entry_id)
                self._take([entry])

    def _hold_back(self, entry: Entry) -> bool:
        """From its second crash on, a job runs alone. A worker busy with finite jobs lets them end first; one that
        has live streams leaves the suspect to another worker."""
        try:
            job = self._claims.parse(entry)
        except RejectJob:
            return False
        if len(self._runs) == 0 or self._claims.crashes(job.job_id) < 2:
            return False
        self._suspect_waits = not any(run.live for run in self._runs.all())
        return True

    def _take(self, entries: list[Entry]) -> None:
        mine = {run.claim.entry_id for run in self._runs.all()}
        for entry in entries:
            if entry.entry_id not in mine:
                self._take_one(entry)

    def _take_one(self, entry: Entry) -> None:
        try:
            claim = self._claims.acquire(entry)
        except RejectJob as error:
            log.warning("entry is no job for this queue", entry=entry.entry_id, reason=str(error))
            self._commits.dead_letter_entry(entry, str(error))
            self._metrics.jobs.labels("rejected").inc()
            return
        if claim is None:
            return
        if claim.attempts > self._lease.max_deliveries:
            tried = claim.attempts - 1
            reason = (
                f"given up after {tried} attempts without progress (lease.max_deliveries: {self._lease.max_deliveries})"
            )
            log.warning("job given up", job_id=claim.job.job_id, attempts=tried)
            try:
                self._commits.dead_letter(claim, reason)
            except LeaseLost:
                return
            self._metrics.jobs.labels("dead_letter").inc()
            return
        self._start(claim)
