"""The leases thread: renews every lease from its own connection, and gives up what it cannot renew."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

from streamtag.core.boundary import JobBoundary
from streamtag.errors import QueueRefused, QueueUnavailable
from streamtag.metrics import Metrics
from streamtag.pipeline.outage import Outage
from streamtag.pipeline.run import Run, Runs
from streamtag.queue.leases import Answer
from streamtag.queue.session import QueueSession

LEAST_TICK_S, MOST_TICK_S = 0.05, 5.0


class LeaseLoop:
    """Keeps what this worker holds.

    Args:
        abandon: stops a job whose lease is gone; called with the reason.
        cancel: stops a job that a person cancelled.
    """

    def __init__(
        self,
        session: QueueSession,
        runs: Runs,
        metrics: Metrics,
        abandon: Callable[[Run, str], None],
        cancel: Callable[[Run], None],
        outage: Outage,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = session.leases()
        self._lease = session.lease
        self._runs = runs
        self._metrics = metrics
        self._abandon = abandon
        self._cancel = cancel
        self._outage = outage
        self._now_s = now_s
        self._next_s = 0.0
        self._ends_s = math.inf  # when the first of the leases runs out that are held, if it is not renewed before

    def run_once(self) -> None:
        """Renew when it is time; look every turn for leases that have run out on our own clock."""
        now_s = self._now_s()
        if now_s >= self._next_s and self._outage.wait_s() == 0:
            try:
                self._renew(now_s)
                self._next_s = now_s + self._lease.renew_s
                self._outage.answered()
            except QueueUnavailable as error:
                self._outage.failed(error)
        self._ends_s = math.inf
        for run in self._runs.all():
            if run.lease_lost:
                continue
            silent_s = self._now_s() - run.held_s
            if silent_s > self._lease.stop_after_s:
                self._abandon(run, f"its lease could not be renewed for {silent_s:.0f} s")
            else:
                self._ends_s = min(self._ends_s, run.held_s + self._lease.stop_after_s)

    def patience_s(self) -> float:
        """How long nothing is to be done: until the next renewal, but a lease may also run out before. One that is new
        here lasts longer than either."""
        now_s = self._now_s()
        until_s = max(self._next_s - now_s, self._outage.wait_s())
        return max(LEAST_TICK_S, min(until_s, self._ends_s - now_s, MOST_TICK_S))

    def _renew(self, now_s: float) -> None:
        # A stream that hangs is not renewed: another worker may do better.
        runs = [run for run in self._runs.all() if not run.lease_lost and run.stream.healthy]
        try:
            answers = self._leases.renew([run.claim for run in runs])
        except QueueRefused:
            # One of them is in the way of all.
            for run in runs:
                with JobBoundary(partial(self._refused, run)):
                    self._note(run, self._leases.renew([run.claim])[0], now_s)
            return
        for run, answer in zip(runs, answers, strict=True):
            self._note(run, answer, now_s)

    def _note(self, run: Run, answer: Answer, now_s: float) -> None:
        self._metrics.renewals.labels(answer.lower()).inc()
        if answer == "LOST":
            self._abandon(run, "another worker has taken it over, or Redis has lost it")
            return
        # The time before the call: the lease counts from when Redis may have seen it.
        run.renewed_s = now_s
        if answer == "CANCELLED":
            self._cancel(run)

    def _refused(self, run: Run, error: Exception) -> None:
        self._abandon(run, f"its lease cannot be renewed: {error}")
