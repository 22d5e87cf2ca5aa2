"""A steady flow of finite jobs, so that there is always one to disturb; and what each of them must give."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from streamtag.client import Client

from tests.support.invariants import LeftByJob, assert_same, read_job
from tests.support.outcomes import is_over
from tests.support.waiting import eventually


class JobFlow:
    """Files submitted again and again, each frame a sample, so many at once.

    Args:
        at_once: jobs that wait or run.
    """

    def __init__(self, client: Client, sources: Sequence[Path], at_once: int) -> None:
        self._client = client
        self._at_once = at_once
        self._turns = itertools.cycle(sources)
        self._undisturbed: dict[Path, LeftByJob] = {}
        self._running: dict[str, Path] = {}
        self._over: dict[str, Path] = {}
        self._number = 0

    def run_undisturbed(self, sources: Sequence[Path], limit_s: float = 120.0) -> None:
        """Let a worker that nobody disturbs read each source once: what all later jobs are compared with."""
        jobs = {source: self._client.submit(str(source), every=1).job_id for source in sources}
        for source, job in jobs.items():
            self._client.wait(job, limit_s)
            self._undisturbed[source] = read_job(self._client, job)

    def top_up(self) -> None:
        """Submit until as many wait or run as should."""
        for job in [job for job in self._running if is_over(self._client, job)]:
            self._over[job] = self._running.pop(job)
        while len(self._running) < self._at_once:
            source = next(self._turns)
            self._number += 1
            job_id = f"flow-{self._number}"
            self._client.submit(str(source), job_id=job_id, every=1)
            self._running[job_id] = source

    def finish(self, limit_s: float = 240.0) -> None:
        """Wait until all are over; submit no more."""
        for job in list(self._running):
            eventually(partial(is_over, self._client, job), f"{job} is over", limit_s)
            self._over[job] = self._running.pop(job)

    def assert_all_same(self) -> int:
        """Fail unless each job that is over gave what an undisturbed one gives.

        Returns:
            How many results were compared.
        """
        compared = 0
        for job, source in self._over.items():
            left = read_job(self._client, job)
            assert_same(left, self._undisturbed[source])
            compared += len(left.results)
        return compared

    def __len__(self) -> int:
        return len(self._over)
