"""A job's keys as a stranger left them: whatever is in them ends that job by name, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from streamtag.core.records import JobStatus
from streamtag.errors import LeaseLost, QueueRefused, QueueUnavailable

from tests.contract.sides import LIVE, Queue, lapse, step

HUGE = "9" * 400
NOT_NUMBERS = ["x", "", "-1", "1.5", "nan", "1e3", HUGE, b"\xff", "0x10", " 1"]
CORRUPT = [
    *(("fence", value) for value in NOT_NUMBERS),
    *((field, value) for field in ("crashes", "deliveries", "seq") for value in ("x", "nan", HUGE, b"\xff")),
    *(("last_index", value) for value in ("x", "1.5", "nan", "-2", HUGE, b"\xff")),
    *(("last_pts", value) for value in ("x", "nan", "inf", "1e300", HUGE, b"\xff")),
    *(("last_id", value) for value in ("x", "5", "-", "1-x", "99999999999999999999-1", "1-99999999999999999999", HUGE)),
    *(("last_captured", value) for value in ("x", "nan", "-inf", "-5", "1e300")),
    *(
        ("counters", value)
        for value in (
            "{",
            "[]",
            "5",
            "[" * 50_000,
            '{"decoded": "x"}',
            '{"decoded": -1}',
            '{"decoded": 1e999}',
            '{"decoded": ' + HUGE + "}",
            '{"decoded": 5, "sampled": 3, "published": 1}',
            '{"decoded": 1, "sampled": 3, "published": 3}',
            '{"dropped_by_reason": []}',
            '{"dropped_by_reason": {"stale": NaN}}',
            b'{"dropped_by_reason": {"\xff": 1}}',
        )
    ),
    *(("status", value) for value in ("x", "", "RUNNING", b"\xff")),
    *(("entry", value) for value in ("x", "", "1", "1-x", HUGE)),
]


@pytest.mark.parametrize(("field", "value"), CORRUPT)
def test_a_field_that_we_never_write_ends_the_job_by_name(queue: Queue, field: str, value: str | bytes) -> None:
    queue.submit()
    queue.submit("neighbour")
    queue.spoil(field, value)
    one = queue.worker("one")
    assert one.take_or_reject() is None
    letter = queue.letter()
    assert letter.job_id == "j"
    assert field in letter.reason
    assert len(letter.reason) < 500
    assert letter.reason.isprintable()
    assert one.take().job.job_id == "neighbour"
    assert queue.waiting() == 1
    queue.spoil(field, "0" if field != "status" else "failed")


@pytest.mark.parametrize(("field", "value"), CORRUPT)
def test_a_field_that_is_broken_hides_no_other_job(queue: Queue, field: str, value: str | bytes) -> None:
    queue.submit()
    queue.submit("neighbour")
    queue.spoil(field, value)
    assert {view.job_id for view in queue.producer.views()} == {"j", "neighbour"}


@pytest.mark.parametrize("field", ["submitted", "started", "updated", "finished", "progress", "counters", "shown"])
@pytest.mark.parametrize("value", ["nan", "x", "[" * 9000, HUGE, b"\xff"])
def test_a_broken_job_is_listed_as_such_and_the_others_as_they_are(queue: Queue, field: str, value: str) -> None:
    """One ``submitted`` of NaN once broke the status of all jobs."""
    for job_id in ("a", "j", "b"):
        queue.submit(job_id)
    queue.spoil(field, value)
    views = {view.job_id: view for view in queue.producer.views()}
    assert (views["a"].status, views["b"].status) == (JobStatus.QUEUED, JobStatus.QUEUED)
    assert views["j"].status is JobStatus.UNREADABLE
    assert field in views["j"].reason
    with pytest.raises(QueueRefused, match=f"job j cannot be read.*{field}"):
        queue.producer.view("j")


def test_what_terminals_obey_is_not_shown(queue: Queue) -> None:
    queue.submit()
    for field in ("state", "reason", "owner"):
        queue.spoil(field, "\x1b[31mred")
    view = queue.producer.view("j")
    assert (view.state, view.reason, view.worker) == ("?[31mred",) * 3


@pytest.mark.parametrize("kind", ["string", "list", "stream"])
def test_a_job_key_of_another_type_ends_the_job_by_name(queue: Queue, kind: str) -> None:
    queue.submit()
    queue.submit("neighbour")
    queue.occupy(queue.keys.job("j"), kind)
    one = queue.worker("one")
    assert one.take_or_reject() is None
    letter = queue.letter()
    assert (letter.job_id, f"job:j is a {kind} and not a hash" in letter.reason) == ("j", True)
    assert one.take().job.job_id == "neighbour"
    assert queue.waiting() == 1
    views = {view.job_id: view.status for view in queue.producer.views()}
    assert views == {"j": JobStatus.UNREADABLE, "neighbour": JobStatus.RUNNING}
    with pytest.raises(QueueRefused, match="job:j"):
        queue.submit("j")


def test_results_of_another_type_end_the_job_and_are_left_alone(queue: Queue) -> None:
    queue.submit()
    queue.occupy(queue.keys.results("j"), "list")
    one = queue.worker("one")
    assert one.take_or_reject() is None
    assert queue.producer.view("j").status is JobStatus.FAILED
    assert "res:j is a list and not a stream" in queue.producer.view("j").reason
    assert queue.connection.client.ttl(queue.keys.results("j")) == -1


@pytest.mark.parametrize("kind", ["string", "list", "stream"])
def test_keys_that_are_replaced_while_a_job_runs_end_it(queue: Queue, kind: str) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    queue.connection.client.delete(queue.keys.job("j"))
    queue.occupy(queue.keys.job("j"), kind)
    acts: tuple[Callable[[], object], ...] = (
        lambda: one.commits.commit(claim, step(0, "5-1"), LIVE, None),
        lambda: one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0),
        lambda: one.commits.release(claim),
    )
    for act in acts:
        with pytest.raises(QueueRefused, match="job:j"):
            act()
    assert one.leases.renew([claim]) == ["LOST"]
    one.commits.dead_letter(claim, "its keys are gone")
    assert queue.waiting() == 0
    assert queue.letter().job_id == "j"


@pytest.mark.parametrize("field", ["seq", "crashes", "deliveries", "status", "entry"])
def test_a_field_that_breaks_while_a_job_runs_is_refused_by_name(queue: Queue, field: str) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    queue.spoil(field, "x")
    with pytest.raises(QueueRefused, match=field):
        one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    one.commits.dead_letter(claim, "broken")
    assert queue.waiting() == 0


def test_a_fence_that_is_no_number_loses_the_lease_and_ends_the_job(queue: Queue) -> None:
    queue.submit()
    one, two = queue.worker("one"), queue.worker("two")
    claim = one.take()
    queue.spoil("fence", "x")
    with pytest.raises(QueueRefused, match="fence"):
        one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    with pytest.raises(LeaseLost):
        one.commits.dead_letter(claim, "broken")
    lapse()
    (entry,) = two.claims.abandoned(5)
    assert two.claims.take_over(entry)
    with pytest.raises(QueueRefused, match="fence"):
        two.claims.acquire(entry)
    two.commits.dead_letter_entry(entry, "broken")
    assert queue.waiting() == 0
    assert queue.producer.view("j").status is JobStatus.FAILED


@pytest.mark.parametrize("result_id", [f"{2**64}-1", f"1-{2**64}", f"{2**70}-5", "99999999999999999999999-1", "x-1"])
def test_a_result_beyond_what_redis_takes_is_refused_whole(queue: Queue, result_id: str) -> None:
    """A film whose times jump to and fro once stalled all jobs of its worker, silently and ready."""
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    with pytest.raises(QueueRefused, match="beyond what Redis takes"):
        one.commits.commit(claim, step(0, "5-1", result_id, events=1), LIVE, None)
    assert queue.producer.results("j") == []
    assert queue.producer.events() == []
    assert queue.producer.view("j").counters.decoded == 0
    one.commits.dead_letter(claim, "its times jump")
    assert queue.waiting() == 0


def test_the_largest_ids_are_taken_in_order(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    ids = ["9007199254740993-1", "9007199254740993-2", f"{2**64 - 2}-18446744073709551614", f"{2**64 - 1}-1"]
    one.commits.commit(claim, step(0, *ids), LIVE, None)
    one.commits.commit(claim, step(1, *ids), LIVE, None)
    assert [result.id for result in queue.producer.results("j")] == ids


@pytest.mark.parametrize("name", ["jobs", "events", "dlq"])
def test_a_key_of_the_whole_queue_that_is_not_ours_ends_no_job(queue: Queue, name: str) -> None:
    """An operator's slip must not dead-letter every job: the queue waits until the key is removed."""
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    key = getattr(queue.keys, name)
    before = queue.connection.client.dump(key)
    queue.connection.client.delete(key)
    queue.occupy(key, "string")
    acts: dict[str, Callable[[], object]] = {
        "commit": lambda: one.commits.commit(claim, step(0, "5-1"), LIVE, None),
        "finish": lambda: one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0),
        "release": lambda: one.commits.release(claim),
        "renew": lambda: one.leases.renew([claim]),
        "cancel": lambda: queue.producer.cancel("j"),
        "dead_letter": lambda: one.commits.dead_letter(claim, "no"),
        "fetch": lambda: one.claims.fetch(1, block_ms=1),
        "abandoned": lambda: one.claims.abandoned(1),
        "submit": lambda: queue.submit("other"),
        "retire": one.claims.retire,
    }
    concerned = {"jobs": set(acts), "events": {"commit", "finish", "cancel", "dead_letter"}, "dlq": {"dead_letter"}}
    for act in concerned[name]:
        with pytest.raises(QueueUnavailable, match=f"{name}.*redis-cli"):
            acts[act]()
    queue.connection.client.delete(key)
    if before:
        queue.connection.client.restore(key, 0, before)
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
    assert queue.waiting() == 0


