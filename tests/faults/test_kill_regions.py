"""A film with several regions and a motion gate, whose worker is killed: each sample of each region exactly once."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support import Worker, eventually, start_worker
from tests.support.invariants import assert_same, read_job
from tests.support.worker_process import SLOW

QUICK_LEASE = ("lease.seconds=3", "lease.stop_after_s=2", "lease.renew_s=0.3", "lease.reclaim_s=0.2")
ROI = {"left": (0.0, 0.0, 0.5, 1.0), "right": (0.5, 0.0, 0.5, 1.0)}


@pytest.mark.long
def test_a_film_of_two_regions_gives_the_same_whether_its_worker_is_killed_or_not(
    client: Client, settings: Settings, workers: list[Worker], clip: Path
) -> None:
    """The same ids, scores, events and account, and the same samples reused."""
    submit = partial(client.submit, str(clip), every=1, roi=ROI, motion_gate=0.05, motion_gate_max_s=1.0)
    first = start_worker(workers, settings, *SLOW, *QUICK_LEASE)
    undisturbed = submit().job_id
    assert client.wait(undisturbed, 60).status is JobStatus.DONE
    expected = read_job(client, undisturbed)
    assert len(expected.results) == 2 * 200
    assert {result.region for result in expected.results} == set(ROI)
    assert 40 < expected.view.counters.reused < 360

    job = submit().job_id
    eventually(lambda: client.status(job).counters.published > 100, "some of it is published")
    first.signal(signal.SIGKILL)
    first.wait()
    assert client.status(job).status is JobStatus.RUNNING
    start_worker(workers, settings, *SLOW, *QUICK_LEASE)
    assert client.wait(job, 60).deliveries == 2
    assert_same(read_job(client, job), expected)
