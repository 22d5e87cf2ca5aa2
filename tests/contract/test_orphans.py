"""What no job owns is found and removed, and nothing that a job owns, on the newest server and on the oldest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamtag.core.job import Job
from streamtag.core.records import JobStatus, WorkerView
from streamtag.errors import JobNotFound
from streamtag.queue.keys import GROUP
from streamtag.queue.orphans import Orphan, OrphanKind, Orphans

from tests.contract.sides import LIVE, Queue, Side, step

SECRET = "rtsp://admin:hunter2@cam/1"


def beat(side: Side) -> None:
    side.heartbeats.beat(WorkerView("one", "host", "1.0", "m", "null", 16, 2, 30.5, False, 1.0, 2.0))


def found(queue: Queue) -> dict[OrphanKind, list[Orphan]]:
    kinds: dict[OrphanKind, list[Orphan]] = {}
    for orphan in Orphans(queue.connection).find():
        kinds.setdefault(orphan.kind, []).append(orphan)
    return kinds


def names(queue: Queue) -> dict[str, list[str]]:
    return {str(kind): [orphan.name for orphan in orphans] for kind, orphans in found(queue).items()}


def remove_all(queue: Queue) -> int:
    orphans = Orphans(queue.connection)
    return sum(orphans.remove(orphan) for orphan in orphans.find())


def every_key(queue: Queue) -> dict[str, object]:
    client = queue.connection.client
    return {name: client.dump(name) for batch in queue.connection.scan(queue.keys.base) for name in batch}


def test_a_queue_in_order_has_none(queue: Queue) -> None:
    """Jobs that wait, run, were handed back, are over in every way; a letter; live workers: none of it is touched."""
    one = queue.worker("one")
    beat(one)
    for name in ("done", "failed", "released", "running", "fetched", "waits", "cancelled"):
        queue.submit(name, SECRET if name == "waits" else "clip.mp4")
    claims = {claim.job.job_id: claim for claim in (one.take() for _ in range(4))}
    for claim in claims.values():
        one.commits.commit(claim, step(0, "5-1", events=1), LIVE, None)
    one.commits.finish(claims["done"], JobStatus.DONE, "", "ended", 0.0)
    one.commits.dead_letter(claims["failed"], "no")
    one.commits.release(claims["released"])
    one.claims.fetch(1)
    queue.producer.cancel("cancelled")
    before = every_key(queue)
    assert names(queue) == {}
    assert remove_all(queue) == 0
    assert every_key(queue).keys() == before.keys()


def test_results_and_letters_whose_job_is_gone(queue: Queue) -> None:
    one = queue.worker("one")
    beat(one)
    for name in ("kept", "gone", "failed"):
        queue.submit(name)
        claim = one.take()
        one.commits.commit(claim, step(0, *(f"{n}-1" for n in range(1, 200))), LIVE, None)
        if name == "failed":
            one.commits.dead_letter(claim, "no")
    queue.connection.client.delete(queue.keys.job("failed"))
    queue.connection.client.xdel(queue.keys.jobs, queue.connection.client.hget(queue.keys.job("gone"), "entry"))
    queue.connection.client.delete(queue.keys.job("gone"))
    orphans = found(queue)
    assert {orphan.name for orphan in orphans[OrphanKind.RESULTS]} == {"gone", "failed"}
    assert all(orphan.bytes > 4000 for orphan in orphans[OrphanKind.RESULTS])
    (letter,) = orphans[OrphanKind.LETTER]
    assert "dead letter of failed" in letter.why
    remove_all(queue)
    assert names(queue) == {}
    assert list(queue.producer.dead_letters()) == []
    assert queue.connection.client.exists(queue.keys.results("gone")) == 0
    assert len(queue.producer.results("kept")) == 199


def delete_the_queue(queue: Queue) -> None:
    queue.connection.client.delete(queue.keys.jobs)


def delete_the_entries(queue: Queue) -> None:
    for entry_id, _ in queue.connection.client.xrange(queue.keys.jobs):
        queue.connection.client.xdel(queue.keys.jobs, entry_id)


@pytest.mark.parametrize("delete", [delete_the_queue, delete_the_entries])
def test_jobs_that_nobody_would_ever_run_end_and_can_be_queued_again(
    queue: Queue, delete: Callable[[Queue], None]
) -> None:
    """They said ``queued`` for ever once, and the same id could not be submitted any more."""
    one = queue.worker("one")
    queue.producer.submit(Job("begun", "clip.mp4", stream="gate"))
    one.commits.commit(one.take(), step(0, "5-1"), LIVE, None)
    queue.submit("waits")
    queue.submit("secret", SECRET)
    delete(queue)
    assert queue.submit("waits") is JobStatus.QUEUED
    assert sorted(names(queue)["job"]) == ["begun", "secret", "waits"]
    remove_all(queue)
    for name in ("waits", "secret", "begun"):
        view = queue.producer.view(name)
        assert (view.status, "its entry in the queue was deleted" in view.reason) == (JobStatus.FAILED, True)
    ended = [event for event in queue.producer.events() if event.kind == "status"]
    assert {(event.job_id, event.content["stream"]) for event in ended} == {
        ("begun", "gate"),
        ("waits", "waits"),
        ("secret", "secret"),
    }
    assert b"hunter2" not in queue.dump()
    letters = {letter.job_id: letter for letter in queue.producer.dead_letters()}
    assert letters["secret"].source == "rtsp://***@cam/1"
    queue.producer.requeue(letters["begun"])
    claim = queue.worker("two").take()
    assert (claim.job.job_id, claim.checkpoint.seq) == ("begun", 1), "it goes on from where it stood"
    assert names(queue).keys() <= {"consumer"}


def test_a_job_that_a_living_worker_runs_is_left_to_it_also_without_an_entry(queue: Queue) -> None:
    one = queue.worker("one")
    beat(one)
    queue.submit()
    claim = one.take()
    delete_the_entries(queue)
    assert "job" not in names(queue)
    assert not Orphans(queue.connection).remove(Orphan(OrphanKind.JOB, "j", "", about="one"))
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
    assert queue.producer.view("j").status is JobStatus.DONE


def test_what_has_an_owner_by_now_is_not_removed(queue: Queue) -> None:
    """Between the look and the removal somebody submits, acquires or comes back."""
    one, orphans = queue.worker("one"), Orphans(queue.connection)
    queue.submit()
    claim = one.take()
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    for late in (
        Orphan(OrphanKind.RESULTS, "j", ""),
        Orphan(OrphanKind.JOB, "j", "", about="one"),
        Orphan(OrphanKind.LETTER, "1-1", "", about="j"),
        Orphan(OrphanKind.PENDING, claim.entry_id, ""),
        Orphan(OrphanKind.CONSUMER, "one", ""),
    ):
        assert not orphans.remove(late), late
    assert len(queue.producer.results("j")) == 1
    delete_the_entries(queue)
    assert not orphans.remove(Orphan(OrphanKind.JOB, "j", "", about="another")), "it has changed hands"
    assert not orphans.remove(Orphan(OrphanKind.JOB, "nobody", ""))
    with pytest.raises(JobNotFound):
        queue.producer.view("nobody")


def test_what_workers_that_are_gone_left_in_the_group(queue: Queue) -> None:
    client, keys = queue.connection.client, queue.keys
    dead, alive = queue.worker("dead"), queue.worker("alive")
    client.xgroup_createconsumer(keys.jobs, GROUP, "idle")
    beat(alive)
    for side in (dead, alive):
        queue.submit(f"of-{len(client.xrange(keys.jobs))}")
        side.claims.fetch(1)
    delete_the_entries(queue)
    for name in ("of-0", "of-1"):
        client.delete(keys.job(name))
    orphans = found(queue)
    (pending,) = orphans[OrphanKind.PENDING]
    assert "delivered to dead, then deleted" in pending.why
    assert [orphan.name for orphan in orphans[OrphanKind.CONSUMER]] == ["idle"]
    remove_all(queue)
    left = {row["name"]: row["pending"] for row in client.xinfo_consumers(keys.jobs, GROUP)}
    assert left == {b"alive": 1}


def test_keys_of_others_and_broken_jobs_are_left_alone(queue: Queue) -> None:
    for name, kind in (("a", "string"), ("b", "list")):
        queue.occupy(queue.keys.job(name), kind)
    queue.submit("broken")
    queue.spoil("entry", "x", "broken")
    assert names(queue) == {}


def test_an_empty_server_has_none(queue: Queue) -> None:
    assert names(queue) == {}


def test_without_memory_it_works_as_it_must(queue: Queue) -> None:
    queue.submit()
    queue.connection.client.xadd(queue.keys.results("gone"), {"result": "x"})
    delete_the_queue(queue)
    client = queue.connection.client
    client.config_set("maxmemory", 1)
    try:
        assert remove_all(queue) == 2
    finally:
        client.config_set("maxmemory", 0)
    assert queue.producer.view("j").status is JobStatus.FAILED
