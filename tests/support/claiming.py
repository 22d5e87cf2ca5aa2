"""The claims thread on a queue without Redis, turn by turn."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

from streamtag.core.records import Claim
from streamtag.metrics import Metrics
from streamtag.pipeline.claim_loop import ClaimLoop
from streamtag.pipeline.neighbours import Neighbours
from streamtag.pipeline.room import Room
from streamtag.pipeline.run import Runs
from streamtag.pipeline.slots import Slots
from streamtag.queue.claims import Entry

from tests.support.loops import Clock, FakeQueue, outage, run_of


class Stopping(threading.Event):
    """Waiting is over at once."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_s.append(timeout or 0.0)
        return False


@dataclass
class Bench:
    slots: int | Literal["auto"] = 4
    queue: FakeQueue = field(default_factory=FakeQueue)
    clock: Clock = field(default_factory=Clock)
    runs: Runs = field(default_factory=Runs)
    metrics: Metrics = field(default_factory=Metrics)
    started: list[str] = field(default_factory=list)
    redis: list[bool] = field(default_factory=list)
    bad_starts: dict[str, Exception] = field(default_factory=dict)

    def __post_init__(self) -> None:
        told = outage(self.clock, self.metrics, self.redis.append)
        session = self.queue.as_session()
        self.room = Room(session, self.metrics, self.clock)
        slots = Slots(self.slots)
        self.neighbours = Neighbours(slots, self.runs, self.clock)
        self.neighbours.hear([])
        self.loop = ClaimLoop(
            session,
            self.runs,
            self.metrics,
            self.start,
            told,
            self.room,
            slots,
            self.neighbours,
            self.clock,
        )

    def start(self, claim: Claim) -> None:
        if claim.job.job_id in self.bad_starts:
            raise self.bad_starts[claim.job.job_id]
        self.runs.add(run_of(claim.job.job_id, claim.job.source))
        self.started.append(claim.job.job_id)

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.run_once(Stopping())


def entries(*names: str) -> list[Entry]:
    return [Entry(name, b"{}") for name in names]
