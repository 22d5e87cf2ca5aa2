"""Redis at its limit refuses writes: jobs wait, say so once, and go on when there is room. Nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus

from tests.support import NULL, RedisServer, Worker, eventually, redis_binaries, settings_for, start_worker


@pytest.fixture(params=["newest", "oldest"])
def own_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    binaries = redis_binaries()
    with RedisServer(binaries[0] if request.param == "newest" else binaries[-1], tmp_path) as server:
        yield server


def test_jobs_wait_for_room_and_lose_nothing(own_redis: RedisServer, workers: list[Worker], long_clip: Path) -> None:
    """For longer than a lease: what can be renewed without memory is, and nobody takes the job over."""
    settings = settings_for(own_redis)
    lease = ("lease.seconds=4", "lease.stop_after_s=3", "lease.renew_s=0.3", "lease.reclaim_s=0.2")
    worker = start_worker(workers, settings, *NULL, *lease, "engine.buckets=[1]", "worker.commit_results=4")
    with Client(settings=settings) as client, own_redis.client() as raw:
        client.submit(str(long_clip), job_id="j", every=1)
        eventually(lambda: client.status("j").counters.published > 50, "it runs")
        raw.config_set("maxmemory", 1)
        waits = eventually(lambda: worker.said("redis does not answer, trying on", thread="commits"), "it says so")
        assert "out of memory" in waits["error"]
        before = client.status("j").counters.published
        time.sleep(6.0)  # longer than the lease
        view = client.status("j")
        assert (view.status, view.counters.published) == (JobStatus.RUNNING, before)
        raw.config_set("maxmemory", 0)
        view = client.wait("j", 120)
        assert (view.status, view.counters.published, view.deliveries) == (JobStatus.DONE, 1000, 1)
        assert [result.index for result in client.results("j")] == list(range(1000))
        eventually(lambda: worker.said("redis is there again", thread="commits"), "it says so")
        told = [line for line in worker.log if line.get("thread") == "commits"]
        assert len(told) == 2, "one line when it begins and one when it is over"
        assert worker.process.poll() is None
