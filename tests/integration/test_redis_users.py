"""The users of ``config/redis`` on real servers: each does its work to the end, with no right that it does not use."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import orjson
import pytest
import redis
from redis.exceptions import NoPermissionError
from streamtag.core.album import Picture, PictureKind
from streamtag.core.records import JobStatus, StreamState, WorkerView
from streamtag.errors import AccessDenied, LeaseLost
from streamtag.queue.fleet import FleetReader
from streamtag.queue.orphans import Orphans
from streamtag.queue.pictures import Pictures, PictureStep, read_album, read_newest
from streamtag.settings import Settings
from streamtag.tools.doctor import examine
from streamtag.view.thumbs import Thumbs

from tests.contract.sides import LIVE, Queue, lapse, step
from tests.support import (
    RedisServer,
    Worker,
    free_port,
    json_lines,
    redis_binaries,
    run_cli,
    settings_for,
    start_worker,
)
from tests.support.notifying import tell_an_event
from tests.support.redis_acl import (
    ADMINISTRATION,
    DENIED,
    FOLDER,
    FOREIGN,
    OURS,
    ROLES,
    granted,
    password,
    server_with_users,
)
from tests.support.worker_process import NULL

PREFIX = "st"
HEARTBEAT = f"{OURS}:worker:idle"
LIVE_SOURCE = "rtsp://camera.lan/1"
SECRET = "http://user:secret@camera.lan/clip.mp4"
VIEW = WorkerView("one", "host", "1.0", "m", "null", 16, 2, 30.5, False, 1.0, 2.0)
# Of a cluster, or of a database that is not number 0: test_redis_cluster uses those.
ELSEWHERE = {"cluster|slots", "asking", "select"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with server_with_users(redis_binaries()[0], tmp_path_factory.mktemp("redis-users"), *ROLES) as found:
        yield found


@pytest.fixture(autouse=True)
def empty(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        with request.getfixturevalue("server").client() as client:
            client.flushall()
            client.config_resetstat()


def credentials(role: str) -> dict[str, object]:
    return {"redis.username": f"streamtag-{role}", "redis.password": password(role), "redis.prefix": PREFIX}


def queue_as(role: str, server: RedisServer, **options: object) -> Queue:
    return Queue(f"redis://127.0.0.1:{server.port}/0", **credentials(role), **options)


def settings_as(role: str, server: RedisServer) -> Settings:
    own = {name.replace(".", "__"): value for name, value in credentials(role).items()}
    return settings_for(server, redis__url=f"redis://127.0.0.1:{server.port}/0", **own)


def client_as(role: str, server: RedisServer, decode: bool = True) -> redis.Redis:
    return redis.Redis(
        port=server.port, username=f"streamtag-{role}", password=password(role), decode_responses=decode, protocol=2
    )


def used(server: RedisServer) -> set[str]:
    """Commands carried out since the statistics were reset, also within scripts, without the admin's own."""
    with server.client() as client:
        stats = client.info("commandstats")
    return {name.removeprefix("cmdstat_") for name in stats} - {"config|resetstat", "auth", "flushall"}


def work(server: RedisServer) -> None:
    """All that a worker asks of Redis."""
    queue = queue_as("worker", server, **{"redis.results_max_age_s": 60})
    one, two = queue.worker("one"), queue.worker("two")
    one.heartbeats.beat(VIEW)
    assert one.claims.next_waiting() is not None
    done, given_back, failed = one.take(), one.take(), one.take()
    for seq in range(2):
        one.commits.commit(done, step(seq, f"{seq + 1}-1", events=1), LIVE, 0.5)
    seen = Picture(1.0, 1.0, kind=PictureKind.ENTER, jpeg=b"\xff\xd8\xff")
    for gone in ([], ["1-1"]):
        (written,) = Pictures(queue.connection, "one", 8).write_each([PictureStep(done, seen, [seen], gone)])
        assert isinstance(written, list), written
    assert one.leases.renew([done]) == ["OK"]
    one.commits.finish(done, JobStatus.DONE, "", StreamState.ENDED, 1.5)
    assert one.claims.redelivered(10)
    one.commits.release(given_back)
    one.commits.dead_letter(failed, "no good")
    assert two.claims.crashes("given-back") == 0
    claim = two.take_abandoned_now()
    lapse()
    again = one.take_abandoned_now()
    with pytest.raises(LeaseLost):
        two.commits.release(claim)
    one.commits.finish(again, JobStatus.DONE, "", StreamState.ENDED, 1.5)
    assert two.take_or_reject() is None
    assert {orphan.kind for orphan in Orphans(queue.connection).find()} == {"results", "consumer"}
    one.heartbeats.beat(VIEW)
    two.heartbeats.find()
    assert two.heartbeats.others() == [VIEW]
    one.heartbeats.stop()
    two.claims.retire_others()
    two.claims.retire()
    assert two.leases.renew([]) == []
    assert [finding.check for finding in islice(examine(queue.settings), 4)][-1] == "queue"
    queue.connection.close()


