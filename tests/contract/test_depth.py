"""What Redis alone tells of a queue: how much waits, since when, and what is taken."""

from __future__ import annotations

import time

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus, StreamState
from streamtag.errors import QueueUnavailable
from streamtag.queue.depth import QueueDepth

from tests.contract.sides import Queue


def test_a_queue_that_nobody_has_written_to_is_empty(queue: Queue) -> None:
    assert queue.producer.depth() == QueueDepth(0, 0, 0.0, 0)


def test_jobs_wait_until_they_are_taken_and_count_until_they_are_over(queue: Queue) -> None:
    for job_id in ("one", "two", "three"):
        queue.submit(job_id)
    assert queue.producer.depth().waiting == 3, "before any worker has come there is no group"
    one = queue.worker("one")
    first, second = one.take(), one.take()
    depth = queue.producer.depth()
    assert (depth.waiting, depth.taken) == (1, 2)
    one.commits.finish(first, JobStatus.DONE, "", StreamState.ENDED, 1.5)
    one.commits.dead_letter(second, "no good")
    depth = queue.producer.depth()
    assert (depth.waiting, depth.taken, depth.dead_letters) == (1, 0, 1)


def test_each_shard_of_a_model_is_a_queue_of_its_own(queue: Queue) -> None:
    with Client(settings=queue.settings, shard=1) as other:
        other.submit("clip.mp4", job_id="j")
        assert other.depth().waiting == 1
        assert queue.producer.depth().waiting == 0
        queue.submit("j")
        assert (other.depth().waiting, queue.producer.depth().waiting) == (1, 1)


def test_the_oldest_is_the_first_that_nobody_has_had(queue: Queue) -> None:
    """Not one that is running, nor one that was cancelled in the middle of the queue."""
    began_s = time.time()
    queue.submit("runs")
    queue.worker("one").take()
    time.sleep(0.3)
    queue.submit("cancelled")
    queue.producer.cancel("cancelled")
    assert queue.producer.depth() == QueueDepth(0, 1, 0.0, 0)
    queue.submit("waits")
    time.sleep(0.1)
    depth = queue.producer.depth()
    assert depth.waiting == 1
    assert 0.1 <= depth.oldest_waiting_s <= time.time() - began_s - 0.3 + 0.01


def test_a_key_of_another_kind_is_told(queue: Queue) -> None:
    queue.occupy(queue.keys.jobs, "list")
    with pytest.raises(QueueUnavailable, match="jobs"):
        queue.producer.depth()
