"""What ends up among the dead letters, under whose id, and how it comes back."""

from __future__ import annotations

import json

import pytest
from streamtag.core.records import JobStatus, StreamState
from streamtag.errors import JobConflict, JobNotFound, StreamtagError

from tests.contract.sides import LIVE, Queue, lapse, step

SECRET_SOURCE = "rtsp://user:hunter2@cam/1"


def test_a_dead_letter_has_its_reason_and_can_go_back(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    for _ in range(2):  # the second after a lost reply
        one.commits.dead_letter(claim, "it is broken")
    letter = queue.letter()
    assert (letter.job_id, letter.reason, letter.source, letter.deliveries) == ("j", "it is broken", "clip.mp4", 1)
    assert queue.producer.view("j").status is JobStatus.FAILED
    assert queue.waiting() == 0
    queue.producer.requeue(letter)
    again = one.take()
    assert (again.job.source, again.checkpoint.last_id, again.crashes, again.fence) == ("clip.mp4", "5-1", 0, 2)
    assert list(queue.producer.dead_letters()) == []
    with pytest.raises(StreamtagError, match="no dead letter"):
        queue.producer.requeue(letter)


def test_a_source_with_a_password_is_forgotten_and_given_again_to_go_back(queue: Queue) -> None:
    queue.submit(source=SECRET_SOURCE)
    one = queue.worker("one")
    one.commits.dead_letter(one.take(), f"cannot open {SECRET_SOURCE}")
    letter = queue.letter()
    assert letter.source == "rtsp://***@cam/1"
    assert b"hunter2" not in queue.dump()
    with pytest.raises(StreamtagError, match="give it again with --source"):
        queue.producer.requeue(letter)
    with pytest.raises(JobConflict, match="not the source"):
        queue.producer.requeue(letter, "rtsp://user:hunter2@other/1")
    with pytest.raises(StreamtagError, match="scheme 'gopher'"):
        queue.producer.requeue(letter, "gopher://cam/1")
    queue.producer.requeue(letter, SECRET_SOURCE)
    assert one.take().job.source == SECRET_SOURCE


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"job": "{"}, "not valid JSON"),
        ({"job": "[" * 100_000}, "at most 98304"),
        ({"job": "[" * 60_000}, "recursion limit"),
        ({"jobs": "x"}, "no field 'job'"),
        ({"job": b"\xff\xfe"}, "not valid JSON"),
    ],
)
def test_an_entry_without_a_job_id_is_known_by_its_own(queue: Queue, fields: dict[str, str], names: str) -> None:
    entry_id = queue.connection.client.xadd(queue.keys.jobs, fields).decode()
    one = queue.worker("one")
    assert one.take_or_reject() is None
    letter = queue.letter()
    assert letter.job_id == entry_id
    assert names in letter.reason
    assert queue.waiting() == 0
    with pytest.raises(StreamtagError, match="submit the source again"):
        queue.producer.requeue(letter)
    queue.producer.drop(letter)
    assert list(queue.producer.dead_letters()) == []


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"priority": 5}, "unknown field 'priority'; known: job_id, source"),
        ({"model": "other"}, "unknown model 'other'"),
        ({"sampling": {"fps": 10**400}}, "fps must be a finite number"),
        ({"model": "m" * 50_000}, "model must have at most 128"),
        ({"stream": "m" * 300_000}, "at most 98304"),
        ({"watch": ["dog", ""]}, "job.watch: a label must not be blank"),
        ({"watch": [" "]}, "leave it out for all of them"),
        ({"watch": "dog"}, "job.watch must be a list, got str"),
        ({"watch": [5]}, "job.watch must be a text, got int"),
        ({"watch": ["l"] * 33}, "job.watch must have at most 32 entries"),
    ],
)
def test_a_producer_hears_of_its_broken_job_by_the_job_s_id(queue: Queue, more: dict[str, object], names: str) -> None:
    """It once became a dead letter under the entry's id; ``job:<id>`` never existed; the producer waited for ever."""
    job = {"job_id": "mine", "source": SECRET_SOURCE} | more
    queue.connection.client.xadd(queue.keys.jobs, {"job": json.dumps(job)})
    assert queue.worker("one").take_or_reject() is None
    view = queue.producer.view("mine")
    assert view.status is JobStatus.FAILED
    assert names in view.reason
    letter = queue.letter()
    assert (letter.job_id, letter.reason) == ("mine", view.reason)
    (event,) = queue.producer.events()
    assert (event.job_id, event.content["status"]) == ("mine", "failed")
    assert queue.waiting() == 0
    assert queue.connection.client.ttl(queue.keys.job("mine")) > 0
    assert b"hunter2" not in queue.dump()


def test_a_broken_job_does_not_end_another_of_the_same_id(queue: Queue) -> None:
    queue.submit("mine")
    one = queue.worker("one")
    claim = one.take()
    entry_id = queue.connection.client.xadd(queue.keys.jobs, {"job": '{"job_id": "mine", "wrong": 1}'}).decode()
    assert one.take_or_reject() is None
    assert queue.producer.view("mine").status is JobStatus.RUNNING
    assert queue.letter().job_id == entry_id
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
    queue.connection.client.xadd(queue.keys.jobs, {"job": '{"job_id": "mine", "wrong": 1}'})
    assert one.take_or_reject() is None
    assert queue.producer.view("mine").status is JobStatus.DONE
    with pytest.raises(JobNotFound):
        queue.producer.view(entry_id)


def test_a_letter_whose_job_was_submitted_anew_does_not_go_back(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    one.commits.dead_letter(one.take(), "no")
    letter = queue.letter()
    queue.spoil("status", "running")
    with pytest.raises(StreamtagError, match="is running by now"):
        queue.producer.requeue(letter)


def test_a_reason_is_bounded_and_redacted(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    one.commits.dead_letter(one.take(), SECRET_SOURCE + "\x1b[31m" + "x" * 50_000)
    reason = queue.letter().reason
    assert len(reason) <= 2000
    assert "hunter2" not in reason
    assert "\x1b" not in reason


def test_a_camera_that_is_off_brought_nobody_down_and_is_never_given_up(queue: Queue) -> None:
    """Five workers vanish while they try to connect to it."""
    queue.submit(source="rtsp://camera/1")
    claim = queue.worker("0").take()
    for number in range(1, 6):
        state = StreamState.CONNECTING if number % 2 else StreamState.RECONNECTING
        queue.worker(str(number - 1)).commits.commit(claim, step(number - 1), state, None)
        lapse()
        claim = queue.worker(str(number)).take_abandoned_now()
        assert (claim.crashes, claim.deliveries) == (0, number + 1)
    assert list(queue.producer.dead_letters()) == []