def produce(server: RedisServer) -> None:
    """All that a producer asks of Redis."""
    queue = queue_as("producer", server)
    queue.submit("done", LIVE_SOURCE)
    queue.submit("given-back")
    queue.submit("given-back")
    for job_id in ("failed", "cancelled"):
        queue.submit(job_id, SECRET)
    queue.producer.cancel("cancelled")
    look(queue)
    queue.connection.close()


def look(queue: Queue) -> None:
    """All that people look at: status, tail, replay, the dead letters, the workers, the page, and the doctor."""
    queue.producer.view("done")
    assert len(queue.producer.views()) >= 4
    queue.producer.results("done")
    queue.producer.newest_results("done", 1)
    read_newest(queue.connection, "done")
    read_album(queue.connection, "done")
    queue.producer.events(block_ms=1)
    list(queue.producer.dead_letters())
    assert len(queue.producer.workers()) == 1
    assert len(FleetReader(queue.connection).read().workers) == 1
    thumbs = Thumbs()
    thumbs.get("done", 0.0)
    thumbs.read(queue.connection, {"done": "1.5"}, 0.0)
    assert queue.producer.memory().used_bytes > 0
    assert {holding.kind for holding in queue.producer.holdings() if holding.bytes} >= {"jobs", "events", "workers"}
    queue.connection.ping()
    assert [finding.check for finding in islice(examine(queue.settings), 4)][-1] == "queue"


def look_after_dead_letters(server: RedisServer) -> None:
    """One is tried again, with its source, which held a password and was forgotten; one is dropped."""
    queue = queue_as("producer", server)
    failed, no_job = queue.producer.dead_letters()
    queue.producer.requeue(failed, SECRET)
    queue.producer.drop(no_job)
    queue.connection.close()


def measure(server: RedisServer) -> None:
    """All that the exporter asks of Redis."""
    queue = queue_as("exporter", server)
    assert queue.producer.depth().waiting == 1
    assert len(queue.producer.workers()) == 1
    assert queue.producer.memory().used_bytes > 0
    queue.connection.close()


def test_each_role_has_the_rights_that_it_uses_and_no_other(server: RedisServer) -> None:
    """A right that a script needs and the file lacks fails here as NOPERM, one too many as a difference."""
    with server.client() as admin:
        admin.set(HEARTBEAT, orjson.dumps(VIEW.to_dict()))
        admin.config_resetstat()
        produce(server)
        producing = used(server)
        admin.delete(HEARTBEAT)
        admin.xadd(f"{OURS}:jobs", {"no": "job"})
        admin.xadd(f"{OURS}:res:gone", {"result": "of a job that is gone"})
        admin.config_resetstat()
        work(server)
        assert used(server) == granted("worker") - ELSEWHERE
        admin.set(HEARTBEAT, orjson.dumps(VIEW.to_dict()))
        admin.config_resetstat()
        look(queue_as("reader", server))
        # TYPE is asked on a cluster before a SCAN.
        assert used(server) == granted("reader") - ELSEWHERE - {"type"}
        admin.config_resetstat()
        look_after_dead_letters(server)
        assert producing | used(server) == granted("producer") - ELSEWHERE
        admin.config_resetstat()
        measure(server)
        assert used(server) == granted("exporter") - ELSEWHERE - {"type"}
        admin.config_resetstat()
        tell_an_event(queue_as("notifier", server), server)
        assert used(server) == granted("notifier") - ELSEWHERE


TRIES = [(role, command) for role in ROLES for command in [*ADMINISTRATION, *FOREIGN, *DENIED[role]]]


@pytest.mark.parametrize(("role", "command"), TRIES)
def test_what_a_role_does_not_need_is_refused(server: RedisServer, role: str, command: str) -> None:
    with (
        client_as(role, server) as client,
        pytest.raises(redis.ResponseError, match=r"(n|N)o permissions|can't run|can't access"),
    ):
        client.execute_command(*command.split(" "))


