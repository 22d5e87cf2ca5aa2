"""Cameras killed, stopped, or back with other pictures: told, declared and counted, and files beside them whole."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support import NULL, RedisServer, RtspServer, Worker, eventually, start_worker
from tests.support.invariants import (
    LeftByJob,
    assert_account_closes,
    assert_gaps_declared,
    assert_indices_once,
    assert_queue_empty,
    read_job,
)
from tests.support.job_flow import JobFlow
from tests.support.process_tree import Footprint, assert_no_process_left

FPS = 10
READ_TIMEOUT_S = 2.0
LONGEST_SILENCE_S = 2 * READ_TIMEOUT_S + 0.5  # shorter ones a busy machine makes by itself
OPTIONS = (
    *NULL,
    *("engine.buckets=[1]", "worker.commit_results=4", "source.slots=3"),
    *(f"sampling.live_fps={FPS}", "source.backoff_s=0.1", "source.backoff_cap_s=1"),
    *(f"source.read_timeout_s={READ_TIMEOUT_S}", "source.open_timeout_s=8"),
)
TIMES = 2


class Camera:
    """One address behind which servers come and go."""

    def __init__(self) -> None:
        self.server = RtspServer()
        self.server.start()
        self.url = self.server.url("ball")

    def come_back(self, *arguments: str) -> None:
        back = RtspServer(*arguments)
        back.port = self.server.port
        back.start()
        self.server = back


@pytest.fixture
def camera() -> Iterator[Camera]:
    found = Camera()
    yield found
    found.server.stop()


Lost = Callable[[], bool]  # whether the worker has noticed


def killed(camera: Camera, lost: Lost) -> None:
    camera.server.stop()
    eventually(lost, "its loss is told")
    camera.come_back()


def stopped(camera: Camera, lost: Lost) -> None:
    camera.server.signal(signal.SIGSTOP)
    eventually(lost, "its silence is told")
    camera.server.signal(signal.SIGCONT)


def resized(camera: Camera, lost: Lost) -> None:
    camera.server.stop()
    eventually(lost, "its loss is told")
    camera.come_back("--size=640x352")


@pytest.mark.parametrize(
    "fault", [killed, *(pytest.param(fault, marks=pytest.mark.long) for fault in (stopped, resized))]
)
def test_a_camera_that_goes_and_comes_back(
    fault: Callable[[Camera, Lost], None],
    redis_server: RedisServer,
    client: Client,
    settings: Settings,
    workers: list[Worker],
    camera: Camera,
    clip: Path,
) -> None:
    worker = start_worker(workers, settings, *OPTIONS)
    files = JobFlow(client, [clip], at_once=1)
    files.run_undisturbed([clip])
    before = held(worker)
    job = client.submit(camera.url).job_id
    for time in range(1, TIMES + 1):
        files.top_up()
        seen = client.status(job).counters.published
        eventually(partial(has_more, client, job, seen + 5), "samples of the camera")
        fault(camera, partial(has_lost, client, job, time))
    seen = client.status(job).counters.published
    eventually(partial(has_more, client, job, seen + 5), "samples after it is back")
    files.finish()
    client.cancel(job)
    eventually(lambda: client.status(job).status is JobStatus.CANCELLED, "cancelled")

    assert_told_and_declared(read_job(client, job))
    files.assert_all_same()
    with redis_server.client() as raw:
        assert_queue_empty(client, raw)
    eventually(lambda: held(worker) == before, "the worker holds what it held before")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert_no_process_left(settings)


def held(worker: Worker) -> tuple[int, Counter[str]]:
    """Processes, and descriptors but for pipes: of those that ended last, two are closed when the next ones start."""
    footprint = Footprint.of(worker.process.pid)
    return footprint.processes, Counter({kind: n for kind, n in footprint.descriptors.items() if kind != "pipe"})


def has_more(client: Client, job: str, than: int) -> bool:
    return client.status(job).counters.published > than


def has_lost(client: Client, job: str, times: int) -> bool:
    """Whether the camera was given up so often after samples of it: tries in vain in between count as one."""
    states = [state for state in read_job(client, job).states if state in ("live", "reconnecting")]
    return list(pairwise(states)).count(("live", "reconnecting")) >= times


def assert_told_and_declared(left: LeftByJob) -> None:
    assert_indices_once(left)
    assert_account_closes(left.view)
    assert_gaps_declared(left, 1 / FPS, LONGEST_SILENCE_S)
    assert [gap.content["reason"] for gap in left.gaps].count("reconnect") >= TIMES
    assert all(gap.content["missed_s"] > 0 for gap in left.gaps)
    times_s = [result.pts_s for result in left.results]
    assert times_s == sorted(times_s)
    assert left.states[-1] == "live"
