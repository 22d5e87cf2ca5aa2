"""Failures of Redis as callers see them: what may pass is unavailable, what will not is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from streamtag.core.records import JobStatus
from streamtag.errors import AccessDenied, JobNotFound, LeaseLost, QueueRefused, QueueUnavailable
from streamtag.queue.keys import GROUP

from tests.contract.sides import LIVE, Queue, step
from tests.support import RedisServer


def _out_of_memory(client: redis.Redis) -> None:
    client.config_set("maxmemory", "1")


def _read_only(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", "9")


def _stale(client: redis.Redis) -> None:
    client.config_set("replica-serve-stale-data", "no")
    client.replicaof("127.0.0.1", "9")


def _alone(client: redis.Redis) -> None:
    client.config_set("min-replicas-to-write", "1")


def _well_again(client: redis.Redis) -> None:
    client.replicaof("NO", "ONE")
    for name, value in (("maxmemory", "0"), ("min-replicas-to-write", "0"), ("replica-serve-stale-data", "yes")):
        client.config_set(name, value)


@pytest.mark.parametrize(
    ("spoil", "names"),
    [
        (_out_of_memory, "OOM: .*raise maxmemory"),
        (_read_only, "READONLY"),
        (_stale, "MASTERDOWN|READONLY"),
        (_alone, "NOREPLICAS"),
    ],
)
def test_what_concerns_the_server_may_pass(
    queue: Queue, server: RedisServer, spoil: Callable[[redis.Redis], None], names: str
) -> None:
    queue.submit("before")
    with server.client() as client:
        try:
            spoil(client)
            with pytest.raises(QueueUnavailable, match=names):
                queue.submit("j")
        finally:
            _well_again(client)
    assert queue.submit("j") == "queued"


def test_a_server_that_became_a_replica_is_connected_to_anew(queue: Queue, server: RedisServer) -> None:
    """Its name or its Sentinel may lead to another one by now, and no connection broke that would have said so."""
    queue.submit("before")
    with server.client() as client:
        connections = ours(client)
        try:
            _read_only(client)
            with pytest.raises(QueueUnavailable, match="READONLY"):
                queue.submit("j")
        finally:
            _well_again(client)
        assert queue.submit("j") == "queued"
        assert not ours(client) & connections


def ours(client: redis.Redis) -> set[str]:
    return {row["id"] for row in client.client_list() if row["name"] == "streamtag"}


@pytest.mark.parametrize(
    ("rights", "lacks"),
    [
        (
            {"commands": ["+client", "+info", "+evalsha", "+eval"]},
            "of the script|in the script|run HMGET|run EXISTS|run TYPE",
        ),
        (
            {"commands": ["+client", "+info"]},
            r"run EVALSHA \(submit .*:j\): .*ACL SETUSER nobody \+evalsha",
        ),
        ({"commands": ["+@all"], "keys": ["elsewhere:*"]}, r"touch the keys of submit .*ACL SETUSER nobody ~t"),
    ],
)
def test_a_missing_right_is_told_with_user_command_and_remedy(
    queue: Queue, server: RedisServer, rights: dict[str, list[str]], lacks: str
) -> None:
    with server.client() as client:
        client.acl_deluser("nobody")
        client.acl_setuser("nobody", enabled=True, passwords=["+pw"], **({"keys": ["*"]} | rights))
        more = {"redis.username": "nobody", "redis.password": "pw", "redis.prefix": queue.settings.redis.prefix}
        with pytest.raises(AccessDenied, match=f"user 'nobody' .*({lacks}).*config/redis"):
            Queue(server.url, **more).submit("j")


def test_a_wrong_password_is_told_with_the_user_and_without_the_password(server: RedisServer) -> None:
    wrong = Queue(server.url, **{"redis.username": "nobody", "redis.password": "hunter2"})
    with pytest.raises(AccessDenied, match=r"user 'nobody' in: .*redis\.password") as told:
        wrong.submit()
    assert "hunter2" not in str(told.value)


def test_a_database_that_there_is_not_is_no_key_to_be_removed(server: RedisServer) -> None:
    queue = Queue(server.url.removesuffix("/0") + "/9999")
    for ask in (queue.producer.views, queue.submit):
        with pytest.raises(QueueUnavailable, match=r"/9999 has no such database: .*correct the number in redis\.url$"):
            ask()


def test_a_server_that_is_too_old_is_told_before_anything_is_asked_of_it(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers as if keys were wrong, and the advice was to remove them."""
    queue = Queue(server.url)
    told = queue.connection.client.info
    monkeypatch.setattr(queue.connection.client, "info", lambda *part: told(*part) | {"redis_version": "6.0.16"})
    for ask in (queue.submit, lambda: queue.worker("a")):
        with pytest.raises(QueueUnavailable, match=r"^Redis at .* is 6\.0\.16, too old: install 6\.2 or newer$"):
            ask()
    assert not queue.connection.client.exists(queue.keys.jobs)


