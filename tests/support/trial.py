"""One worker that lives through many faults, and what its jobs would have given without them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import redis
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings

from tests.support.configuration import keys_of
from tests.support.invariants import FenceWatch, LeftByJob, assert_queue_empty, assert_same, read_job
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tests.support.worker_process import SLOW, Worker

# Longer than what the short faults take, shorter than the long ones.
LEASE = ("lease.seconds=6", "lease.stop_after_s=4", "lease.renew_s=0.5", "lease.reclaim_s=0.2")
# TensorFlow is imported and compiles first, on a machine that is busy with other tests.
READY_S = 240.0


class Trial:
    """A worker, its server, and the jobs of one clip that it is given.

    Args:
        settings: of the client, whose way to Redis is not disturbed.
    """

    def __init__(self, server: RedisServer, settings: Settings, worker: Worker, clip: Path) -> None:
        self.server = server
        self.worker = worker
        self.client = Client(settings=settings)
        self.keys = keys_of(settings)
        self.jobs: list[str] = []  # of the fault that is tried now
        self.compared = 0  # results, in all
        self._clip = clip
        self._count = 0
        self._raw = server.client()
        self._fences = FenceWatch(self.client, self._raw)
        self._calm: LeftByJob

    def __enter__(self) -> Self:
        """Watch the fences, and run one job with nothing in its way, for comparison."""
        self._fences.__enter__()
        (job,) = self.submit(1)
        assert self.client.wait(job, READY_S).status is JobStatus.DONE
        self._calm = read_job(self.client, job)
        self.jobs.clear()
        return self

    def __exit__(self, *exception: object) -> None:
        self._fences.__exit__(*exception)
        self._raw.close()
        self.client.close()

    def submit(self, count: int) -> list[str]:
        """More jobs, every frame of the clip in each."""
        found = []
        for _ in range(count):
            self._count += 1
            found.append(self.client.submit(str(self._clip), job_id=f"job-{self._count}", every=1).job_id)
        self.jobs += found
        return found

    def submit_and_see_it_run(self, count: int) -> None:
        """More jobs, of which the first publishes already."""
        first = self.submit(count)[0]
        eventually(lambda: self.client.status(first).counters.published > 20, "it runs")

    def keep_busy(self) -> None:
        """Submit more when the queue is nearly empty."""
        with contextlib.suppress(redis.RedisError):
            if self._raw.xlen(self.keys.jobs) < 2:
                self.submit(2)

    def all_exact(self, limit_s: float = 120) -> None:
        """Every job is done and gave what the calm one gave, nobody is blamed, and nothing is left in the queue."""
        for job in self.jobs:
            self.client.wait(job, limit_s)
            left = read_job(self.client, job)
            assert_same(left, self._calm)
            assert (left.view.reason, left.view.crashes) == ("", 0)
            self.compared += len(left.results)
        assert_queue_empty(self.client, self._raw)
        assert list(self.client.dead_letters()) == []
        assert self.worker.process.poll() is None
        self._fences.assert_never_back()
        self.jobs.clear()


@contextmanager
def trial(server: RedisServer, settings: Settings, clip: Path, workers: Settings | None = None) -> Iterator[Trial]:
    """A trial whose calm run is over.

    Args:
        workers: settings of the worker, where its way to Redis is another one.
    """
    worker = Worker(workers or settings, *SLOW, *LEASE)
    try:
        with Trial(server, settings, worker.ready(READY_S), clip) as found:
            yield found
    finally:
        worker.kill()
