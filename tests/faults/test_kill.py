"""Promises under fire: workers killed, paused and drained, Redis restarted. Each sample is published exactly once."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support import LIMIT_S, NULL, RedisServer, Worker, eventually, redis_binaries, settings_for, start_worker
from tests.support.invariants import (
    FenceWatch,
    LeftByJob,
    assert_queue_empty,
    assert_same,
    read_job,
)
from tests.support.process_tree import assert_no_process_left
from tests.support.worker_process import SLOW

QUICK_LEASE = ("lease.seconds=3", "lease.stop_after_s=2", "lease.renew_s=0.3", "lease.reclaim_s=0.2")


@pytest.fixture(scope="module")
def undisturbed(redis_server: RedisServer, long_clip: Path) -> LeftByJob:
    """What is left of the demo network over the long clip, every frame, nothing going wrong."""
    settings = settings_for(redis_server)
    worker = Worker(settings, *SLOW).ready()
    try:
        with Client(settings=settings) as client:
            job = client.submit(str(long_clip), every=1).job_id
            assert client.wait(job, 120).status is JobStatus.DONE
            return read_job(client, job)
    finally:
        worker.kill()


def published(client: Client, job: str) -> int:
    return client.status(job).counters.published


def passed(client: Client, job: str, samples: float) -> bool:
    return published(client, job) > samples


@pytest.mark.long
def test_killed_twice_it_gives_what_an_undisturbed_run_gives(
    undisturbed: LeftByJob,
    redis_server: RedisServer,
    client: Client,
    settings: Settings,
    workers: list[Worker],
    long_clip: Path,
) -> None:
    job = client.submit(str(long_clip), every=1).job_id
    for share in (0.2, 0.5):
        worker = start_worker(workers, settings, *SLOW, *QUICK_LEASE)
        eventually(partial(passed, client, job, share * len(undisturbed.results)), "some of it is published")
        worker.signal(signal.SIGKILL)
        worker.wait()
        assert client.status(job).status is JobStatus.RUNNING
    last = start_worker(workers, settings, *SLOW, *QUICK_LEASE)
    view = client.wait(job, 120)
    assert view.deliveries == 3
    assert_same(read_job(client, job), undisturbed)
    with redis_server.client() as raw:
        assert_queue_empty(client, raw)
    last.signal(signal.SIGTERM)
    assert_no_process_left(settings)


@pytest.mark.long
def test_a_paused_worker_publishes_nothing_once_another_has_its_job(
    undisturbed: LeftByJob,
    redis_server: RedisServer,
    client: Client,
    settings: Settings,
    workers: list[Worker],
    long_clip: Path,
) -> None:
    job = client.submit(str(long_clip), every=1).job_id
    with redis_server.client() as raw:
        with FenceWatch(client, raw) as fences:
            paused = start_worker(workers, settings, *SLOW, *QUICK_LEASE)
            eventually(lambda: published(client, job) > 50, "some of it is published")
            paused.signal(signal.SIGSTOP)
            start_worker(workers, settings, *SLOW, *QUICK_LEASE)
            at = published(client, job)
            eventually(lambda: published(client, job) > at + 50, "the other worker goes on")
            paused.signal(signal.SIGCONT)
            client.wait(job, 120)
        assert_same(read_job(client, job), undisturbed)
        fences.assert_never_back()
        assert [fence for fence, _ in fences.owners(job)] == [1, 2]
        assert_queue_empty(client, raw)
    eventually(lambda: paused.said("job lost"), "the first one notices")
    assert paused.process.poll() is None


@pytest.mark.long
def test_sigterm_hands_a_finite_job_over_and_nothing_is_lost(
    undisturbed: LeftByJob, client: Client, settings: Settings, workers: list[Worker], long_clip: Path
) -> None:
    job = client.submit(str(long_clip), every=1).job_id
    # A lease so long that only an explicit hand-over can explain a quick pick-up.
    first = start_worker(workers, settings, *SLOW, "worker.drain_s=0.5", "lease.reclaim_s=0.2")
    eventually(lambda: published(client, job) > 50, "some of it is published")
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    assert client.status(job).status is JobStatus.QUEUED
    assert first.said("stopped", jobs_left_to_their_lease=0)
    start_worker(workers, settings, *SLOW, "lease.reclaim_s=0.2")
    client.wait(job, 60)
    assert_same(read_job(client, job), undisturbed)


@pytest.mark.long
def test_drain_lets_a_finite_job_end_where_it_can(
    client: Client, settings: Settings, workers: list[Worker], clip: Path
) -> None:
    worker = start_worker(workers, settings, *SLOW, "worker.drain_s=60")
    job = client.submit(str(clip), every=1).job_id
    eventually(lambda: published(client, job) > 0, "it runs")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert client.status(job).status is JobStatus.DONE


def test_drain_does_not_wait_for_a_film_of_which_nothing_comes(
    client: Client, settings: Settings, workers: list[Worker]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(LIMIT_S)
        worker = start_worker(workers, settings, *NULL, "worker.drain_s=600", "source.read_timeout_s=600")
        job = client.submit(f"http://127.0.0.1:{silent.getsockname()[1]}/film.mp4", live=False).job_id
        with silent.accept()[0]:
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0
        assert client.status(job).status is JobStatus.QUEUED
        assert worker.said("stopped", jobs_left_to_their_lease=0)


@pytest.mark.long
def test_a_second_signal_leaves_at_once(
    client: Client, settings: Settings, workers: list[Worker], long_clip: Path
) -> None:
    worker = start_worker(workers, settings, *SLOW, "worker.drain_s=600")
    job = client.submit(str(long_clip), every=1).job_id
    eventually(lambda: published(client, job) > 0, "it runs")
    worker.signal(signal.SIGINT)
    eventually(lambda: worker.said("draining"), "it drains")
    worker.signal(signal.SIGINT)
    assert worker.wait() == 128 + signal.SIGINT


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_worker_that_is_still_starting(
    settings: Settings, workers: list[Worker], number: signal.Signals
) -> None:
    """While TensorFlow is imported and compiles, which no Python handler would interrupt."""
    worker = Worker(settings)
    workers.append(worker)
    eventually(lambda: worker.said("http"), "it starts")
    worker.signal(number)
    assert worker.wait(10) == 128 + number
    assert worker.said("ready") is None


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(redis_binaries()[0], tmp_path) as server:
        yield server


def test_a_worker_started_before_its_redis_waits_says_so_and_then_works(
    own_redis: RedisServer, workers: list[Worker], clip: Path
) -> None:
    settings = settings_for(own_redis)
    own_redis.kill()
    worker = Worker(settings, *NULL, "lease.renew_s=0.3")
    workers.append(worker)
    line = eventually(lambda: worker.said("redis does not answer, trying on", thread="claims"), "it says so")
    assert "is it running" in line["error"]
    time.sleep(3.0)
    assert worker.get("/readyz")[0] == 503
    assert worker.said("ready") is None
    own_redis.start()
    worker.ready()
    assert worker.get("/readyz")[0] == 200
    eventually(lambda: worker.said("redis is there again", thread="claims"), "claims are back")
    eventually(lambda: worker.said("redis is there again", thread="leases"), "leases are back")
    eventually(lambda: worker.said("redis is there again", thread="sharing"), "sharing is back")
    told = sorted(line["event"] for line in worker.log if "redis" in line["event"])
    assert told == ["redis does not answer, trying on"] * 3 + ["redis is there again"] * 3, "one line a thread"
    with Client(settings=settings) as client:
        assert client.wait(client.submit(str(clip)).job_id, 60).counters.published == 40


@pytest.mark.long
@pytest.mark.parametrize("away_s", [0.5, 5.0])
def test_redis_restarted_in_the_middle_costs_nothing(
    undisturbed: LeftByJob, own_redis: RedisServer, workers: list[Worker], long_clip: Path, away_s: float
) -> None:
    """Shorter than the worker's patience (stop_after_s), and longer: then the lease is given up and taken anew."""
    settings = settings_for(own_redis)
    with Client(settings=settings) as client:
        worker = start_worker(workers, settings, *SLOW, *QUICK_LEASE)
        job = client.submit(str(long_clip), every=1).job_id
        eventually(lambda: published(client, job) > 50, "some of it is published")
        own_redis.kill()
        time.sleep(away_s)
        assert worker.get("/livez")[0] == 200
        eventually(lambda: worker.get("/readyz")[0] == 503, "not ready without Redis")
        own_redis.start()
        client.wait(job, 120)
        assert_same(read_job(client, job), undisturbed)
        eventually(lambda: worker.get("/readyz")[0] == 200, "ready again")
