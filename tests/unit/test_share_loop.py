"""The sharing thread, with a queue without Redis and a clock that tests turn: what it offers, opens, takes, lets go."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from streamtag.core.records import Claim, Offer, StreamState, WorkerView
from streamtag.errors import QueueUnavailable, RejectJob
from streamtag.metrics import Metrics
from streamtag.pipeline.ahead import Ahead
from streamtag.pipeline.giving import OFFER_S, SETTLED_S, Giving
from streamtag.pipeline.neighbours import SILENT_S, Neighbours
from streamtag.pipeline.presence import Presence
from streamtag.pipeline.run import Run, Runs
from streamtag.pipeline.share_loop import TELL_S, TICK_S, ShareLoop
from streamtag.pipeline.slots import Slots
from streamtag.pipeline.taking import OPEN_S, Taking
from streamtag.queue.session import QueueSession

from tests.support.loops import Clock, claim, outage, run_of, view


@dataclass
class FakeSharing:
    """Heartbeats and hand-overs without Redis."""

    said: list[WorkerView] = field(default_factory=list)
    others_say: list[WorkerView] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    raises: Exception | None = None
    gone: bool = False  # who offers it has not got it any more

    def heartbeats(self) -> FakeSharing:
        return self

    def handovers(self) -> FakeSharing:
        return self

    def beat(self, said: WorkerView) -> None:
        self.said.append(said)

    def find(self) -> None:
        """All are known at once."""

    def others(self) -> list[WorkerView]:
        if isinstance(self.raises, QueueUnavailable):
            raise self.raises
        return self.others_say

    def look(self, offer: Offer) -> Claim | None:
        self.looked.append(offer.job_id)
        if isinstance(self.raises, RejectJob):
            raise self.raises
        return claim(offer.job_id, "rtsp://cam/1")

    def take(self, offer: Offer, giver: str, opened: Claim) -> Claim | None:
        self.taken.append(f"{offer.job_id} of {giver}")
        return None if self.gone else replace(opened, fence=offer.fence + 1)


class FakePresence:
    """A worker that is as its runs are."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.draining = False

    def look(self, offers: tuple[Offer, ...], coming: int) -> WorkerView:
        said = view("me", len(self.runs), 10 - len(self.runs) - coming, 100.0)
        return replace(said, draining=self.draining, offers=offers)


@dataclass
class Bench:
    queue: FakeSharing = field(default_factory=FakeSharing)
    clock: Clock = field(default_factory=Clock)
    runs: Runs = field(default_factory=Runs)
    metrics: Metrics = field(default_factory=Metrics)
    opened: list[Ahead] = field(default_factory=list)
    let_go: list[str] = field(default_factory=list)
    bad_start: bool = False

    def __post_init__(self) -> None:
        self.presence = FakePresence(self.runs)
        self.neighbours = Neighbours(Slots(10), self.runs, self.clock)
        self.giving = Giving(self.runs, self.metrics)
        handovers = cast(Any, self.queue)
        taking = Taking(handovers, self.runs, self.metrics, self._open, self._adopt, self._let_go)
        told = outage(self.clock, self.metrics)
        session, presence = cast(QueueSession, self.queue), cast(Presence, self.presence)
        self.loop = ShareLoop(session, presence, self.neighbours, self.giving, taking, told, self.clock)

    def _open(self, held: Claim) -> Ahead:
        self.opened.append(Ahead(held, 0.5, 4, lambda: None))
        return self.opened[-1]

    def _adopt(self, ahead: Ahead, held: Claim, asked: float) -> None:
        if self.bad_start:
            raise ValueError("smoother state")
        self.add(held.job.job_id)

    def _let_go(self, ahead: Ahead) -> None:
        self.let_go.append(ahead.claim.job.job_id)

    def add(self, *names: str) -> list[Run]:
        made = [run_of(name, f"rtsp://{name}/1") for name in names]
        for run in made:
            run.state = StreamState.LIVE
            self.runs.add(run)
        return made

    def turn(self, for_s: float = TICK_S) -> None:
        end_s = self.clock.now_s + for_s
        while self.clock.now_s < end_s:
            self.loop.wake()
            self.queue.others_say = [
                replace(one, seen_unix_s=self.clock.now_s) if one.worker != "silent" else one
                for one in self.queue.others_say
            ]
            self.loop.run_once()
            self.clock.now_s += TICK_S

    @property
    def offered(self) -> list[tuple[str, str]]:
        return [(offer.job_id, offer.to) for offer in self.queue.said[-1].offers]

    def moves(self, how: str) -> float:
        return self.metrics.registry.get_sample_value("streamtag_stream_moves_total", {"outcome": how}) or 0.0


def offering(job: str = "cam", to: str = "me", worker: str = "other") -> WorkerView:
    return view(worker, 4, 6, 100.0, offers=(Offer(job, "1-1", 1, to, 2.0),))


def test_a_worker_says_that_it_is_there_twice_a_second_also_without_a_job() -> None:
    bench = Bench()
    bench.turn(3 * TELL_S)
    assert len(bench.queue.said) == 3


def test_without_redis_nothing_ends() -> None:
    bench = Bench(queue=FakeSharing(raises=QueueUnavailable("away")))
    bench.turn(2.0)
    assert bench.queue.said == []
    bench.queue.raises = None
    bench.turn(3.0)
    assert bench.queue.said


def test_beside_an_emptier_worker_one_stream_is_offered_once_things_have_settled() -> None:
    bench = Bench(queue=FakeSharing(others_say=[view("idle", 0, 10, 100.0)]))
    bench.add("a", "b", "c")
    bench.turn(SETTLED_S)
    assert bench.offered == []
    bench.turn(2 * TICK_S)
    assert bench.offered == [("a", "idle")]
    bench.turn(3.0)
    assert bench.offered == [("a", "idle")], "one at a time"


