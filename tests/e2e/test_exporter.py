"""``streamtag exporter``: what an alert needs to know where no worker runs."""

from __future__ import annotations

import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from streamtag.client import Client

from tests.support import RedisServer, Worker, eventually, redis_binaries, run_cli, settings_for

ONE = {"model": "demo", "shard": "0"}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(redis_binaries()[0], tmp_path) as server:
        yield server


def figures(text: str) -> dict[str, float]:
    """The metrics of the demo's queue by name, without the beginning they share."""
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples if sample.labels == ONE]
    return {sample.name.removeprefix("streamtag_"): sample.value for sample in samples}


def test_waiting_jobs_are_told_without_a_worker_and_an_outage_is_too(own_redis: RedisServer) -> None:
    settings = settings_for(own_redis)
    with Client(settings=settings) as client:
        for number in range(3):
            client.submit(f"{number}.mp4", job_id=f"job-{number}")
    exporter = Worker(settings, command="exporter")
    try:
        address = eventually(lambda: exporter.said("ready"), "it is ready")["metrics"]

        def scrape() -> dict[str, float]:
            with urllib.request.urlopen(address, timeout=20) as answer:
                return figures(answer.read().decode())

        found = scrape()
        assert (found["queue_reachable"], found["queue_waiting_jobs"], found["queue_workers"]) == (1, 3, 0)
        assert 0 < found["queue_oldest_waiting_seconds"] < 120
        assert found["redis_memory_used_bytes"] > 100_000
        own_redis.kill()
        assert scrape() == {"queue_reachable": 0}
        own_redis.start()
        eventually(lambda: scrape().get("queue_waiting_jobs") == 3, "it finds the queue again")
        assert len([line for line in exporter.log if line["event"] == "Redis does not tell about the queue"]) == 1
        exporter.signal(signal.SIGTERM)
        assert exporter.wait() == 0
    finally:
        exporter.kill()


def test_a_redis_that_hangs_is_told_of_before_prometheus_leaves(own_redis: RedisServer) -> None:
    """It waits 10 s at most, or its interval of 5 s as in compose.yaml; nobody was paged for a Redis that hung."""
    exporter = Worker(settings_for(own_redis), command="exporter")
    try:
        address = eventually(lambda: exporter.said("ready"), "it is ready")["metrics"]
        own_redis.signal(signal.SIGSTOP)
        began_s = time.monotonic()
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert figures(answer.read().decode()) == {"queue_reachable": 0}
        assert time.monotonic() - began_s < 5
    finally:
        own_redis.signal(signal.SIGCONT)
        exporter.kill()


def test_once_prints_several_queues_and_fails_where_redis_is_away(own_redis: RedisServer) -> None:
    settings = settings_for(own_redis)
    ran = run_cli(settings, "exporter", "--once", "--model", "demo", "--model", "vgg16")
    assert ran.returncode == 0, ran.stderr
    assert 'streamtag_queue_reachable{model="vgg16",shard="0"} 1.0' in ran.stdout
    assert figures(ran.stdout)["queue_waiting_jobs"] == 0
    own_redis.kill()
    ran = run_cli(settings, "exporter", "--once")
    assert ran.returncode == 3, "as of every command without a Redis"
    assert figures(ran.stdout) == {"queue_reachable": 0}
