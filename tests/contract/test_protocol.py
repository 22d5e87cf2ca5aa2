"""The Redis protocol, on the newest server here and on the oldest that is supported."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from streamtag.core.job import Job
from streamtag.core.records import Checkpoint, JobStatus, StreamState
from streamtag.errors import JobCancelled, LeaseLost, QueueFull, QueueUnavailable, StreamtagError
from streamtag.queue.claims import Entry
from streamtag.queue.connection import Connection
from streamtag.queue.keys import GROUP
from streamtag.queue.producer import Producer

from tests.contract.sides import LIVE, Queue, lapse, step
from tests.support import RedisServer


def test_the_same_id_twice_is_one_job(queue: Queue) -> None:
    assert queue.submit() == "queued"
    assert queue.submit() == "queued"
    assert queue.waiting() == 1


def test_a_full_queue_refuses(server: RedisServer) -> None:
    queue = Queue(server.url, **{"redis.queue_cap": 2})
    queue.submit("a")
    queue.submit("b")
    with pytest.raises(QueueFull, match="queue_cap"):
        queue.submit("c")
    assert queue.waiting() == 2


def test_a_job_is_acquired_once_and_leaves_the_queue_when_it_is_over(queue: Queue) -> None:
    queue.submit()
    one, two = queue.worker("one"), queue.worker("two")
    claim = one.take()
    assert (claim.job.job_id, claim.fence, claim.crashes, claim.checkpoint) == ("j", 1, 0, Checkpoint())
    assert two.claims.fetch(1, block_ms=50) == []
    assert queue.producer.view("j").status is JobStatus.RUNNING
    assert queue.waiting() == 1
    one.commits.finish(claim, JobStatus.DONE, "", "ended", 1.5)
    assert queue.waiting() == 0
    assert queue.producer.view("j").status is JobStatus.DONE
    assert queue.connection.client.ttl(queue.keys.job("j")) > 0


def test_a_commit_publishes_and_checkpoints_together(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    one.commits.commit(claim, step(0, "5-1", "9-2", index=7, events=2), LIVE, 0.25, "fine")
    view = queue.producer.view("j")
    assert (view.state, view.progress, view.counters.sampled, view.reason) == ("live", 0.25, 2, "fine")
    assert [result.id for result in queue.producer.results("j")] == ["5-1", "9-2"]
    assert len(queue.producer.events()) == 2
    lapse()
    again = queue.worker("two").take_abandoned()
    assert again is not None
    assert again.fence == 2
    assert again.checkpoint == step(0, "5-1", "9-2", index=7).checkpoint


def test_a_stale_owner_can_do_nothing(queue: Queue) -> None:
    queue.submit()
    one, two = queue.worker("one"), queue.worker("two")
    old = one.take()
    lapse()
    new = two.take_abandoned()
    assert new is not None
    attempts: tuple[Callable[[], object], ...] = (
        lambda: one.commits.commit(old, step(0, "5-1"), LIVE, None),
        lambda: one.commits.finish(old, JobStatus.DONE, "", "ended", 1.5),
        lambda: one.commits.release(old),
        lambda: one.commits.dead_letter(old, "no"),
    )
    for attempt in attempts:
        with pytest.raises(LeaseLost):
            attempt()
    assert one.leases.renew([old]) == ["LOST"]
    assert queue.producer.results("j") == []
    assert two.leases.renew([new]) == ["OK"]
    two.commits.commit(new, step(0, "5-1"), LIVE, None)


def test_a_commit_repeated_after_a_lost_reply_is_there_once(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    for _ in range(2):
        one.commits.commit(claim, step(0, "5-1", events=1), LIVE, None)
    assert len(queue.producer.results("j")) == len(queue.producer.events()) == 1
    with pytest.raises(LeaseLost):
        one.commits.commit(claim, step(5, "6-1"), LIVE, None)


def test_a_replayed_sample_is_refused_by_its_id(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    one.commits.commit(claim, step(0, "5-1", "9-2"), LIVE, None)
    one.commits.commit(claim, step(1, "5-1", "9-2", "9-3"), LIVE, None)
    assert [result.id for result in queue.producer.results("j")] == ["5-1", "9-2", "9-3"]


def test_a_lease_that_is_renewed_is_not_taken_over(queue: Queue) -> None:
    queue.submit()
    one, two = queue.worker("one"), queue.worker("two")
    claim = one.take()
    for _ in range(8):
        time.sleep(0.1)
        assert one.leases.renew([claim]) == ["OK"]
    assert two.take_abandoned() is None
    lapse()
    assert two.take_abandoned() is not None


def test_a_released_job_is_there_at_once_and_was_no_crash(queue: Queue) -> None:
    queue.submit()
    one, two = queue.worker("one"), queue.worker("two")
    claim = one.take()
    for _ in range(2):  # the second after a lost reply
        one.commits.release(claim)
    assert queue.producer.view("j").status is JobStatus.QUEUED
    again = two.take_abandoned_now()
    assert (again.crashes, again.deliveries) == (0, 2)


def test_crashes_are_counted_and_progress_forgives_them(queue: Queue) -> None:
    queue.submit()
    assert queue.worker("one").take().crashes == 0
    two, three = queue.worker("two"), queue.worker("three")
    lapse()
    assert two.claims.crashes("j") == 1
    assert two.take_abandoned_now().crashes == 1
    lapse()
    claim = three.take_abandoned_now()
    assert (claim.crashes, claim.deliveries) == (2, 3)
    three.commits.commit(claim, step(0, "5-1"), LIVE, None)
    lapse()
    assert two.take_abandoned_now().crashes == 1


def test_what_a_worker_acquires_again_was_no_crash(queue: Queue) -> None:
    """The reply of its acquire was lost; at 40 % lost replies this once dead-lettered 4 of 24 good jobs."""
    queue.submit()
    one = queue.worker("one")
    one.take()
    (entry,) = one.claims.redelivered(10)
    claim = one.claims.acquire(entry)
    assert claim is not None
    assert (claim.fence, claim.crashes) == (2, 0)


def test_a_worker_that_vanishes_while_nothing_is_decoded_did_not_crash(queue: Queue) -> None:
    queue.submit()
    one, two = queue.worker("one"), queue.worker("two")
    claim = one.take()
    one.commits.commit(claim, step(0), StreamState.RECONNECTING, None)
    lapse()
    assert two.claims.crashes("j") == 0
    claim = two.take_abandoned_now()
    assert claim.crashes == 0
    two.commits.commit(claim, step(1), StreamState.LIVE, None)
    lapse()
    assert one.take_abandoned_now().crashes == 1


def test_a_worker_that_lost_its_job_in_an_outage_says_that_it_lives(queue: Queue) -> None:
    queue.submit()
    one, two, three = (queue.worker(name) for name in ("one", "two", "three"))
    first = one.take()
    lapse()
    second = two.take_abandoned_now()
    lapse()
    assert three.take_abandoned_now().crashes == 2
    for _ in range(2):  # the second after a lost reply: it counts once
        with pytest.raises(LeaseLost):
            one.commits.release(first)
    assert queue.producer.view("j").crashes == 1
    with pytest.raises(LeaseLost):
        two.commits.release(second)
    assert queue.producer.view("j").crashes == 0


def test_a_waiting_job_is_cancelled_at_once(queue: Queue) -> None:
    queue.producer.submit(Job("j", "clip.mp4", stream="gate"))
    assert queue.producer.cancel("j") == "cancelled"
    assert queue.waiting() == 0
    assert queue.producer.view("j").status is JobStatus.CANCELLED
    (event,) = queue.producer.events()
    assert (event.job_id, event.kind) == ("j", "status")
    assert event.content == {"stream": "gate", "status": "cancelled", "reason": "cancelled before it ran"}
    assert queue.producer.cancel("j") == "cancelled"
    with pytest.raises(StreamtagError, match="no job 'other'"):
        queue.producer.cancel("other")


def test_a_running_job_hears_of_its_cancellation_at_the_next_commit_or_renewal(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    assert queue.producer.cancel("j") == "cancelling"
    assert one.leases.renew([claim]) == ["CANCELLED"]
    with pytest.raises(JobCancelled):
        one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    one.commits.finish(claim, JobStatus.CANCELLED, "cancelled", "ended", 1.5)
    assert queue.producer.view("j").status is JobStatus.CANCELLED


def test_a_job_cancelled_while_its_owner_is_dead_ends_when_it_is_taken_over(queue: Queue) -> None:
    queue.submit()
    queue.worker("one").take()
    queue.producer.cancel("j")
    lapse()
    assert queue.worker("two").take_abandoned() is None
    assert queue.producer.view("j").status is JobStatus.CANCELLED
    assert queue.waiting() == 0


def test_an_id_written_twice_by_hand_is_one_job(queue: Queue) -> None:
    for _ in range(2):
        queue.connection.client.xadd(queue.keys.jobs, {"job": Job("j", "clip.mp4").to_json()})
    one = queue.worker("one")
    first, second = one.claims.fetch(2)
    claim = one.claims.acquire(first)
    assert claim is not None
    assert one.claims.acquire(second) is None
    assert queue.waiting() == 1
    one.commits.finish(claim, JobStatus.DONE, "", "ended", 1.5)
    queue.connection.client.xadd(queue.keys.jobs, {"job": Job("j", "clip.mp4").to_json()})
    assert one.claims.acquire(one.claims.fetch(1)[0]) is None
    assert queue.producer.view("j").status is JobStatus.DONE


def test_an_entry_that_is_not_mine_is_not_acquired(queue: Queue) -> None:
    queue.submit()
    one, two = queue.worker("one"), queue.worker("two")
    (entry,) = one.claims.fetch(1)
    assert two.claims.acquire(entry) is None
    assert one.claims.acquire(Entry("1-1", entry.raw)) is None


def test_what_was_delivered_in_a_lost_reply_is_found_again(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    one.claims.fetch(1)  # the reply that never arrived
    (entry,) = one.claims.redelivered(10)
    assert one.claims.acquire(entry) is not None


def test_a_lost_group_is_made_again_and_the_jobs_are_still_there(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    queue.connection.client.xgroup_destroy(queue.keys.jobs, GROUP)
    assert one.claims.fetch(1) == []
    assert one.take().job.job_id == "j"
    queue.connection.client.xgroup_destroy(queue.keys.jobs, GROUP)
    assert one.claims.abandoned(5) == []


def test_an_entry_deleted_by_hand_while_pending_does_not_come_again(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    queue.connection.client.xdel(queue.keys.jobs, claim.entry_id)
    lapse()
    assert one.claims.abandoned(5) == []
    assert queue.connection.client.xpending(queue.keys.jobs, GROUP)["pending"] == 0


def test_finishing_again_after_a_lost_reply_says_it_once(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    for _ in range(2):
        one.commits.finish(claim, JobStatus.DONE, "", "ended", 1.5)
    assert [event.content["status"] for event in queue.producer.events()] == ["done"]


def test_scripts_that_the_server_forgot_are_loaded_again(queue: Queue) -> None:
    queue.submit("a")
    queue.connection.client.script_flush()
    assert queue.submit("b") == "queued"


def test_a_server_that_is_not_there_or_refuses_is_named_without_its_password(server: RedisServer) -> None:
    for url in (f"redis://:hunter2@127.0.0.1:{server.port}/0", "redis://user:hunter2@127.0.0.1:9/0"):
        with pytest.raises(QueueUnavailable, match=r"127\.0\.0\.1") as caught:
            Queue(url).submit()
        assert "hunter2" not in str(caught.value)


def test_every_key_of_a_shard_has_its_hash_tag(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    one.commits.commit(claim, step(0, "5-1", events=1), LIVE, None)
    one.commits.dead_letter(claim, "x")
    names = list(queue.connection.client.scan_iter(match=f"{queue.settings.redis.prefix}:*"))
    assert len(names) == 5
    assert all(b"{m.0}" in name for name in names)


def test_jobs_are_listed_oldest_first_and_those_of_other_models_are_not(queue: Queue) -> None:
    other = Producer(Connection(queue.settings.redis, replace(queue.keys, model="m2")))
    for number, job_id in enumerate(("b", "a", "c")):
        queue.producer.submit(replace(Job(job_id, "clip.mp4"), submitted_unix_s=float(number)))
        time.sleep(0.01)
    other.submit(Job("elsewhere", "clip.mp4"))
    assert [view.job_id for view in queue.producer.views()] == ["b", "a", "c"]
