"""What a fence does not say alone: after a failover that lost an acquire, two workers hold the same one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamtag.core.records import Claim, JobStatus
from streamtag.errors import LeaseLost

from tests.contract.sides import LIVE, Queue, Side, lapse, step


def _lose_the_acquire(queue: Queue, act: Callable[[], Claim]) -> Claim:
    """A replica that had not heard of it takes over: the hash and the pending list are as they were before."""
    client, name = queue.connection.client, queue.keys.job("j")
    before = client.dump(name)
    claim = act()
    client.delete(name)
    if before:
        client.restore(name, 0, before)
    return claim


@pytest.fixture
def twice(queue: Queue) -> tuple[Side, Claim, Side, Claim]:
    """Two workers that hold fence 1 of the same job."""
    queue.submit()
    one, two = queue.worker("one"), queue.worker("two")
    first = _lose_the_acquire(queue, one.take)
    lapse()
    second = two.take_abandoned_now()
    assert first.fence == second.fence == 1
    return one, first, two, second


def test_of_two_that_hold_the_same_fence_the_last_publishes(
    queue: Queue, twice: tuple[Side, Claim, Side, Claim]
) -> None:
    """The second once took the first's commit for its own, whose reply was lost, and two samples were missing."""
    one, first, two, second = twice
    with pytest.raises(LeaseLost):
        one.commits.commit(first, step(0, "1-1", "2-2"), LIVE, None)
    two.commits.commit(second, step(0, "3-3", "4-4"), LIVE, None)
    assert [result.id for result in queue.producer.results("j")] == ["3-3", "4-4"]


@pytest.mark.parametrize(
    "act",
    [
        lambda side, claim: side.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0),
        lambda side, claim: side.commits.release(claim),
        lambda side, claim: side.commits.dead_letter(claim, "no"),
    ],
    ids=["finish", "release", "dead_letter"],
)
def test_of_two_that_hold_the_same_fence_the_first_can_end_nothing(
    queue: Queue, twice: tuple[Side, Claim, Side, Claim], act: Callable[[Side, Claim], None]
) -> None:
    one, first, two, second = twice
    with pytest.raises(LeaseLost):
        act(one, first)
    assert one.leases.renew([first]) == ["LOST"]
    assert two.leases.renew([second]) == ["OK"]
    assert queue.producer.view("j").status is JobStatus.RUNNING
    act(two, second)


def test_an_id_that_is_submitted_again_after_its_job_expired_is_another_job(queue: Queue) -> None:
    """Its fence begins anew, and the worker may be the same: a claim of its first life may not write into it."""
    queue.submit()
    one = queue.worker("one")
    first = one.take()
    one.commits.finish(first, JobStatus.DONE, "", "ended", 0.0)
    queue.connection.client.delete(queue.keys.job("j"), queue.keys.results("j"))
    queue.submit()
    second = one.take()
    assert (first.fence, second.fence) == (1, 1)
    with pytest.raises(LeaseLost):
        one.commits.commit(first, step(0, "1-1"), LIVE, None)
    with pytest.raises(LeaseLost):
        one.commits.finish(first, JobStatus.DONE, "", "ended", 0.0)
    assert one.leases.renew([first, second]) == ["LOST", "OK"]
    one.commits.commit(second, step(0, "1-1"), LIVE, None)
