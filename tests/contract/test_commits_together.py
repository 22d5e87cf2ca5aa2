"""Commits of several jobs in one round trip: each is a step of its own, whatever becomes of the others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from streamtag.core.records import Claim
from streamtag.errors import JobCancelled, LeaseLost, QueueRefused, QueueUnavailable
from streamtag.queue import commits as commits_module
from streamtag.queue.claims import Claims
from streamtag.queue.commits import Commits, Step
from streamtag.queue.connection import Call, Connection

from tests.contract.sides import LEASE, LIVE, Queue, Side, lapse, step


def taken(queue: Queue, *names: str) -> tuple[Side, list[Claim]]:
    for name in names:
        queue.submit(name)
    worker = queue.worker("one")
    return worker, [worker.take() for _ in names]


def steps(claims: list[Claim], seq: int, *ids: str) -> list[Step]:
    return [Step(claim, step(seq, *ids, events=1), LIVE, 0.5, "fine") for claim in claims]


def published(queue: Queue, *names: str) -> list[list[str]]:
    return [[result.id for result in queue.producer.results(name)] for name in names]


def test_all_of_them_are_published_and_checkpointed(queue: Queue) -> None:
    one, claims = taken(queue, "a", "b", "c")
    assert one.commits.commit_each([]) == []
    assert one.commits.commit_each(steps(claims, 0, "5-1")) == [None] * 3
    assert one.commits.commit_each(steps(claims, 1, "6-1", "7-1")) == [None] * 3
    assert published(queue, "a", "b", "c") == [["5-1", "6-1", "7-1"]] * 3
    assert len(queue.producer.events()) == 6


def test_they_are_asked_for_in_one_round_trip(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    one, claims = taken(queue, "a", "b", "c")
    assert one.commits.commit_each(steps(claims, 0, "5-1")) == [None] * 3  # the server knows the script by now
    monkeypatch.setattr(queue.connection, "script", lambda *_: pytest.fail("one was asked for by itself"))
    assert one.commits.commit_each(steps(claims, 1, "6-1")) == [None] * 3
    assert {(view.state, view.progress, view.reason) for view in queue.producer.views()} == {("live", 0.5, "fine")}


def test_one_that_is_refused_fenced_or_cancelled_harms_none_of_the_others(queue: Queue) -> None:
    one, claims = taken(queue, "lost", "good", "cancelled", "refused", "ahead", "fine")
    lapse()
    two = queue.worker("two")
    assert [two.take_abandoned_now().job.job_id] == ["lost"]
    queue.producer.cancel("cancelled")
    queue.spoil("crashes", "many", "refused")
    asked = steps(claims, 0, "5-1")
    asked[4] = Step(claims[4], step(7, "5-1"), LIVE, None)
    troubles = one.commits.commit_each(asked)
    kinds = [type(trouble) for trouble in troubles]
    assert kinds == [LeaseLost, type(None), JobCancelled, QueueRefused, LeaseLost, type(None)]
    assert "crashes of" in str(troubles[3])
    everywhere = published(queue, "lost", "good", "cancelled", "refused", "ahead", "fine")
    assert everywhere == [[], ["5-1"], [], [], [], ["5-1"]]


def test_a_key_of_the_queue_that_is_not_ours_makes_all_of_them_wait(queue: Queue) -> None:
    one, claims = taken(queue, "a", "b")
    queue.occupy(queue.keys.events, "list")
    assert [type(trouble) for trouble in one.commits.commit_each(steps(claims, 0, "5-1"))] == [QueueUnavailable] * 2
    queue.connection.client.delete(queue.keys.events)
    assert one.commits.commit_each(steps(claims, 0, "5-1")) == [None, None]


def test_asked_again_after_a_lost_reply_each_is_there_once(queue: Queue) -> None:
    """Of none is known which were carried out: some were, some were not."""
    one, claims = taken(queue, "a", "b", "c")
    assert one.commits.commit_each(steps(claims[:2], 0, "5-1")) == [None] * 2
    assert one.commits.commit_each(steps(claims, 0, "5-1")) == [None] * 3
    assert published(queue, "a", "b", "c") == [["5-1"]] * 3
    assert len(queue.producer.events()) == 3


def test_a_server_that_has_forgotten_the_script_is_given_it_again(queue: Queue) -> None:
    one, claims = taken(queue, "a", "b", "c")
    assert one.commits.commit_each(steps(claims, 0, "5-1")) == [None] * 3
    queue.connection.client.script_flush()
    assert one.commits.commit_each(steps(claims, 1, "6-1")) == [None] * 3
    assert published(queue, "a", "b", "c") == [["5-1", "6-1"]] * 3


def test_a_server_that_is_full_answers_for_each_of_them(queue: Queue) -> None:
    one, claims = taken(queue, "a", "b")
    queue.connection.client.config_set("maxmemory", "1")
    try:
        troubles = one.commits.commit_each(steps(claims, 0, "5-1"))
    finally:
        queue.connection.client.config_set("maxmemory", "0")
    assert [type(trouble) for trouble in troubles] == [QueueUnavailable] * 2
    assert "OOM" in str(troubles[1])
    assert one.commits.commit_each(steps(claims, 0, "5-1")) == [None, None]


def test_the_lag_of_a_live_job_is_that_of_its_newest_result(queue: Queue) -> None:
    one, (film,) = taken(queue, "film")
    queue.submit("cam", "rtsp://cam/1")
    cam = one.take()
    now_unix_s = time.time()
    captured = [now_unix_s - 9, now_unix_s - 2, now_unix_s - 3]
    for claim in (cam, film):
        one.commits.commit(claim, replace(step(0, "5-1"), captured_unix_s=captured), LIVE, None)
    lag_s = queue.producer.view("cam").lag_s
    assert lag_s is not None
    assert 2 <= lag_s < 5
    assert queue.producer.view("film").lag_s is None
    one.commits.commit(cam, step(1, events=1), LIVE, None)
    assert queue.producer.view("cam").lag_s == lag_s, "without a result it stays"
    ahead = replace(step(2, "6-1"), captured_unix_s=[time.time() + 60])
    one.commits.commit(cam, ahead, LIVE, None)
    assert queue.producer.view("cam").lag_s == 0, "the clock was set back"
    one.commits.release(cam)
    assert queue.producer.view("cam").lag_s is None


def test_many_are_parted_into_requests_of_a_bounded_size(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    one, claims = taken(queue, *"abcdefg")
    asked: list[int] = []
    script_each = queue.connection.script_each

    def counted(name: str, calls: Sequence[Call]) -> list[object]:
        asked.append(len(calls))
        return script_each(name, calls)

    monkeypatch.setattr(queue.connection, "script_each", counted)
    monkeypatch.setattr(commits_module, "BATCH_STEPS", 3)
    assert one.commits.commit_each(steps(claims, 0, "5-1")) == [None] * 7
    monkeypatch.setattr(commits_module, "BATCH_BYTES", 1)
    assert one.commits.commit_each(steps(claims[:2], 1, "6-1")) == [None] * 2
    assert asked == [3, 3, 1, 1, 1]
    assert published(queue, "a", "b", "g") == [["5-1", "6-1"], ["5-1", "6-1"], ["5-1"]]


def test_without_a_server_none_of_the_rest_is_asked_for(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would wait for the time-out by itself, and the leases of all run out meanwhile."""
    one, claims = taken(queue, "a", "b", "c")
    asked: list[int] = []

    def away(name: str, calls: Sequence[Call]) -> list[object]:
        asked.append(len(calls))
        return [QueueUnavailable("away")] * len(calls)

    monkeypatch.setattr(queue.connection, "script_each", away)
    monkeypatch.setattr(commits_module, "BATCH_STEPS", 1)
    assert [type(trouble) for trouble in one.commits.commit_each(steps(claims, 0, "5-1"))] == [QueueUnavailable] * 3
    assert asked == [1]


def test_a_round_trip_is_timed_as_one_and_a_wait_for_jobs_not_at_all(queue: Queue) -> None:
    _, claims = taken(queue, "a", "b", "c")
    took_s: list[float] = []
    connection = Connection(queue.settings.redis, queue.keys, answered=took_s.append)
    try:
        assert Commits(connection, "one", 30.0).commit_each(steps(claims, 0, "5-1")) == [None] * 3
        took_s.clear()  # the script was read, and its text sent, the first time
        assert Commits(connection, "one", 30.0).commit_each(steps(claims, 1, "6-1")) == [None] * 3
        assert len(took_s) == 1
        assert 0 < took_s[0] < 5
        assert Claims(connection, "one", LEASE).fetch(1, block_ms=300) == []
        assert len(took_s) == 1
    finally:
        connection.close()
