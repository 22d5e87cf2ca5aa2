"""Redis behind Sentinels: a master killed in the middle of jobs, and what people see of it."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.configuration import load
from streamtag.core.records import JobStatus
from streamtag.errors import QueueUnavailable
from streamtag.settings import Settings

from tests.contract.sides import Queue
from tests.support import Worker, eventually, redis_binaries, start_worker
from tests.support.outcomes import is_over, same
from tests.support.redis_sentinels import MASTER_NAME, SentinelGroup
from tests.support.worker_process import SLOW

QUICK_LEASE = ("lease.seconds=10", "lease.stop_after_s=6", "lease.renew_s=0.3", "lease.reclaim_s=0.2")


@pytest.fixture(params=["new", "old"])
def sentinels(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SentinelGroup]:
    """Before 7.0 a script says READONLY in the middle of a sentence."""
    with SentinelGroup(redis_binaries()[0 if request.param == "new" else -1], tmp_path) as found:
        yield found


def values(sentinels: SentinelGroup) -> dict[str, object]:
    return {
        "redis.url": "redis://unused.invalid:1/0",
        "redis.sentinels": sentinels.addresses,
        "redis.sentinel_name": MASTER_NAME,
        "redis.prefix": f"t{uuid.uuid4().hex[:12]}",
        "http.port": 0,
        "model.name": "demo",
    }


def queue_behind(sentinels: SentinelGroup, **more: object) -> Queue:
    own = {name: value for name, value in values(sentinels).items() if name.startswith("redis.")}
    return Queue("redis://unused.invalid:1/0", **(own | more))


def test_a_failover_that_somebody_asked_for_is_followed(sentinels: SentinelGroup) -> None:
    queue = queue_behind(sentinels)
    assert queue.submit("before") == "queued"
    old = sentinels.master()
    assert queue.connection.servers() == [f"127.0.0.1:{old.port}"], "no job may read from it"
    sentinels.fail_over()
    eventually(lambda: sentinels.master() is not old, "the Sentinels name another master")
    eventually(partial(is_taken, queue, "after"), "the new master takes it")
    assert queue.producer.view("before").status is JobStatus.QUEUED
    queue.connection.close()


def is_taken(queue: Queue, job_id: str) -> bool:
    try:
        return queue.submit(job_id) == "queued"
    except QueueUnavailable:
        return False


def test_a_name_that_no_sentinel_knows_is_named(sentinels: SentinelGroup) -> None:
    with pytest.raises(QueueUnavailable, match=r"knows a master 'typo'.*redis\.sentinel_name"):
        queue_behind(sentinels, **{"redis.sentinel_name": "typo"}).submit()


@pytest.mark.long
def test_a_master_killed_in_the_middle_of_jobs(
    sentinels: SentinelGroup, workers: list[Worker], long_clip: Path
) -> None:
    """State and results roll back together to what the replica had, so what follows gives the same ids again."""
    settings: Settings = load(None, values(sentinels))[0]
    with Client(settings=settings) as client:
        worker = start_worker(workers, settings, *SLOW, *QUICK_LEASE)
        calm = client.submit(str(long_clip), every=1).job_id
        assert client.wait(calm, 120).status is JobStatus.DONE
        expected = list(client.results(calm))
        jobs = [client.submit(str(long_clip), every=1, job_id=f"job-{number}").job_id for number in range(2)]
        for job in jobs:
            eventually(partial(has_published, client, job, 50), "some of it is published")
        old = sentinels.master()
        old.signal(signal.SIGKILL)
        for job in jobs:
            eventually(partial(is_over, client, job), "it is over, on the new master", 150)
            view = client.status(job)
            assert view.status is JobStatus.DONE
            same(list(client.results(job)), expected)
            assert view.counters.sampled == view.counters.handled
        assert sentinels.master() is not old
        assert worker.process.poll() is None
        for thread in ("claims", "leases"):
            assert worker.said("redis is there again", thread=thread)


def has_published(client: Client, job: str, samples: int) -> bool:
    return client.status(job).counters.published > samples