def test_a_key_of_another_type_is_refused_by_its_name(queue: Queue) -> None:
    queue.connection.client.set(queue.keys.job("j"), "not a hash")
    with pytest.raises(QueueRefused, match="job:j"):
        queue.submit("j")


def test_a_job_that_is_not_there_is_told_apart(queue: Queue) -> None:
    with pytest.raises(JobNotFound, match="no job 'j'"):
        queue.producer.view("j")


def test_a_queue_that_was_deleted_is_unavailable_until_its_group_is_made_again(queue: Queue) -> None:
    queue.submit()
    one = queue.worker("one")
    claim = one.take()
    (entry,) = one.claims.redelivered(10)
    queue.connection.client.xgroup_destroy(queue.keys.jobs, GROUP)
    with pytest.raises(QueueUnavailable, match="lost the queue"):
        one.claims.acquire(entry)
    with pytest.raises(QueueUnavailable, match="lost the queue"):
        one.leases.renew([claim])


@pytest.mark.parametrize("what", ["everything", "the queue"])
def test_a_queue_that_vanishes_in_the_middle_of_a_job_is_made_again(queue: Queue, what: str) -> None:
    queue.submit("running")
    one, two = queue.worker("one"), queue.worker("two")
    claim = one.take()
    one.commits.commit(claim, step(0, "5-1"), LIVE, None)
    queue.submit("waiting")
    (entry,) = two.claims.fetch(1)
    client = queue.connection.client
    everything = client.scan_iter(match=f"{queue.settings.redis.prefix}:*")
    client.delete(*(everything if what == "everything" else [queue.keys.jobs]))
    if what == "everything":
        acts: tuple[Callable[[], None], ...] = (
            lambda: one.commits.commit(claim, step(1, "6-1"), LIVE, None),
            lambda: one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0),
            lambda: one.commits.release(claim),
            lambda: one.commits.dead_letter(claim, "no"),
        )
        for act in acts:
            with pytest.raises(LeaseLost):
                act()
        assert one.leases.renew([claim]) == ["LOST"]
        with pytest.raises(JobNotFound):
            queue.producer.view("running")
    else:
        one.commits.commit(claim, step(1, "6-1"), LIVE, None)
        with pytest.raises(QueueUnavailable, match="lost the queue"):
            one.leases.renew([claim])
    with pytest.raises(QueueUnavailable, match="lost the queue"):
        two.claims.acquire(entry)
    with pytest.raises(QueueUnavailable, match="lost the queue"):
        two.commits.dead_letter_entry(entry, "no")
    assert queue.producer.workers() == []
    assert list(queue.producer.dead_letters()) == []
    for made_again in (one.claims.fetch(1, block_ms=1), one.claims.redelivered(5), one.claims.abandoned(5)):
        assert made_again == []
    assert two.claims.acquire(entry) is None
    if what == "the queue":
        assert one.leases.renew([claim]) == ["OK"]
        one.commits.finish(claim, JobStatus.DONE, "", "ended", 0.0)
        assert [result.id for result in queue.producer.results("running")] == ["5-1", "6-1"]
    assert queue.submit("new") == "queued"
    assert one.take().job.job_id == "new"