def test_random_bytes_in_every_field_never_end_in_a_bug(queue: Queue) -> None:
    """Seeded, so that a failure is found again."""
    random = np.random.default_rng(5)
    one = queue.worker("one")
    for number in range(60):
        job_id = f"r{number}"
        queue.submit(job_id)
        for field in ("fence", "seq", "last_id", "last_pts", "counters", "smoother", "status", "entry", "progress"):
            if random.random() < 0.4:
                queue.spoil(field, random.bytes(int(random.integers(0, 40))), job_id)
        claim = one.take_or_reject()
        if claim is not None:
            one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
    assert len(queue.producer.views()) == 60
    assert queue.waiting() == 0


@pytest.mark.parametrize("value", ["{", "[]", "5", '{"index": 1}', "[" * 9000, b"\xff"])
def test_a_published_entry_that_is_broken_is_named_and_breaks_no_loop(queue: Queue, value: str | bytes) -> None:
    queue.submit()
    client, keys = queue.connection.client, queue.keys
    client.xadd(keys.results("j"), {"result": value})
    client.xadd(keys.events, {"event": value})
    client.xadd(keys.dlq, {"job_id": "\x1b[31m", "deliveries": value, "at": "nan"})
    with pytest.raises(QueueRefused, match="not what a worker writes"):
        queue.producer.results("j")
    (event,) = queue.producer.events()
    assert event.kind == "unreadable"
    assert (queue.letter().job_id, queue.letter().at_unix_s) == ("?[31m", 0.0)
