"""What counts as a crash of a job, and what becomes of those that have too many: real workers, killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support import NULL, RedisServer, Worker, eventually, redis_binaries, settings_for, start_worker

QUICK_LEASE = ("lease.seconds=3", "lease.stop_after_s=2", "lease.renew_s=0.3", "lease.reclaim_s=0.2")
QUICK = (*NULL, *QUICK_LEASE)
# Samples wait for a batch that is never full: frames are decoded, and no result comes that would forgive a crash.
STUCK = (*QUICK, "engine.buckets=[64]", "batching.finite_delay_s=600")
# The first results come after 3 s, and then twelve at a time.
LATE = (*QUICK, "engine.buckets=[64]", "batching.finite_delay_s=3", "source.slots=12")


def crash(workers: list[Worker], settings: Settings, state: str, *options: str) -> None:
    """A worker that takes the job and is killed when the job's stream is in that state."""
    worker = start_worker(workers, settings, *options)
    eventually(lambda: worker.said("stream state", state=state), f"it is {state}")
    worker.signal(signal.SIGKILL)
    worker.wait()


def taken(client: Client, job: str, times: int) -> bool:
    return client.status(job).deliveries >= times


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(redis_binaries()[0], tmp_path) as server:
        yield server


def test_a_job_that_always_kills_its_worker_ends_among_the_dead_letters(
    client: Client, settings: Settings, workers: list[Worker], long_clip: Path
) -> None:
    job = client.submit(str(long_clip), every=1).job_id
    for _ in range(2):
        crash(workers, settings, "live", *STUCK, "lease.max_crashes=2")
    start_worker(workers, settings, *STUCK, "lease.max_crashes=2")
    view = client.wait(job, 60)
    assert view.status is JobStatus.FAILED
    assert "brought down 2 workers without progress" in view.reason
    assert [letter.job_id for letter in client.dead_letters()] == [job]


@pytest.mark.long
def test_a_suspect_is_alone_until_it_makes_progress(
    client: Client, settings: Settings, workers: list[Worker], clip: Path
) -> None:
    """From its second crash on."""
    client.submit(str(clip), job_id="suspect")
    for _ in range(2):
        crash(workers, settings, "live", *STUCK)
    for number in range(3):
        client.submit(str(clip), job_id=f"other-{number}")
    worker = start_worker(workers, settings, *LATE)
    assert client.wait("suspect", 120).counters.published == 40
    began = eventually(lambda: worker.said("job started", job_id="suspect"), "its last run began")["timestamp"]
    began_unix_s = datetime.fromisoformat(began).timestamp()
    for number in range(3):
        other = client.wait(f"other-{number}", 120)
        assert other.finished_unix_s <= began_unix_s or other.started_unix_s >= began_unix_s + 2.9


def test_an_offline_camera_and_two_dead_workers_starve_nobody(
    client: Client, settings: Settings, workers: list[Worker], clip: Path
) -> None:
    client.submit("rtsp://127.0.0.1:9/none", job_id="camera")
    for _ in range(3):
        crash(workers, settings, "reconnecting", *QUICK)
    start_worker(workers, settings, *QUICK)
    eventually(lambda: client.status("camera").deliveries == 4, "the fourth worker has the camera")
    for number in range(3):
        client.submit(str(clip), job_id=f"file-{number}")
    for number in range(3):
        assert client.wait(f"file-{number}", 60).counters.published == 40
    camera = client.status("camera")
    assert camera.status is JobStatus.RUNNING
    assert list(client.dead_letters()) == []


@pytest.mark.long
def test_an_outage_that_makes_a_worker_give_its_job_up_is_no_crash(
    own_redis: RedisServer, workers: list[Worker], long_clip: Path
) -> None:
    """Longer than the lease, three times, and without a commit between them that would forgive it."""
    settings = settings_for(own_redis)
    with Client(settings=settings) as client:
        worker = start_worker(workers, settings, *STUCK)
        job = client.submit(str(long_clip), every=1).job_id
        for times in range(1, 4):
            eventually(partial(taken, client, job, times), f"taken {times} times")
            own_redis.kill()
            time.sleep(4.0)
            own_redis.start()
        eventually(partial(taken, client, job, 4), "taken once more")
        assert client.status(job).crashes == 0
        assert worker.process.poll() is None
