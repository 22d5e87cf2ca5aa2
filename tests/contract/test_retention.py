"""What stays in Redis and for how long: results, and above all the source with its password."""

from __future__ import annotations

import time

import pytest
from streamtag.core.job import Job, Sampling
from streamtag.core.records import JobStatus
from streamtag.errors import JobConflict, QueueRefused, QueueUnavailable

from tests.contract.sides import LIVE, Queue, lapse, step
from tests.support.redis_server import RedisServer

SECRET_SOURCE = "rtsp://user:hunter2@cam/1"


@pytest.mark.parametrize("end", ["done", "failed", "cancelled", "cancelled while running", "cancelled while lost"])
def test_the_plain_source_goes_when_the_job_ends(queue: Queue, end: str) -> None:
    queue.submit(source=SECRET_SOURCE)
    one = queue.worker("one")
    assert b"hunter2" in queue.dump()
    if end == "cancelled":
        queue.producer.cancel("j")
    else:
        claim = one.take()
        one.commits.commit(claim, step(0, "5-1", events=1), LIVE, None)
        if end == "failed":
            one.commits.dead_letter(claim, "no")
        elif end == "cancelled while lost":
            queue.producer.cancel("j")
            lapse()
            assert queue.worker("two").take_abandoned() is None
        else:
            status = JobStatus.DONE if end == "done" else JobStatus.CANCELLED
            one.commits.finish(claim, status, "", "ended", 0.0)
    assert b"hunter2" not in queue.dump()
    assert queue.producer.view("j").source == "rtsp://***@cam/1"
    assert queue.connection.client.ttl(queue.keys.job("j")) > 0


def test_a_secret_source_lies_in_the_queue_alone_where_readers_of_jobs_see_nothing(queue: Queue) -> None:
    """Whoever may look at jobs once saw the passwords of all that wait or run, in their hashes."""
    one, client = queue.worker("one"), queue.connection.client

    def in_the_hash() -> bool:
        return b"hunter2" in repr(client.hgetall(queue.keys.job("j"))).encode()

    def is_known() -> bool:
        with pytest.raises(JobConflict):
            queue.submit(source=SECRET_SOURCE.replace("hunter2", "other"))
        return queue.submit(source=SECRET_SOURCE) in JobStatus

    queue.submit(source=SECRET_SOURCE)
    assert not in_the_hash()
    assert is_known()
    claim = one.take()
    assert claim.job.source == SECRET_SOURCE
    assert not in_the_hash()
    assert is_known()
    one.commits.dead_letter(claim, "no")
    queue.producer.requeue(queue.letter(), SECRET_SOURCE)
    assert not in_the_hash()
    queue.spoil("job", Job("j", SECRET_SOURCE).to_json())  # as an earlier version left it
    assert one.take().job.source == SECRET_SOURCE
    assert not in_the_hash()


