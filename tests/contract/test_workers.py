"""Who serves the queue: heartbeats, idle workers, and what killed ones leave behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamtag.core.records import JobStatus, WorkerView
from streamtag.queue.keys import GROUP

from tests.contract.sides import Queue
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

VIEW = WorkerView("one", "host", "1.0", "m", "null", 16, 2, 30.5, False, 1.0, 2.0)


def _consumers(queue: Queue) -> set[str]:
    return {row["name"].decode() for row in queue.connection.client.xinfo_consumers(queue.keys.jobs, GROUP)}


def test_an_idle_worker_counts_until_it_says_no_more(queue: Queue) -> None:
    one, two = queue.worker("one"), queue.worker("two")
    one.heartbeats.beat(VIEW)
    two.heartbeats.beat(replace(VIEW, worker="two", running=0))
    assert queue.producer.workers() == [VIEW, replace(VIEW, worker="two", running=0)]
    one.heartbeats.stop()
    assert [view.worker for view in queue.producer.workers()] == ["two"]


def test_a_heartbeat_ends_by_itself(queue: Queue) -> None:
    one = queue.worker("one", heartbeat_s=0.2)
    one.heartbeats.beat(VIEW)
    assert len(queue.producer.workers()) == 1
    eventually(lambda: queue.producer.workers() == [], "the heartbeat is over", 10)


def test_a_heartbeat_is_heard_without_memory(queue: Queue, server: RedisServer) -> None:
    one = queue.worker("one")
    with server.client() as client:
        client.config_set("maxmemory", "1")
        try:
            one.heartbeats.beat(VIEW)
        finally:
            client.config_set("maxmemory", "0")
    assert len(queue.producer.workers()) == 1


@pytest.mark.parametrize("value", [b"{", b"[]", b"[" * 9000, b'{"worker": 5}', b"\xff"])
def test_what_is_no_heartbeat_is_passed_over(queue: Queue, value: bytes) -> None:
    queue.worker("one").heartbeats.beat(replace(VIEW, host="\x1b[31m"))
    queue.connection.client.set(queue.keys.worker("odd"), value)
    queue.connection.client.rpush(queue.keys.worker("list"), value)
    (view,) = queue.producer.workers()
    assert view.host == "?[31m"


def test_what_killed_workers_leave_is_removed_once_nothing_is_pending_to_it(queue: Queue) -> None:
    queue.submit()
    killed, living, one = (queue.worker(name) for name in ("killed", "living", "one"))
    claim = killed.take()
    for name in ("idle", "living", "one"):
        queue.connection.client.xgroup_createconsumer(queue.keys.jobs, GROUP, name)
    living.heartbeats.beat(VIEW)
    assert _consumers(queue) == {"killed", "idle", "living", "one"}
    assert one.claims.retire_others() == ["idle"]
    assert _consumers(queue) == {"killed", "living", "one"}
    killed.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
    assert one.claims.retire_others() == ["killed"]
    assert _consumers(queue) == {"living", "one"}


def test_a_worker_leaves_the_group_only_with_nothing_pending_and_its_heartbeat_ended(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    one.claims.retire()
    assert _consumers(queue) == {"one"}
    one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
    one.heartbeats.beat(VIEW)
    one.claims.retire()
    assert _consumers(queue) == {"one"}
    one.heartbeats.stop()
    one.claims.retire()
    assert _consumers(queue) == set()
