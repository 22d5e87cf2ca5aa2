"""Redis near its limit gets no new jobs; at it, it refuses writes: jobs wait, say so once, and lose nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus

from tests.support import (
    NULL,
    RedisServer,
    Worker,
    eventually,
    json_lines,
    redis_binaries,
    run_cli,
    settings_for,
    start_worker,
)


@pytest.fixture(params=["newest", pytest.param("oldest", marks=pytest.mark.long)])
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


@pytest.mark.long
def test_before_it_is_full_new_jobs_wait_and_running_ones_end(
    own_redis: RedisServer, workers: list[Worker], long_clip: Path, clip: Path
) -> None:
    """Once it was noticed only when running jobs could write no more."""
    settings = settings_for(own_redis, redis__memory_share=0.3)
    worker = start_worker(workers, settings, *NULL, "lease.renew_s=0.3", "worker.slots=4")
    with Client(settings=settings) as client, own_redis.client() as raw:
        client.submit(str(long_clip), job_id="running", every=1)
        eventually(lambda: client.status("running").status is JobStatus.RUNNING, "it runs")
        raw.config_set("maxmemory", int(2.5 * raw.info("memory")["used_memory"]))
        told = eventually(lambda: worker.said("redis is short of memory, no new jobs are taken"), "it says so")
        assert "streamtag gc" in told["remedy"]
        raw.xadd(f"{settings.redis.prefix}:{{demo.0}}:jobs", {"job": f'{{"job_id":"late","source":"{clip}"}}'})
        refused = run_cli(settings, "submit", str(clip), "--id", "more")
        assert refused.returncode == 1
        assert "(redis.memory_share)" in refused.stderr
        assert client.wait("running", 120).counters.published == 1000
        assert raw.xlen(f"{settings.redis.prefix}:{{demo.0}}:jobs") == 1, "the late one waits"
        shown = run_cli(settings, "status")
        assert shown.returncode == 0
        assert "waits for memory" in shown.stdout
        assert "status --memory" in shown.stdout
        assert "no new jobs are taken (redis.memory_share)" in shown.stderr
        (memory,) = json_lines(run_cli(settings, "status", "--memory", "--json").stdout)
        assert memory["share"] > memory["memory_share"] == 0.3
        assert memory["holds"]["results"]["bytes"] > 50_000
        assert "streamtag_redis_memory_short 1.0" in worker.get("/metrics")[1]
        raw.config_set("maxmemory", 0)
        eventually(lambda: "late" in {view.job_id for view in client.jobs()}, "it is taken")
        assert client.wait("late", 60).status is JobStatus.DONE
        assert worker.said("redis has memory again, new jobs are taken")
        assert len([line for line in worker.log if "short of memory" in line["event"]]) == 1
