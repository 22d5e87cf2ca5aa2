"""Every answer that a script can give is reached, by what people and workers do: read from the scripts themselves."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamtag.queue
from streamtag.core.album import Picture
from streamtag.core.job import Job
from streamtag.core.records import JobStatus, Offer, WorkerView
from streamtag.errors import QueueRefused, QueueUnavailable, StreamtagError
from streamtag.queue.connection import Connection, text
from streamtag.queue.handovers import Handovers
from streamtag.queue.notices import Notices, Place
from streamtag.queue.orphans import Orphan, OrphanKind, Orphans
from streamtag.queue.pictures import Pictures, PictureStep
from streamtag.queue.published import DeadLetter

from tests.contract.sides import LIVE, Queue, Side, step

PICTURE = Picture(1_700_000_000.0, 1.0, jpeg=b"\xff\xd8\xff")
SCRIPTS = Path(streamtag.queue.__file__).parent / "scripts"
# Renewal answers for each job in turn, and so does not begin with a word of its own; of pictures OK leads their ids.
NOT_IN_A_RETURN = {("renew", answer) for answer in ("OK", "LOST", "CANCELLED")} | {("picture", "OK")}


def _answers_in_the_scripts() -> set[tuple[str, str]]:
    found = {
        (path.stem, word)
        for path in SCRIPTS.glob("*.lua")
        for word in re.findall(r"(?:return|retired =) \{'([A-Z]+)'", path.read_text(encoding="utf-8"))
    }
    assert len(found) > 30
    return found | NOT_IN_A_RETURN


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """What the scripts answered: script and word."""
    answers: set[tuple[str, str]] = set()
    ask = Connection.script

    def listen(self: Connection, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        try:
            answer = ask(self, name, keys, arguments)
        except QueueRefused:
            answers.add((name, "REFUSED"))
            raise
        except QueueUnavailable:
            answers.add((name, "UNUSABLE"))
            raise
        answers.update((name, text(word)) for word in (answer if name == "renew" else answer[:1]))
        return answer

    monkeypatch.setattr(Connection, "script", listen)
    return answers


def _tried(*acts: Callable[[], object]) -> None:
    for act in acts:
        with contextlib.suppress(StreamtagError):
            act()


def _everything(queue: Queue, side: Side) -> Iterator[Callable[[], object]]:
    """Every script once, on a job that is held."""
    claim = side.take()
    entry = next(entry for entry in side.claims.redelivered(10) if entry.entry_id == claim.entry_id)
    yield lambda: queue.producer.submit(Job("j", "clip.mp4"))
    yield lambda: side.claims.acquire(entry)
    yield lambda: side.commits.commit(claim, step(0), LIVE, None)
    yield lambda: side.leases.renew([claim])
    offer = Offer("j", claim.entry_id, claim.fence, "two", 1.0)
    yield lambda: Handovers(queue.connection, "two", side.claims).take(offer, "one", claim)
    yield lambda: side.commits.release(claim)
    yield lambda: side.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
    yield lambda: side.commits.dead_letter(claim, "no")
    yield lambda: queue.producer.cancel("j")
    yield lambda: Pictures(queue.connection, "one", 8).write_each([PictureStep(claim, PICTURE, (), ())])
    notices = Notices(queue.connection, "one")
    yield lambda: notices.hold(15.0)
    yield lambda: notices.read("sink")
    yield lambda: notices.advance("sink", Place("1-1", 1))
    yield side.claims.retire
    letter = DeadLetter("1-1", "j", "", 1, "", 0.0)
    yield lambda: queue.producer.requeue(letter)
    orphans = Orphans(queue.connection)
    yield lambda: orphans.remove(Orphan(OrphanKind.JOB, "j", ""))
    yield lambda: orphans.remove(Orphan(OrphanKind.RESULTS, "j", ""))


def test_every_answer_of_every_script_is_reached(queue: Queue, heard: set[tuple[str, str]]) -> None:
    one, two = queue.worker("one"), queue.worker("two")
    small = Queue(queue.settings.redis.url.get_secret_value(), **{"redis.queue_cap": 1})
    small.submit("a")
    _tried(lambda: small.submit("b"))
    for end in ("done", "failed", "released", "cancelled"):
        _live_and_end(queue, one, end)
    _deliver_twice(queue, one, two)
    _move(queue, one, two)
    _requeue(queue, one)
    _leave_behind(queue)
    _tell(queue)
    _occupy_keys(queue, one)
    assert heard == _answers_in_the_scripts()


def _live_and_end(queue: Queue, one: Side, end: str) -> None:
    """What goes well, twice, and what is refused to those who are late."""
    producer = queue.producer
    producer.submit(Job(end, "clip.mp4"))
    producer.submit(Job(end, "clip.mp4"))
    claim = one.take()
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    stale = replace(claim, fence=claim.fence + 1)
    pictures = Pictures(queue.connection, "one", 8)
    _tried(
        lambda: pictures.write_each([PictureStep(claim, PICTURE, (), ())]),
        lambda: pictures.write_each([PictureStep(stale, PICTURE, (), ())]),
        lambda: one.commits.commit(stale, step(1), LIVE, None),
        lambda: one.commits.finish(stale, JobStatus.DONE, "", "ended", 0.0),
        lambda: one.commits.release(stale),
        lambda: one.commits.dead_letter(stale, "no"),
        lambda: one.leases.renew([claim, stale]),
    )
    if end == "failed":
        one.commits.dead_letter(claim, "no")
    elif end == "released":
        one.commits.release(claim)
    elif end == "cancelled":
        producer.cancel(end)
        one.leases.renew([claim])
        _tried(lambda: one.commits.commit(claim, step(1), LIVE, None))
        (entry,) = one.claims.redelivered(10)[-1:]
        assert one.claims.acquire(entry) is None
    else:
        one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
    _tried(lambda: producer.cancel(end))


def _deliver_twice(queue: Queue, one: Side, two: Side) -> None:
    """An entry of a job that is over."""
    producer, client, keys = queue.producer, queue.connection.client, queue.keys
    client.xadd(keys.jobs, {"job": Job("done", "clip.mp4").to_json()})
    (duplicate,) = one.claims.fetch(1)
    assert two.claims.acquire(duplicate) is None
    assert one.claims.acquire(duplicate) is None
    one.commits.dead_letter_entry(duplicate, "no")
    _tried(lambda: producer.cancel("nobody"))


def _move(queue: Queue, one: Side, two: Side) -> None:
    """A live job that is offered, and taken or not."""
    queue.submit("moves", "rtsp://camera.lan/1")
    claim = one.take()
    offer = Offer("moves", claim.entry_id, claim.fence, "two", 1.0)
    takes = Handovers(queue.connection, "two", two.claims)
    queue.producer.cancel("moves")
    assert takes.take(offer, "one", claim) is None
    queue.connection.client.hdel(queue.keys.job("moves"), "cancel")
    taken = takes.take(offer, "one", claim)
    assert taken is not None
    assert Handovers(queue.connection, "one", one.claims).take(offer, "one", claim) is None
    two.commits.finish(taken, JobStatus.DONE, "", "ended", 0.0)


def _requeue(queue: Queue, one: Side) -> None:
    """Dead letters that can become jobs again, and that cannot."""
    producer, client, keys = queue.producer, queue.connection.client, queue.keys
    letter = queue.letter()
    producer.requeue(letter)
    _tried(lambda: producer.requeue(letter))
    again = one.take()
    one.commits.dead_letter(again, "no")
    for status, more in (("running", {}), ("failed", {"secret": "1"}), ("x", {})):
        client.hset(keys.job("failed"), mapping={"status": status} | more)
        if more:
            client.hdel(keys.job("failed"), "job")
        _tried(lambda: producer.requeue(queue.letter()))
    client.delete(keys.job("failed"))
    _tried(lambda: producer.requeue(queue.letter()))
    one.heartbeats.beat(WorkerView("one", "h", "1", "m", "null", 1, 0, 0.0, False, 1.0, 1.0))
    one.claims.retire()


def _leave_behind(queue: Queue) -> None:
    """A job without an entry, and results without a job."""
    orphans, client, keys = Orphans(queue.connection), queue.connection.client, queue.keys
    queue.submit("lost")
    client.xadd(keys.results("lost"), {"result": "x"})
    job, results = (Orphan(kind, "lost", "") for kind in (OrphanKind.JOB, OrphanKind.RESULTS))
    assert not orphans.remove(job)
    client.xdel(keys.jobs, client.hget(keys.job("lost"), "entry"))
    assert orphans.remove(job)
    assert not orphans.remove(results)
    client.delete(keys.job("lost"))
    assert orphans.remove(results)


def _tell(queue: Queue) -> None:
    """Events, to a sink that is new and to one that is not, by the runner that may and by another."""
    one, two = (Notices(queue.connection, runner) for runner in ("one", "two"))
    assert one.hold(15.0) == ""
    assert two.hold(15.0) == "one"
    here = one.read("sink").place
    _tried(lambda: two.advance("sink", here))
    one.advance("sink", here)
    one.read("sink")


def _occupy_keys(queue: Queue, one: Side) -> None:
    """Keys that are not ours: of the job, and of the queue."""
    client, keys = queue.connection.client, queue.keys
    for key in (keys.job("j"), keys.events, keys.dlq, keys.jobs, keys.notify_lease):
        client.delete(keys.job("j"))
        queue.submit("j")
        acts = list(_everything(queue, one))
        kept = client.dump(key)
        queue.occupy(key, "list" if key == keys.notify_lease else "string")
        _tried(*acts)
        client.delete(key)
        if key != keys.job("j") and kept:
            client.restore(key, 0, kept)
        client.xtrim(keys.jobs, 0)
