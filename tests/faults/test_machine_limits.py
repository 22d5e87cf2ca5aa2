"""The machine has no more of something: jobs wait and say of what, the worker lives, and they go on once there is room.

Pictures lie in memory files of their own, so a full ``/dev/shm`` is no limit; a limit on the size of files is one.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus, JobView
from streamtag.settings import Settings

from tests.support import NULL, RedisServer, Worker, eventually
from tests.support.invariants import assert_queue_empty, assert_same, read_job
from tests.support.limits import AS_LONELY, first_free_descriptor, is_allowed, limited, no_more_processes_of_lonely

OPTIONS = (*NULL, "source.backoff_cap_s=0.5", "engine.buckets=[1]", "source.slots=2", "worker.commit_results=4")


class Full:
    """A worker with a job that runs, and what becomes of the next one while there is no room for it."""

    def __init__(self, client: Client, server: RedisServer, worker: Worker, clip: Path) -> None:
        self._client = client
        self._server = server
        self._worker = worker
        self._clip = clip

    def waits_and_then_runs(self, full: Callable[[], AbstractContextManager[None]], says: str) -> None:
        client = self._client
        self._submit("calm")
        assert client.wait("calm", 90).status is JobStatus.DONE
        self._submit("neighbour")
        eventually(lambda: client.status("neighbour").counters.published > 5, "it runs")
        with full():
            self._submit("late")
            view = eventually(partial(self._waiting, says), "it says what there is no more of")
            assert view.status is JobStatus.RUNNING
        for job in ("neighbour", "late"):
            assert client.wait(job, 90).crashes == 0
            assert_same(read_job(client, job), read_job(client, "calm"))
        with self._server.client() as raw:
            assert_queue_empty(client, raw)
        assert list(client.dead_letters()) == []
        assert self._worker.process.poll() is None
        assert self._worker.get("/livez")[0] == 200

    def _submit(self, job: str) -> None:
        self._client.submit(str(self._clip), job_id=job, every=1)

    def _waiting(self, says: str) -> JobView | None:
        view = self._client.status("late")
        return view if view.state == "reconnecting" and says in view.reason else None


def test_no_more_descriptors(
    client: Client, settings: Settings, redis_server: RedisServer, workers: list[Worker], clip: Path
) -> None:
    """The neighbour that ends gives some back while the other still tries."""
    worker = Worker(settings, *OPTIONS)
    workers.append(worker)
    pid = worker.ready().process.pid

    def full() -> AbstractContextManager[None]:
        return limited(resource.RLIMIT_NOFILE, first_free_descriptor(pid) + 3, pid)

    Full(client, redis_server, worker, clip).waits_and_then_runs(full, "no descriptors left (ulimit -n)")


@pytest.mark.long
def test_no_more_room_for_pictures(
    client: Client, settings: Settings, redis_server: RedisServer, workers: list[Worker], clip: Path
) -> None:
    worker = Worker(settings, *OPTIONS)
    workers.append(worker)
    full = partial(limited, resource.RLIMIT_FSIZE, 1000, worker.ready().process.pid)
    Full(client, redis_server, worker, clip).waits_and_then_runs(full, "memory for its pictures is larger")


@pytest.mark.skipif(not is_allowed(*AS_LONELY), reason="to be another user needs root")
def test_no_more_processes(
    client: Client, settings: Settings, redis_server: RedisServer, workers: list[Worker], clip: Path
) -> None:
    """A fork that fails ends the fork server, and with it the neighbour's decoder: that job goes on where it was."""
    worker = Worker(settings, *OPTIONS, launcher=AS_LONELY)
    workers.append(worker.ready())
    Full(client, redis_server, worker, clip).waits_and_then_runs(
        no_more_processes_of_lonely, "no processes are left (ulimit -u"
    )


# In a mount namespace of its own, so that nobody else's is full.
FULL_SHM = (
    *("unshare", "--mount", "sh", "-c"),
    'mount -t tmpfs -o size=4k none /dev/shm && ! head -c 8k /dev/zero > /dev/shm/full 2>&- && exec "$@"',
    "sh",
)


@pytest.mark.skipif(not is_allowed(*FULL_SHM), reason="to mount a file system needs root")
def test_a_full_dev_shm_is_no_limit(client: Client, settings: Settings, workers: list[Worker], clip: Path) -> None:
    worker = Worker(settings, *OPTIONS, launcher=FULL_SHM)
    workers.append(worker.ready())
    mounts = Path(f"/proc/{worker.process.pid}/root/dev/shm/full")
    assert mounts.stat().st_size == 4096
    view = client.wait(client.submit(str(clip), every=1).job_id, 90)
    assert (view.status, view.counters.published) == (JobStatus.DONE, 200)
