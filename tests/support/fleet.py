"""A fleet of workers that share live streams, simulated: the rule of ``core/sharing.py`` and nothing else, in turns.

A turn is half a second. What a worker knows of the others is a turn old, a move takes some turns, and some moves fail.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from streamtag.core.records import Offer
from streamtag.core.sharing import COOLDOWN_S, Load, Movable, claim_delay_s, may_claim, next_move, places

TURN_S = 0.5
OPENING_TURNS = (1, 4)
FAILED_OFFER_S = 10.0
CLAIM_S = 0.02
SETTLING_S = 1.5  # after a change of its own, before a worker gives anything away: what the others say is late


@dataclass
class SimulatedWorker:
    """One worker: its streams with their rates, and what it offers."""

    name: str
    supply: float
    slots: int
    streams: dict[str, float] = field(default_factory=dict)
    not_before_s: dict[str, float] = field(default_factory=dict)
    offer: Offer | None = None
    decided_at: float = 0.0  # when what is offered has arrived, or was given up
    fails: bool = False
    look_s: float = 0.0  # when it looks for new jobs again
    settled_s: float = 0.0  # when its knowledge of the others is as good as that of itself

    @property
    def load(self) -> Load:
        offers = (self.offer,) if self.offer else ()
        asked, room = sum(self.streams.values()), self.slots - len(self.streams)
        return Load(self.name, len(self.streams), asked, self.supply, room, offers=offers)


class Fleet:
    """Workers, and a queue of streams that nobody has."""

    def __init__(self, seed: int, failures: float = 0.0) -> None:
        self.now_s = 0.0
        self.moves = 0
        self.waiting: dict[str, float] = {}
        self.waited_s: dict[str, float] = {}  # the longest that a stream was without a worker
        self.workers: dict[str, SimulatedWorker] = {}
        self._since_s: dict[str, float] = {}
        self._failures = failures
        self._random = random.Random(seed)
        self._seen: list[Load] = []

    def submit(self, rates: dict[str, float]) -> None:
        self.waiting |= rates
        self._since_s |= dict.fromkeys(rates, self.now_s)

    def join(self, name: str, supply: float = 1e5, slots: int = 2000) -> None:
        self.workers[name] = SimulatedWorker(name, supply, slots, look_s=self.now_s)

    def leave(self, name: str, killed: bool = False) -> None:
        """Hand all over, or be gone: then what it had waits for another worker."""
        gone = self.workers.pop(name)
        if not killed:
            mine = [Movable(job, asked) for job, asked in gone.streams.items()]
            for job, target in places(gone.load, [one.load for one in self.workers.values()], mine):
                self.workers[target].streams[job] = gone.streams.pop(job)
                self.workers[target].settled_s = self.now_s + SETTLING_S
        self.submit(gone.streams)

    def run(self, for_s: float) -> None:
        end_s = self.now_s + for_s
        while self.now_s < end_s:
            self._turn()

    def run_until_fair(self, limit_s: float) -> None:
        """Until no worker has two streams more than another, none waits, and none is on its way."""
        end_s = self.now_s + limit_s
        while (
            self.counts()[-1] - self.counts()[0] > 1 or self.waiting or any(one.offer for one in self.workers.values())
        ):
            self._turn()
            assert self.now_s < end_s, f"not fair: {self.counts()}, {len(self.waiting)} wait"

    def counts(self) -> list[int]:
        return sorted(len(one.streams) for one in self.workers.values())

    def asked(self) -> list[float]:
        return sorted(sum(one.streams.values()) for one in self.workers.values())

    def _turn(self) -> None:
        before, self._seen = (
            self._seen or [one.load for one in self.workers.values()],
            [one.load for one in self.workers.values()],
        )
        workers = list(self.workers.values())
        self._random.shuffle(workers)
        for one in workers:
            known = [load for load in before if load.worker != one.name and load.worker in self.workers]
            self._claim(one, known)
            self._follow_offer(one)
            if one.offer is None and one.settled_s <= self.now_s:
                self._decide(one, known)
        self.now_s += TURN_S

    def _claim(self, one: SimulatedWorker, known: list[Load]) -> None:
        while self.waiting and one.look_s < self.now_s + TURN_S and may_claim(one.load, known):
            job = next(iter(self.waiting))
            one.streams[job] = self.waiting.pop(job)
            waited_s = self.now_s - self._since_s[job]
            self.waited_s[job] = max(waited_s, self.waited_s.get(job, 0.0))
            one.look_s += claim_delay_s(one.load, known) + CLAIM_S
            one.settled_s = self.now_s + SETTLING_S
        one.look_s = max(one.look_s, self.now_s)

    def _follow_offer(self, one: SimulatedWorker) -> None:
        offer = one.offer
        if offer is None or self.now_s < one.decided_at:
            return
        one.offer, one.settled_s = None, self.now_s + SETTLING_S
        one.not_before_s[offer.job_id] = self.now_s + COOLDOWN_S
        target = self.workers.get(offer.to)
        if one.fails or target is None:
            return
        target.streams[offer.job_id] = one.streams.pop(offer.job_id)
        target.settled_s = self.now_s + SETTLING_S
        target.not_before_s[offer.job_id] = self.now_s + COOLDOWN_S
        self.moves += 1

    def _decide(self, one: SimulatedWorker, known: list[Load]) -> None:
        mine = [Movable(job, asked, one.not_before_s.get(job, 0.0)) for job, asked in one.streams.items()]
        found = next_move(one.load, known, mine, self.now_s)
        if found is not None:
            job, target = found
            one.offer = Offer(job, "1-1", 1, target, one.streams[job])
            one.fails = self._random.random() < self._failures
            one.decided_at = self.now_s + (
                FAILED_OFFER_S if one.fails else TURN_S * self._random.randint(*OPENING_TURNS)
            )


def least_moves(counts: list[int]) -> int:
    """How many streams of one rate must change hands at least, so that no worker has two more than another."""
    share, more = divmod(sum(counts), len(counts))
    levels = sorted(counts, reverse=True)
    return sum(max(0, count - share - (place < more)) for place, count in enumerate(levels))
