"""The streams that others offer to this worker: opened first, then taken; make before break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from streamtag.core.boundary import JobBoundary
from streamtag.core.records import Claim, Offer, WorkerView
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.pipeline.ahead import Ahead
from streamtag.pipeline.run import Runs
from streamtag.queue.handovers import Handovers

OPEN_S = 8.0  # for its first sample; its owner goes on meanwhile
MAX_OPENING = 8

Key = tuple[str, str, int]  # of an offer: whose, of which job, with which fence


@dataclass(slots=True)
class _Opening:
    offer: Offer
    ahead: Ahead
    until_s: float
    asked: bool = False  # to be ours: whether it is, is not known before the answer


class Taking:
    """What is on its way here. In the sharing thread.

    Args:
        open_ahead: opens the stream of a claim that is not ours yet.
        adopt: begins the work on it with the claim that is, and the samples a second that it asked of its owner.
        let_go: ends a stream that was opened in vain.
    """

    def __init__(
        self,
        handovers: Handovers,
        runs: Runs,
        metrics: Metrics,
        open_ahead: Callable[[Claim], Ahead],
        adopt: Callable[[Ahead, Claim, float], None],
        let_go: Callable[[Ahead], None],
    ) -> None:
        self._handovers = handovers
        self._runs = runs
        self._metrics = metrics
        self._open_ahead = open_ahead
        self._adopt = adopt
        self._let_go = let_go
        self._openings: dict[Key, _Opening] = {}
        self._refused: set[Key] = set()  # offers that came to nothing, as long as they stand

    @property
    def coming(self) -> int:
        """Streams that are being opened."""
        return len(self._openings)

    def hear(self, me: WorkerView, views: Sequence[WorkerView], now_s: float) -> None:
        """Open what is offered, and let go of what is not any more."""
        offers = {(view.worker, one.job_id, one.fence): one for view in views for one in view.offers}
        offers = {key: offer for key, offer in offers.items() if offer.to == me.worker}
        self._refused &= set(offers)
        for key in [key for key, opening in self._openings.items() if key not in offers and not opening.asked]:
            self._let_go(self._openings.pop(key).ahead)
        if me.draining or me.short_of_memory:
            return
        here = {run.job_id for run in self._runs.all()} | {opening.offer.job_id for opening in self._openings.values()}
        for key, offer in offers.items():
            if offer.job_id in here or key in self._refused or self.coming >= min(MAX_OPENING, me.room):
                continue
            with JobBoundary(partial(self._refuse, key)):
                self._open(key, offer, now_s)

    def go_on(self, now_s: float) -> list[str]:
        """Take what is open. The jobs that are ours since."""
        taken = []
        for key, opening in list(self._openings.items()):
            with JobBoundary(partial(self._refuse, key)):
                if (opening.ahead.ready or opening.asked) and self._take(key, opening):
                    taken.append(opening.offer.job_id)
                elif opening.ahead.over or now_s > opening.until_s:
                    raise TimeoutError("it could not be opened here in time")
        return taken

    def _open(self, key: Key, offer: Offer, now_s: float) -> None:
        claim = self._handovers.look(offer)
        if claim is None:
            raise LookupError("it is not in the queue")
        self._openings[key] = _Opening(offer, self._open_ahead(claim), now_s + OPEN_S)

    def _take(self, key: Key, opening: _Opening) -> bool:
        # The claims thread may learn of it, too, after an outage: whoever is second must see that it runs.
        with self._runs.taking:
            opening.asked = True
            claim = self._handovers.take(opening.offer, key[0], opening.ahead.claim)
            if claim is None:
                raise LookupError("its owner has not got it any more")
            self._adopt(opening.ahead, claim, opening.offer.asked)
        del self._openings[key]
        self._metrics.moves.labels("taken").inc()
        return True

    def _refuse(self, key: Key, error: Exception) -> None:
        self._refused.add(key)
        if (opening := self._openings.pop(key, None)) is not None:
            self._let_go(opening.ahead)
        self._metrics.moves.labels("not_opened").inc()
        log.info("stream that was offered is not taken", job_id=key[1], worker=key[0], reason=str(error))
