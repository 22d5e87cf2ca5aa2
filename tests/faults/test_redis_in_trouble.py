"""Redis itself is in trouble: it drops its clients, forgets its scripts, pauses, is busy, takes no writes, is emptied.

One worker lives through it all. Restarts are in ``test_kill.py``, no room in ``test_redis_short_of_memory.py``, and a
replica that is promoted without the last writes in ``tests/integration/test_redis_sentinel.py``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis
from streamtag.core.records import JobStatus
from streamtag.errors import JobNotFound
from streamtag.queue.keys import GROUP

from tests.support import RedisServer, eventually, free_port, redis_binaries, settings_for
from tests.support.trial import Trial, trial

pytestmark = pytest.mark.timeout(600)  # with the start of the worker


@pytest.fixture(scope="module", params=["newest", pytest.param("oldest", marks=pytest.mark.long)])
def troubled(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    clip: Path,
    record_testsuite_property: Callable[[str, object], None],
) -> Iterator[Trial]:
    """A server of its own: what is done to it concerns all its clients. Before 7.0 scripts fail in other words."""
    binary = redis_binaries()[0 if request.param == "newest" else -1]
    server = RedisServer(binary, tmp_path_factory.mktemp("troubled"))
    with server, trial(server, settings_for(server), clip) as found:
        yield found
        record_testsuite_property(f"results compared, {request.param} server in trouble", found.compared)


def again_and_again(troubled: Trial, disturb: Callable[[redis.Redis], object], times: int) -> None:
    """While jobs run."""
    with troubled.server.client() as raw:
        for _ in range(times):
            troubled.keep_busy()
            time.sleep(0.1)
            disturb(raw)
    troubled.all_exact()


@pytest.mark.long
def test_clients_that_are_dropped_forty_times(troubled: Trial) -> None:
    again_and_again(troubled, lambda raw: raw.client_kill_filter(_type="normal", skipme=True), 40)


@pytest.mark.long
def test_scripts_that_are_forgotten_forty_times(troubled: Trial) -> None:
    again_and_again(troubled, lambda raw: raw.script_flush(), 40)


@pytest.mark.long
def test_pauses_of_half_a_second(troubled: Trial) -> None:
    again_and_again(troubled, lambda raw: raw.client_pause(500), 6)


def told(troubled: Trial, word: str) -> bool:
    """Whether the worker gave that word of Redis as the reason why it waits."""
    return any(word in line.get("error", "") for line in list(troubled.worker.log))


def test_a_script_that_does_not_end(troubled: Trial) -> None:
    """Everybody else hears BUSY until somebody kills it."""
    troubled.submit_and_see_it_run(2)
    with troubled.server.client() as raw, troubled.server.client() as other:
        raw.config_set("lua-time-limit", 100)

        def run() -> None:
            with contextlib.suppress(redis.ResponseError):  # it is killed
                other.eval("while true do end", 0)

        busy = threading.Thread(target=run)
        busy.start()
        eventually(lambda: told(troubled, "a script runs too long there"), "the worker says what it waits for")
        time.sleep(2.0)
        raw.script_kill()
        busy.join(10)
    troubled.all_exact()


def test_a_server_that_takes_no_writes(troubled: Trial) -> None:
    """It was made a replica of a machine that is gone, and is made a master again."""
    troubled.submit_and_see_it_run(2)
    with troubled.server.client() as raw:
        raw.replicaof("127.0.0.1", str(free_port()))
        eventually(lambda: told(troubled, "it is a replica"), "the worker says what it waits for")
        time.sleep(2.0)
        raw.replicaof("NO", "ONE")
    troubled.all_exact()


def test_a_server_that_is_emptied_loses_its_jobs_and_takes_new_ones(troubled: Trial) -> None:
    """What is gone from Redis nobody can bring back; the worker gives the jobs up, says so, and goes on."""
    troubled.submit_and_see_it_run(3)
    gone, troubled.jobs = troubled.jobs, []
    with troubled.server.client() as raw:
        raw.flushall()
        for job in gone:
            eventually(partial(troubled.worker.said, "job lost", job_id=job), "the worker says that it is lost")
            with pytest.raises(JobNotFound):
                troubled.client.status(job)
        eventually(lambda: raw.exists(troubled.keys.jobs), "the worker makes its group again")
        assert [group["name"] for group in raw.xinfo_groups(troubled.keys.jobs)] == [GROUP]
        for kind in ("job", "res"):
            assert not list(raw.scan_iter(f"{troubled.keys.base}:{kind}:*"))
    troubled.submit(2)
    troubled.all_exact()
    assert [view.status for view in troubled.client.jobs()] == [JobStatus.DONE] * 2
