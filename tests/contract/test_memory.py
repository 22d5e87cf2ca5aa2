"""Redis's memory: how full it is, what takes it, and that no job is let in above a share of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamtag.core.album import Picture, PictureKind
from streamtag.core.job import Job
from streamtag.core.records import JobStatus
from streamtag.errors import QueueFull
from streamtag.queue.memory import MemoryGauge, RedisMemory, read_memory, size
from streamtag.queue.pictures import Pictures, PictureStep

from tests.contract.sides import LIVE, Queue, step
from tests.support.redis_server import RedisServer


@pytest.fixture
def limited(server: RedisServer) -> Iterator[RedisServer]:
    """The server with twice the memory that it uses."""
    with server.client() as client:
        try:
            client.config_set("maxmemory", 2 * int(client.info("memory")["used_memory"]))
            yield server
        finally:
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "noeviction")


def test_a_server_without_a_limit_is_never_full(queue: Queue) -> None:
    memory = read_memory(queue.connection)
    assert memory.share is None
    assert not memory.is_above(1e-9)
    assert memory.used_bytes > 100_000
    assert "no limit (maxmemory)" in str(memory)
    queue.submit()


def test_above_the_share_no_job_is_let_in_and_the_error_says_what_to_do(limited: RedisServer) -> None:
    """What is in already is told so, running jobs go on, and with less of them in the way it is let in again."""
    roomy, short = Queue(limited.url), Queue(limited.url, **{"redis.memory_share": 0.3})
    assert roomy.submit("new") is JobStatus.QUEUED
    with pytest.raises(QueueFull) as refused:
        short.submit("new")
    told = str(refused.value)
    assert "of its" in told
    assert "(maxmemory)" in told
    assert "above 30% (redis.memory_share)" in told
    for remedy in ("raise maxmemory", "redis.expire_s", "streamtag gc"):
        assert remedy in told
    assert short.waiting() == 0


def test_a_job_that_is_in_already_is_told_so_and_one_that_runs_goes_on(server: RedisServer) -> None:
    queue = Queue(server.url, **{"redis.memory_share": 0.3})
    one = queue.worker("one")
    queue.submit()
    claim = one.take()
    queue.submit("failed")
    one.commits.dead_letter(one.take(), "no")
    later = Queue(server.url, **{"redis.memory_share": 0.3, "redis.prefix": queue.settings.redis.prefix})
    with server.client() as client:
        client.config_set("maxmemory", 2 * int(client.info("memory")["used_memory"]))
        try:
            assert later.submit() is JobStatus.RUNNING
            one.commits.commit(claim, step(0, "5-1"), LIVE, None)
            one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
            with pytest.raises(QueueFull, match="memory_share"):
                later.producer.requeue(later.letter())
        finally:
            client.config_set("maxmemory", 0)
    again = Queue(server.url, **{"redis.memory_share": 0.3, "redis.prefix": queue.settings.redis.prefix})
    again.producer.requeue(again.letter())
    assert again.producer.view("failed").status is JobStatus.QUEUED


def test_a_server_that_evicts_is_never_full(limited: RedisServer) -> None:
    """It makes room: the doctor says what that means for jobs. To wait for it would be to wait for ever."""
    with limited.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    queue = Queue(limited.url, **{"redis.memory_share": 0.3})
    assert read_memory(queue.connection).evicts
    assert queue.submit() is JobStatus.QUEUED


def test_what_takes_the_memory_is_told_by_kind(queue: Queue) -> None:
    one = queue.worker("one")
    queue.submit("waits")
    queue.producer.submit(Job("runs", "clip.mp4"))
    claim = [one.take(), one.take()][1]
    one.commits.commit(claim, step(0, *(f"{number}-1" for number in range(1, 501)), events=3), LIVE, None)
    picture = Picture(1.0, 0.0, kind=PictureKind.ENTER, jpeg=b"x" * 5000)
    Pictures(queue.connection, "one", 8).write_each([PictureStep(claim, picture, [picture], [])])
    queue.submit("failed")
    one.commits.dead_letter(one.take(), "no")
    held = {holding.kind: holding for holding in queue.producer.holdings()}
    assert {kind: holding.keys for kind, holding in held.items()} == {
        "jobs": 4,  # three hashes and the queue
        "results": 1,
        "pictures": 2,
        "events": 1,
        "dead letters": 1,
        "workers": 0,
    }
    assert held["results"].bytes > 500 * 40
    assert held["pictures"].bytes > 10_000
    assert held["results"].bytes > held["jobs"].bytes > held["events"].bytes > 0 == held["workers"].bytes


def test_the_gauge_asks_no_more_often_than_it_may(queue: Queue) -> None:
    now_s = [0.0]
    gauge = MemoryGauge(queue.connection, 5.0, lambda: now_s[0])
    first = gauge.read()
    queue.connection.client.set(queue.keys.base, b"x" * 10**6)
    now_s[0] = 4.9
    assert gauge.read() is first
    now_s[0] = 5.0
    assert gauge.read().used_bytes > first.used_bytes + 10**6


def test_memory_is_told_in_units_that_people_read() -> None:
    shown = [size(count) for count in (0, 999, 1000, 12_345_678, 2e12)]
    assert shown == ["0 bytes", "999 bytes", "1.0 kB", "12.3 MB", "2000.0 GB"]
    assert str(RedisMemory(81_000_000, 100_000_000, False)) == "Redis uses 81.0 MB, 81% of its 100.0 MB (maxmemory)"