def _publish(queue: Queue, job: Job, results: int) -> int:
    queue.producer.submit(job)
    one = queue.worker("one")
    claim = one.take()
    for seq in range(results // 100):
        ids = [f"{seq * 100 + n + 1}-1" for n in range(100)]
        one.commits.commit(claim, step(seq, *ids), LIVE, None)
    return int(queue.connection.client.xlen(queue.keys.results(job.job_id)))


def test_results_of_a_finite_job_are_never_trimmed_and_those_of_a_live_one_are(server: RedisServer) -> None:
    """They are promised exactly once: a film of ten hours once lost its first half."""
    queue = Queue(server.url, **{"redis.results_maxlen": 100})
    assert _publish(queue, Job("film", "clip.mp4"), 1000) == 1000
    assert _publish(queue, Job("camera", "rtsp://cam/1"), 1000) < 400


def test_results_of_a_live_job_go_by_age_where_that_is_set_and_those_of_a_finite_one_stay(server: RedisServer) -> None:
    """Also while the camera gives nothing: the commits that only say how it is let them go, too."""
    queue = Queue(server.url, **{"redis.results_max_age_s": 60})
    now_ms = int(time.time() * 1000)
    old, young = ([f"{now_ms - age_ms + number}-0" for number in range(300)] for age_ms in (90_000, 30_000))
    for name, source in (("camera", "rtsp://cam/1"), ("film", "clip.mp4")):
        queue.submit(name, source)
        one = queue.worker("one")
        claim = one.take()
        one.commits.commit(claim, step(0, *old, *young), LIVE, None)
        one.commits.commit(claim, step(1), LIVE, None)
    kept = [result.id for result in queue.producer.results("camera")]
    assert kept[-300:] == young
    assert len(kept) <= 400, "Redis trims by the block of at most 100 results"
    assert [result.id for result in queue.producer.results("film")] == [*old, *young]


def test_the_oldest_results_of_a_silent_camera_go_too(server: RedisServer) -> None:
    kept_by_count = Queue(server.url)
    kept_by_count.submit("camera", "rtsp://cam/1")
    claim = kept_by_count.worker("one").take()
    old_ms = int(time.time() * 1000) - 90_000
    results = [f"{old_ms + number}-0" for number in range(300)]
    kept_by_count.worker("one").commits.commit(claim, step(0, *results), LIVE, None)
    assert len(kept_by_count.producer.results("camera")) == 300
    prefix = kept_by_count.settings.redis.prefix
    by_age = Queue(server.url, **{"redis.results_max_age_s": 60, "redis.prefix": prefix})
    by_age.worker("one").commits.commit(claim, step(1), LIVE, None)
    assert len(by_age.producer.results("camera")) <= 100


def test_without_memory_jobs_wait_leases_hold_and_what_ends_may_end(server: RedisServer) -> None:
    queue = Queue(server.url, **{"redis.memory_share": 1})  # only Redis itself refuses
    queue.submit()
    queue.submit("other")
    one, two = queue.worker("one"), queue.worker("two")
    claim, other = one.take(), two.take()
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    with server.client() as client:
        client.config_set("maxmemory", "1")
        try:
            with pytest.raises(QueueUnavailable, match=r"out of memory.*jobs wait"):
                one.commits.commit(claim, step(1, "6-1"), LIVE, None)
            with pytest.raises(QueueUnavailable, match="out of memory"):
                queue.submit("more")
            assert one.leases.renew([claim]) == ["OK"]
            one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
            queue.producer.cancel("other")
            two.commits.release(other)
            queue.producer.cancel("other")
        finally:
            client.config_set("maxmemory", "0")
    assert queue.producer.view("j").status is JobStatus.DONE
    assert queue.producer.view("other").status is JobStatus.CANCELLED
    assert [result.id for result in queue.producer.results("j")] == ["5-1"]


@pytest.mark.parametrize("over", [False, True])
def test_an_id_is_one_job_and_not_two(queue: Queue, over: bool) -> None:
    """``submit --id`` of another source once answered ``running``, with exit code 0."""
    queue.submit(source=SECRET_SOURCE)
    if over:
        queue.producer.cancel("j")
    assert queue.submit(source=SECRET_SOURCE) == ("cancelled" if over else "queued")
    others = [
        Job("j", "rtsp://user:hunter2@other/1"),
        Job("j", SECRET_SOURCE, sampling=Sampling(fps=1.0)),
        Job("j", SECRET_SOURCE, stream="door"),
        Job("j", SECRET_SOURCE, live=False),
    ]
    if not over:
        others.append(Job("j", "rtsp://user:other@cam/1"))
    for other in others:
        with pytest.raises(JobConflict, match="taken by a job of another source"):
            queue.producer.submit(other)


def test_a_job_whose_stored_text_is_broken_is_another(queue: Queue) -> None:
    queue.submit()
    queue.spoil("job", "{")
    with pytest.raises(JobConflict):
        queue.submit()
    queue.spoil("status", "x")
    with pytest.raises(QueueRefused, match="status"):
        queue.submit()