def test_a_reader_finds_no_password_of_a_job_that_waits_or_runs(server: RedisServer) -> None:
    """Not in any key that it may read, whatever command it reads with."""
    source = "rtsp://admin:hunter2@camera.lan/1"
    producer, worker = queue_as("producer", server), queue_as("worker", server)
    producer.submit("waits", source)
    producer.submit("runs", source)
    claims = [worker.worker("one").take() for _ in range(2)]
    worker.worker("one").commits.release(claims[0])
    worker.worker("one").commits.commit(claims[1], step(0, "5-1", events=1), LIVE, 0.5)
    seen, refused = [], []
    with client_as("reader", server, decode=False) as reader:
        for name in reader.scan_iter():
            for command in ("HGETALL %b", "MGET %b", "XRANGE %b - +", "XREAD STREAMS %b 0"):
                try:
                    seen.append(repr(reader.execute_command(*(command.encode() % name).split())))
                except NoPermissionError:
                    refused.append(name.decode())
                except redis.ResponseError:  # not a key of that kind
                    continue
    assert len(seen) > 5
    assert set(refused) == {f"{OURS}:jobs"}
    assert "hunter2" not in "".join(seen)
    assert "camera.lan" in "".join(seen)


def test_who_may_not_read_jobs_is_told_so_and_not_that_they_are_broken(server: RedisServer) -> None:
    queue_as("producer", server).submit("j", LIVE_SOURCE)
    with pytest.raises(AccessDenied, match="run HGETALL"):
        queue_as("exporter", server).producer.views()


def test_nobody_is_let_in_without_a_password(server: RedisServer) -> None:
    with redis.Redis(port=server.port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_server_does_not_start_with_the_files_as_they_come(tmp_path: Path) -> None:
    """A password that everybody could read in our repository would be none."""
    path = tmp_path / "users.acl"
    path.write_text("".join((FOLDER / f"{role}.acl").read_text(encoding="utf-8") for role in ROLES), encoding="utf-8")
    command = [redis_binaries()[0], "--port", str(free_port()), "--aclfile", str(path), "--dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert "users.acl:1" in done.stdout + done.stderr


def test_the_worker_s_file_also_serves_the_oldest_server(tmp_path: Path) -> None:
    """The others have rights by key, which began with 7.0."""
    with server_with_users(redis_binaries()[-1], tmp_path, "worker") as old:
        queue = queue_as("worker", old)
        queue.submit("j")
        one = queue.worker("one")
        claim = one.take()
        one.commits.commit(claim, step(0, "5-1", events=1), LIVE, 0.5)
        one.commits.finish(claim, JobStatus.DONE, "", StreamState.ENDED, 1.5)
        one.claims.retire()
        queue.connection.close()
        for command in ADMINISTRATION[:3]:
            with client_as("worker", old) as client, pytest.raises(redis.ResponseError, match="no permissions"):
                client.execute_command(*command.split(" "))


@pytest.mark.long
def test_people_and_a_worker_do_all_their_work_as_these_users(
    server: RedisServer, workers: list[Worker], clip: Path
) -> None:
    worker, producer, reader, exporter, notifier = (settings_as(role, server) for role in ROLES)
    start_worker(workers, worker, *NULL, "worker.top_k=9")
    done = run_cli(producer, "submit", str(clip), "--id", "film", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    for arguments in (
        ("status", "--json"),
        ("status", "--memory", "--json"),
        ("tail", "film", "--json"),
        ("tail", "--events", "film", "--json"),
        ("replay", "film", "--json"),
        ("export", "film"),
        ("top", "--once", "--json"),
    ):
        shown = run_cli(reader, *arguments)
        assert shown.returncode == 0, f"{arguments}: {shown.stderr}"
        assert json_lines(shown.stdout)
    assert run_cli(reader, "dlq", "list").returncode == 0
    assert run_cli(notifier, "notify", "--status", "--dead-letters").returncode == 0
    exported = run_cli(exporter, "exporter", "--once")
    assert exported.returncode == 0, exported.stderr
    assert 'streamtag_queue_workers{model="demo",shard="0"} 1.0' in exported.stdout
    assert run_cli(producer, "cancel", "film").returncode == 0
    refused = run_cli(reader, "submit", str(clip))
    assert refused.returncode == 2
    assert "does not let user 'streamtag-reader' run EVALSHA" in refused.stderr
    assert "config/redis" in refused.stderr
