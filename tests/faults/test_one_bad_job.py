"""One job that Redis refuses, or that nobody can read, ends alone: its neighbours on the same worker finish exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.queue.keys import Keys
from streamtag.settings import Settings

from tests.support import NULL, RedisServer, Worker, eventually, start_worker

Spoil = Callable[[redis.Redis, Keys], object]


@pytest.fixture
def keys(settings: Settings) -> Keys:
    return Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)


def submit_by_hand(server: RedisServer, keys: Keys, job: str, source: Path) -> None:
    """As a producer in another language does: no script of ours looks at it."""
    with server.client() as client:
        client.xadd(keys.jobs, {"job": json.dumps({"job_id": job, "source": str(source)})})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda client, keys: client.set(keys.results("bad"), "a string"),
        lambda client, keys: client.set(keys.job("bad"), "a string"),
        lambda client, keys: client.hset(keys.job("bad"), "fence", "no number"),
        lambda client, keys: client.hset(keys.job("bad"), "crashes", "no number"),
        lambda client, keys: client.hset(keys.job("bad"), mapping={"seq": "x", "last_id": "nonsense", "counters": "["}),
        lambda client, keys: client.hset(keys.job("bad"), mapping={"last_pts": "nan", "last_id": "9-9-9"}),
        lambda client, keys: client.hset(keys.job("bad"), "smoother", b"\\xff\\x00 no state"),
    ],
    ids=["results", "job", "fence", "crashes", "checkpoint", "numbers", "smoother"],
)
def test_a_job_whose_keys_are_wrong_ends_alone(
    spoil: Spoil,
    redis_server: RedisServer,
    client: Client,
    settings: Settings,
    workers: list[Worker],
    keys: Keys,
    clip: Path,
) -> None:
    with redis_server.client() as raw:
        spoil(raw, keys)
    submit_by_hand(redis_server, keys, "bad", clip)
    worker = start_worker(workers, settings, *NULL)
    for job in ("one", "two", "three"):
        client.submit(str(clip), job_id=job)
    for job in ("one", "two", "three"):
        view = client.wait(job, 60)
        assert (view.status, view.counters.published) == (JobStatus.DONE, 40)
    with redis_server.client() as raw:
        eventually(lambda: raw.xlen(keys.jobs) == 0, "nothing is left in the queue")
    assert worker.process.poll() is None
    assert worker.get("/livez")[0] == 200
    assert len(list(client.dead_letters())) <= 1, "it ended, or it could be read after all"


NESTED = '{"job_id":"bad","source":' + "[" * 30_000 + "]" * 30_000 + "}"
HUGE = '{"job_id":"bad","source":"x.mp4","sampling":{"fps":' + "9" * 401 + "}}"
SURROGATE = '{"job_id":"bad","source":"caf\\udce9.mp4"}'


@pytest.mark.parametrize(
    "entry", [NESTED, HUGE, SURROGATE, b"\xff\xfe", ""], ids=["deep", "huge", "half", "bytes", "none"]
)
@pytest.mark.long
def test_a_message_that_nobody_can_read_ends_alone(
    entry: str | bytes,
    redis_server: RedisServer,
    client: Client,
    settings: Settings,
    workers: list[Worker],
    keys: Keys,
    clip: Path,
) -> None:
    with redis_server.client() as raw:
        raw.xadd(keys.jobs, {"job": entry})
    worker = start_worker(workers, settings, *NULL)
    client.submit(str(clip), job_id="good")
    assert client.wait("good", 60).counters.published == 40
    (letter,) = eventually(lambda: list(client.dead_letters()), "it is a dead letter")
    assert letter.reason
    with redis_server.client() as raw:
        eventually(lambda: raw.xlen(keys.jobs) == 0, "nothing is left in the queue")
    assert worker.process.poll() is None


def test_a_job_that_is_spoilt_while_it_runs_ends_alone(
    redis_server: RedisServer,
    client: Client,
    settings: Settings,
    workers: list[Worker],
    keys: Keys,
    long_clip: Path,
) -> None:
    worker = start_worker(workers, settings, *NULL, "engine.buckets=[1]", "worker.commit_results=4")
    for job in ("bad", "good"):
        client.submit(str(long_clip), job_id=job, every=1)
    eventually(lambda: client.status("bad").counters.published > 0, "it runs")
    with redis_server.client() as raw:
        raw.delete(keys.results("bad"))
        raw.set(keys.results("bad"), "a string")
    assert client.wait("bad", 60).status is JobStatus.FAILED
    assert "res:bad is a string" in client.status("bad").reason
    good = client.wait("good", 120)
    assert (good.status, good.counters.published) == (JobStatus.DONE, 1000)
    assert len(list(client.results("good"))) == 1000
    assert worker.process.poll() is None