def test_a_stream_that_is_not_taken_stays_and_is_offered_to_that_worker_no_more_for_a_while() -> None:
    bench = Bench(queue=FakeSharing(others_say=[view("idle", 0, 10, 100.0)]))
    run, *_ = bench.add("a", "b", "c")
    bench.turn(SETTLED_S + OFFER_S + 1)
    assert bench.offered == []
    assert run.offered_to == ""
    assert bench.moves("not_taken") == 1
    bench.turn(20.0)
    assert bench.moves("not_taken") == 1
    bench.queue.others_say.append(view("third", 0, 10, 100.0))
    bench.turn(1.0)
    assert bench.offered == [("b", "third")], "another worker gets one, but not that which has just been tried"


def test_once_another_has_it_the_offer_is_gone() -> None:
    bench = Bench(queue=FakeSharing(others_say=[view("idle", 0, 10, 100.0)]))
    run, *_ = bench.add("a", "b", "c")
    bench.turn(SETTLED_S + 0.5)
    assert run.offered_to == "idle"
    run.lease_lost = True  # the next commit was refused
    bench.turn()
    assert bench.offered == []
    assert bench.moves("not_taken") == 0


@pytest.mark.parametrize("state", [StreamState.CONNECTING, StreamState.RECONNECTING, StreamState.AUTH_FAILED])
def test_a_stream_that_is_not_seen_here_is_not_moved(state: StreamState) -> None:
    bench = Bench(queue=FakeSharing(others_say=[view("idle", 0, 10, 100.0)]))
    for run in bench.add("a", "b", "c"):
        run.state = state
    bench.turn(5.0)
    assert bench.offered == []


def test_a_worker_that_says_nothing_new_is_nobody_to_count_on() -> None:
    bench = Bench(queue=FakeSharing(others_say=[view("silent", 0, 10, 100.0)]))
    bench.add("a", "b", "c")
    bench.turn(SETTLED_S)
    bench.clock.now_s += SILENT_S
    bench.turn(5.0)
    assert bench.neighbours.others == ()
    assert bench.offered == []


def test_what_is_offered_is_opened_and_taken_when_it_has_a_sample() -> None:
    bench = Bench(queue=FakeSharing(others_say=[offering()]))
    bench.turn(1.0)
    assert bench.queue.looked == ["cam"]
    assert bench.queue.taken == []
    bench.opened[0].ready = True
    bench.turn()
    assert bench.queue.taken == ["cam of other"]
    assert [run.job_id for run in bench.runs.all()] == ["cam"]
    bench.turn(2.0)
    assert bench.queue.looked == ["cam"], "although the offer is still to be read"
    assert bench.moves("taken") == 1


def test_what_is_offered_to_another_is_none_of_its_business() -> None:
    bench = Bench(queue=FakeSharing(others_say=[offering(to="third")]))
    bench.turn(1.0)
    assert bench.queue.looked == []


def test_what_cannot_be_opened_in_time_is_let_go_and_not_tried_again() -> None:
    bench = Bench(queue=FakeSharing(others_say=[offering()]))
    bench.turn(OPEN_S + 1)
    assert bench.let_go == ["cam"]
    bench.turn(OPEN_S)
    assert len(bench.opened) == 1
    assert bench.moves("not_opened") == 1


@pytest.mark.parametrize("end", ["withdrawn", "ended", "gone"])
def test_what_is_withdrawn_or_ends_or_is_gone_is_let_go(end: str) -> None:
    bench = Bench(queue=FakeSharing(others_say=[offering()], gone=end == "gone"))
    bench.turn()
    match end:
        case "withdrawn":
            bench.queue.others_say = [view("other", 4, 6, 100.0)]
        case "ended":
            bench.opened[0].over = True
        case "gone":
            bench.opened[0].ready = True
    bench.turn(1.0)
    assert bench.let_go == ["cam"]
    assert bench.runs.all() == []


def test_what_is_taken_and_cannot_be_begun_is_let_go() -> None:
    """Nobody renews it: its lease ends, and who acquires it says what is wrong."""
    bench = Bench(queue=FakeSharing(others_say=[offering()]), bad_start=True)
    bench.turn()
    bench.opened[0].ready = True
    bench.turn(1.0)
    assert bench.queue.taken == ["cam of other"]
    assert bench.let_go == ["cam"]


def test_an_offer_that_cannot_be_read_harms_nothing() -> None:
    bench = Bench(queue=FakeSharing(others_say=[offering()], raises=RejectJob("no job")))
    bench.turn(2.0)
    assert bench.queue.looked == ["cam"]
    assert bench.queue.said


def test_a_worker_that_leaves_offers_all_at_once_and_opens_nothing() -> None:
    bench = Bench(queue=FakeSharing(others_say=[view("b", 2, 8, 100.0), view("c", 2, 8, 100.0), offering()]))
    runs = bench.add("1", "2", "3")
    bench.presence.draining = True
    bench.loop.leave(bench.clock.now_s + 3.0)
    bench.turn()
    assert bench.offered == [("1", "b"), ("2", "c"), ("3", "b")]
    assert not bench.loop.has_left
    for run in runs[:2]:
        run.lease_lost = True
    bench.turn()
    assert not bench.loop.has_left
    bench.turn(4.0)
    assert bench.loop.has_left, "the third was not taken in time"
    assert bench.opened == []


def test_a_worker_that_leaves_alone_has_left_at_once() -> None:
    bench = Bench()
    bench.add("1")
    bench.loop.leave(bench.clock.now_s + 3.0)
    bench.turn()
    assert bench.loop.has_left
