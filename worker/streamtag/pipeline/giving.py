"""The streams that this worker would give to others: offered, withdrawn, forgotten once another has them."""

from __future__ import annotations

from collections.abc import Iterable

from streamtag.core.records import Offer
from streamtag.core.sharing import COOLDOWN_S, Load, Movable, next_move, places
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.pipeline.run import Run, Runs

OFFER_S = 10.0  # for the other to open it and to take it
AVOID_S = 60.0  # a worker that could not
SETTLED_S = 1.5  # after a change here: what the others say of themselves is late


class Giving:
    """Offers, one at a time while this worker stays, all at once when it leaves. In the sharing thread."""

    def __init__(self, runs: Runs, metrics: Metrics) -> None:
        self._runs = runs
        self._metrics = metrics
        self._offers: dict[str, tuple[Offer, float]] = {}  # by job, with when each is withdrawn
        self._avoided: dict[str, float] = {}  # workers that could not take one, until when
        self._rests: dict[str, float] = {}  # jobs that are not to be moved, until when
        self._mine: set[tuple[str, int]] = set()
        self._changed_s = 0.0  # when that last changed
        self._all_offered = False

    @property
    def offers(self) -> tuple[Offer, ...]:
        return tuple(offer for offer, _ in self._offers.values())

    @property
    def done(self) -> bool:
        """Whether a worker that leaves has given all that others would have."""
        return self._all_offered and not self._offers

    def rest(self, job_id: str, now_s: float) -> None:
        """Let a stream that has just come here be."""
        self._rests[job_id] = now_s + COOLDOWN_S

    def follow(self, now_s: float) -> None:
        """See what became of the offers."""
        runs = {run.job_id: run for run in self._runs.all()}
        for job_id, (offer, until_s) in list(self._offers.items()):
            run = runs.get(job_id)
            if run is None or not _is_ours(run) or run.claim.fence != offer.fence:
                del self._offers[job_id]
            elif now_s > until_s:
                del self._offers[job_id]
                run.offered_to = ""
                self._avoided[offer.to] = now_s + AVOID_S
                self.rest(job_id, now_s)
                self._metrics.moves.labels("not_taken").inc()
                log.info("stream was not taken by the worker it was offered to", **run.named, worker=offer.to)
        self._rests = {job_id: until_s for job_id, until_s in self._rests.items() if job_id in runs}
        mine = {(run.job_id, run.claim.fence) for run in runs.values() if run.live and _is_ours(run)}
        if mine != self._mine:
            self._mine, self._changed_s = mine, now_s

    def decide(self, me: Load, others: Iterable[Load], now_s: float) -> None:
        """Offer a stream where that makes the sharing fairer."""
        if self._offers or now_s < self._changed_s + SETTLED_S:
            return
        fit = [load for load in others if self._avoided.get(load.worker, 0.0) <= now_s]
        if not fit:
            return
        if (found := next_move(me, fit, self._movable(), now_s)) is not None:
            self._offer(*found, now_s + OFFER_S)

    def leave(self, me: Load, others: Iterable[Load], until_s: float) -> None:
        """Offer every stream to a worker that has room for it."""
        if not self._all_offered:
            for job_id, target in places(me, others, self._movable()):
                if job_id not in self._offers:
                    self._offer(job_id, target, until_s)
            self._all_offered = True

    def _movable(self) -> list[Movable]:
        return [
            Movable(run.job_id, run.asked, self._rests.get(run.job_id, 0.0))
            for run in self._runs.all()
            if run.live and _is_ours(run) and run.state.has_pictures and not run.local
        ]

    def _offer(self, job_id: str, target: str, until_s: float) -> None:
        run = next((run for run in self._runs.all() if run.job_id == job_id), None)
        if run is None:
            return
        run.offered_to = target
        self._offers[job_id] = (Offer(job_id, run.claim.entry_id, run.claim.fence, target, run.asked), until_s)
        log.info("stream offered to another worker", **run.named, worker=target)


def _is_ours(run: Run) -> bool:
    return not (run.lease_lost or run.cancelled or run.failure)
