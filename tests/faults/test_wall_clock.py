"""The wall clock of a worker's machine is set, forth and back: leases, order and times hold."""

from __future__ import annotations

import os
import struct
from functools import partial
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests import support
from tests.support import NULL, RedisServer, RtspServer, Worker, eventually
from tests.support.invariants import (
    FenceWatch,
    assert_account_closes,
    assert_indices_once,
    assert_queue_empty,
    read_job,
)
from tests.support.job_flow import JobFlow

HOUR_S = 3600.0
STEPS_S = (0.0, HOUR_S, -24 * HOUR_S, 0.0, -3.0, 3.0)
OPTIONS = (*NULL, "engine.buckets=[1]", "worker.commit_results=4", "source.slots=3", "sampling.live_fps=10")
LEASE = ("lease.seconds=6", "lease.stop_after_s=4", "lease.renew_s=0.5", "lease.reclaim_s=0.2")


class SteppedClock:
    """The wall clock of the processes that get its environment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.write_bytes(struct.pack("d", 0.0))
        folder = Path(support.__file__).parent / "stepped_clock"
        self.environment = {
            "STEPPED_CLOCK": str(path),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH")))),
        }

    def set(self, offset_s: float) -> None:
        with self._path.open("r+b") as file:  # in place: it is mapped
            file.write(struct.pack("d", offset_s))


@pytest.mark.long
def test_a_clock_that_is_set_forth_and_back(
    client: Client,
    settings: Settings,
    redis_server: RedisServer,
    workers: list[Worker],
    camera: RtspServer,
    clip: Path,
    tmp_path: Path,
) -> None:
    clock = SteppedClock(tmp_path / "offset")
    worker = Worker(settings, *OPTIONS, *LEASE, env=clock.environment)
    workers.append(worker)
    worker.ready()
    files = JobFlow(client, [clip], at_once=1)
    files.run_undisturbed([clip])
    job = client.submit(camera.url("ball")).job_id
    with redis_server.client() as raw, FenceWatch(client, raw) as fences:
        for step_s in STEPS_S:
            files.top_up()
            clock.set(step_s)
            wanted = client.status(job).counters.published + 15
            eventually(partial(_has_published, client, job, wanted), f"samples with a clock off by {step_s} s")
        files.finish()
        client.cancel(job)
        eventually(lambda: client.status(job).status is JobStatus.CANCELLED, "cancelled")
        files.assert_all_same()
        assert_queue_empty(client, raw)
    fences.assert_never_back()

    left = read_job(client, job)
    assert_indices_once(left)
    assert_account_closes(left.view)
    assert (left.view.deliveries, left.view.crashes) == (1, 0)
    stamped_s = [int(result.id.split("-")[0]) / 1000 for result in left.results]
    assert max(stamped_s) - min(stamped_s) > HOUR_S / 2, "its clock was set"
    times_s = [result.pts_s for result in left.results]
    assert times_s == sorted(times_s)
    assert times_s[-1] - times_s[0] < HOUR_S / 2, "presentation time does not go by the wall clock"


def _has_published(client: Client, job: str, wanted: int) -> bool:
    return client.status(job).counters.published >= wanted
