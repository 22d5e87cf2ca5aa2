"""The leases thread: renews every lease from its own connection, and gives up what it cannot renew."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamtag.errors import QueueUnavailable
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.pipeline.run import Run, Runs
from streamtag.queue.leases import Leases
from streamtag.settings import LeaseSettings


class Leasing:
    """The leases thread: renews while work goes on, and stops what is no longer ours.

    Args:
        abandon: stops a job whose lease is gone; called with the reason.
        cancel: stops a job that a person cancelled.
    """

    def __init__(
        self,
        leases: Leases,
        runs: Runs,
        lease: LeaseSettings,
        metrics: Metrics,
        abandon: Callable[[Run, str], None],
        cancel: Callable[[Run], None],
        on_redis: Callable[[bool], None],
    ) -> None:
        self._leases = leases
        self._runs = runs
        self._lease = lease
        self._metrics = metrics
        self._abandon = abandon
        self._cancel = cancel
        self._on_redis = on_redis
        self._next_s = 0.0

    def turn(self) -> None:
        """Renew when it is time; look every turn for leases that have run out on our own clock."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + self._lease.renew_s
            try:
                self._renew(now_s)
                self._on_redis(True)
            except QueueUnavailable as error:
                self._next_s = now_s + min(1.0, self._lease.renew_s)
                self._metrics.redis_errors.labels("leases").inc()
                self._on_redis(False)
                if len(self._runs):
                    log.warning("leases could not be renewed", error=str(error))
        for run in self._runs.all():
            silent_s = time.monotonic() - run.renewed_s
            if not run.lost and silent_s > self._lease.stop_after_s:
                self._abandon(run, f"its lease could not be renewed for {silent_s:.0f} s")

    def _renew(self, now_s: float) -> None:
        # A stream that hangs is not renewed: another worker may do better.
        runs = [run for run in self._runs.all() if not run.lost and (run.stream is None or run.stream.healthy)]
        answers = self._leases.renew([run.claim for run in runs])
        for run, answer in zip(runs, answers, strict=True):
            self._metrics.renewals.labels(answer.lower()).inc()
            if answer == "LOST":
                self._abandon(run, "another worker has taken it over")
            else:
                # The time before the call: the lease counts from when Redis may have seen it.
                run.renewed_s = now_s
            if answer == "CANCELLED":
                self._cancel(run)
