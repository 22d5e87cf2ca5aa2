"""How a live job changes hands while it runs: who offers it, who takes it, and what the other may do afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamtag.core.records import Claim, JobStatus, Offer, WorkerView
from streamtag.errors import LeaseLost, QueueRefused, RejectJob
from streamtag.queue.handovers import Handovers
from streamtag.queue.keys import GROUP

from tests.contract.sides import LIVE, Queue, Side, lapse, step

CAMERA = "rtsp://camera.lan/1"
VIEW = WorkerView("one", "host", "1.0", "m", "null", 16, 2, 30.5, False, 1.0, 2.0)


def handovers(queue: Queue, name: str, side: Side) -> Handovers:
    return Handovers(queue.connection, name, side.claims)


def offer_of(claim: Claim, to: str = "two") -> Offer:
    return Offer(claim.job.job_id, claim.entry_id, claim.fence, to, 2.0)


class Pair:
    """A worker that runs a camera, and another that it is offered to."""

    def __init__(self, queue: Queue) -> None:
        queue.submit(source=CAMERA)
        self.queue = queue
        self.one, self.two = queue.worker("one"), queue.worker("two")
        self.claim = self.one.take()
        self.one.commits.commit(self.claim, step(0, "1-1"), LIVE, None)
        self.offer = offer_of(self.claim)
        self.takes = handovers(queue, "two", self.two)

    def owner_of_entry(self) -> str:
        (row,) = self.queue.connection.client.xpending_range(self.queue.keys.jobs, GROUP, "-", "+", 10)
        return str(row["consumer"].decode())


@pytest.fixture
def pair(queue: Queue) -> Pair:
    return Pair(queue)


def test_what_is_offered_is_taken_with_what_its_owner_committed_until_then(pair: Pair) -> None:
    opened = pair.takes.look(pair.offer)
    assert opened is not None
    assert (opened.job.source, opened.job.is_live, opened.checkpoint.seq) == (CAMERA, True, 1)
    pair.one.commits.commit(pair.claim, step(1, "2-2"), LIVE, None)
    taken = pair.takes.take(pair.offer, "one", opened)
    assert taken is not None
    assert (taken.fence, taken.deliveries, taken.crashes, taken.checkpoint.seq) == (2, 2, 0, 2)
    assert pair.owner_of_entry() == "two"
    with pytest.raises(LeaseLost):
        pair.one.commits.commit(pair.claim, step(2, "3-3"), LIVE, None)
    assert pair.one.leases.renew([pair.claim]) == ["LOST"]
    pair.two.commits.commit(taken, step(2, "4-4"), LIVE, None)
    assert [result.id for result in pair.queue.producer.results("j")] == ["1-1", "2-2", "4-4"]
    view = pair.queue.producer.view("j")
    assert (view.status, view.worker, view.crashes) == (JobStatus.RUNNING, "two", 0)


def test_it_is_no_crash_of_its_last_owner(pair: Pair) -> None:
    taken = pair.takes.take(pair.offer, "one", pair.claim)
    assert taken is not None
    with pytest.raises(LeaseLost):
        pair.one.commits.release(pair.claim)
    assert pair.queue.producer.view("j").crashes == 0
    assert pair.two.leases.renew([taken]) == ["OK"]


def test_asked_again_after_a_lost_reply_it_is_the_same(pair: Pair) -> None:
    first = pair.takes.take(pair.offer, "one", pair.claim)
    second = pair.takes.take(pair.offer, "one", pair.claim)
    assert first is not None
    assert second is not None
    assert second == replace(first)
    pair.two.commits.commit(second, step(1, "2-2"), LIVE, None)


def test_of_two_that_it_was_offered_to_one_gets_it(pair: Pair) -> None:
    three = handovers(pair.queue, "three", pair.queue.worker("three"))
    assert pair.takes.take(pair.offer, "one", pair.claim) is not None
    assert three.take(pair.offer, "one", pair.claim) is None
    assert pair.owner_of_entry() == "two"


def test_what_its_owner_no_longer_has_is_not_taken(pair: Pair) -> None:
    pair.one.commits.release(pair.claim)
    assert pair.takes.take(pair.offer, "one", pair.claim) is None
    again = pair.queue.worker("three").take_abandoned_now()
    assert pair.takes.take(pair.offer, "one", pair.claim) is None
    assert pair.takes.take(pair.offer, "three", pair.claim) is None, "of another fence"
    pair.queue.worker("three").commits.commit(again, step(1, "2-2"), LIVE, None)


def test_what_is_over_or_cancelled_is_not_taken(pair: Pair) -> None:
    pair.queue.producer.cancel("j")
    assert pair.takes.take(pair.offer, "one", pair.claim) is None
    assert pair.owner_of_entry() == "one"
    pair.one.commits.finish(pair.claim, JobStatus.CANCELLED, "cancelled", "ended", 0.0)
    assert pair.takes.look(pair.offer) is None
    assert pair.takes.take(pair.offer, "one", pair.claim) is None


def test_it_can_be_taken_from_an_owner_that_has_died(pair: Pair) -> None:
    lapse()
    taken = pair.takes.take(pair.offer, "one", pair.claim)
    assert taken is not None
    assert pair.queue.worker("three").take_abandoned() is None, "it is heard of again"


def test_who_takes_it_may_die_and_then_the_lease_counts(pair: Pair) -> None:
    assert pair.takes.take(pair.offer, "one", pair.claim) is not None
    lapse()
    last = pair.queue.worker("three").take_abandoned_now()
    assert (last.fence, last.crashes) == (3, 1)


def test_an_offer_that_names_another_job_s_entry_is_refused(pair: Pair) -> None:
    pair.queue.submit("other", CAMERA)
    other = pair.one.take()
    wrong = replace(pair.offer, entry_id=other.entry_id)
    with pytest.raises(RejectJob, match="another job"):
        pair.takes.look(wrong)
    assert pair.takes.take(wrong, "one", pair.claim) is None
    assert pair.one.leases.renew([pair.claim, other]) == ["OK", "OK"]


def test_a_job_whose_key_is_wrong_is_refused_before_anything_is_written(pair: Pair) -> None:
    pair.queue.spoil("fence", "many")
    with pytest.raises(QueueRefused):
        pair.takes.take(pair.offer, "one", pair.claim)
    assert pair.owner_of_entry() == "one"
    pair.queue.spoil("counters", "[]")
    with pytest.raises(RejectJob):
        pair.takes.look(pair.offer)


def test_offers_are_read_with_what_a_worker_says(pair: Pair) -> None:
    loaded = replace(VIEW, streams=2, asked=4.0, supply=90.5, busy=0.25, room=14, offers=(pair.offer,))
    pair.one.heartbeats.beat(loaded)
    pair.two.heartbeats.find()
    assert pair.two.heartbeats.others() == [loaded]
    pair.one.heartbeats.find()
    assert pair.one.heartbeats.others() == [], "of itself it knows"
    assert pair.queue.producer.workers() == [loaded]


def test_a_worker_of_an_earlier_version_is_read_without_a_load(queue: Queue) -> None:
    one = queue.worker("one")
    queue.connection.client.xgroup_createconsumer(queue.keys.jobs, GROUP, "old")
    known = VIEW.to_dict()
    for name in ("streams", "asked", "supply", "busy", "lag_s", "drop_share", "room", "offers"):
        known.pop(name)
    queue.worker("old").heartbeats.beat(known)  # type: ignore[arg-type]
    one.heartbeats.find()
    (view,) = one.heartbeats.others()
    assert (view.supply, view.room, view.offers) == (0.0, 0, ())


@pytest.mark.parametrize(
    "more",
    [
        {"asked": -1.0},
        {"supply": 1e300},
        {"room": -5},
        {"offers": [{"job_id": "../..", "entry_id": "1-1", "fence": 1, "to": "two", "asked": 1.0}]},
        {"offers": [{"job_id": "j", "entry_id": "*", "fence": 1, "to": "two", "asked": 1.0}]},
        {"offers": [{"job_id": "j", "entry_id": "1-1", "fence": 10**16, "to": "two", "asked": 1.0}]},
        {"offers": [{"job_id": "j", "entry_id": "1-1", "fence": 1, "to": "two", "asked": 1.0}] * 65},
        {"host": "x" * 70_000},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_load_that_no_worker_says_is_passed_over(queue: Queue, more: dict[str, object]) -> None:
    one, two = queue.worker("one"), queue.worker("two")
    for name in ("one", "two"):
        queue.connection.client.xgroup_createconsumer(queue.keys.jobs, GROUP, name)
    two.heartbeats.beat(VIEW.to_dict() | more)  # type: ignore[arg-type]
    one.heartbeats.find()
    assert one.heartbeats.others() == []


def test_before_the_first_job_nobody_else_is_there(queue: Queue) -> None:
    side = queue.worker("one")
    queue.connection.client.delete(queue.keys.jobs)
    side.heartbeats.find()
    assert side.heartbeats.others() == []
    queue.connection.client.xadd(queue.keys.jobs, {"job": "x"})
    side.heartbeats.find()
    assert side.heartbeats.others() == []
