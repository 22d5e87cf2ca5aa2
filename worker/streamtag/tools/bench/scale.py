"""More and more workers on one Redis: whether twice as many give twice as much, and what a sample costs Redis.

Their devices are simulated, so that they do not compete for the processor: what is left is what they really share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import takewhile
from statistics import median

import redis

from streamtag.client import Client
from streamtag.core.records import JobView
from streamtag.errors import StreamtagError
from streamtag.networks.engines.machine import this_machine
from streamtag.settings import Settings
from streamtag.tools.bench.own_worker import redis_cpu_s
from streamtag.tools.bench.simulated import BATCH
from streamtag.tools.bench.turns import Spread
from streamtag.tools.bench.worker_process import WorkerProcess, cpu_s, worker_process
from streamtag.tools.embedded import EmbeddedRedis

GOAL = 0.95  # of linear, for as many workers as there are cores
MODULE = ("streamtag.tools.bench.simulated",)
FOREVER = 10_000_000  # samples of a job, which is cancelled in the end
WARM_UP = 20  # results of each job
LIMIT_S = 60.0
LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class ScaleRow:
    """So many workers at once. Times are of processor, for one sample, medians of the rounds."""

    workers: int
    streams: int
    samples_per_s: Spread
    possible_per_s: float  # by their devices
    linear: float  # of so many times what one gave; medians
    worker_us: float  # the workers' own processes
    redis_us: float
    goal: float  # of linear; 0 beyond the cores


@dataclass(frozen=True, slots=True)
class _Round:
    rate: float
    worker_s: float
    redis_s: float


def counts(most: int) -> list[int]:
    """One, and twice as many each time, up to the most."""
    return [*takewhile(lambda count: count < most, (2**power for power in range(most))), most]


def measure(
    settings: Settings,
    arguments: Sequence[str],
    most: int,
    streams: int,
    batch_ms: float,
    rounds: int,
    seconds: float,
    on_start: Callable[[str], None],
) -> list[ScaleRow]:
    """Start workers one after the other, and run jobs for all of them at one, two, four and so on.

    Args:
        settings: those that ``arguments`` of ``streamtag run`` make.
        most: workers in the end.
        streams: jobs of each.
        batch_ms: that a device takes over eight samples.
        seconds: of a round.

    Raises:
        StreamtagError: a worker or a job does not start.
    """
    with EmbeddedRedis() as server, ExitStack() as stack:
        client = stack.enter_context(Client(settings=server.in_place_of_theirs(settings)))
        asking = stack.enter_context(redis.Redis.from_url(server.url))
        workers: list[WorkerProcess] = []
        told: dict[int, list[_Round]] = {}
        for count in counts(most):
            while len(workers) < count:
                on_start(f"starting worker {len(workers) + 1}")
                own = (*arguments, "--batch-ms", f"{batch_ms}", "--set", f"worker.slots={streams}")
                workers.append(stack.enter_context(worker_process(own, server, MODULE)))
            fleet = _Fleet(client, asking, workers)
            told[count] = fleet.run(streams, rounds, seconds, lambda text, n=count: on_start(f"{n} workers: {text}"))  # type: ignore[misc]
    one = median(each.rate for each in told[1])
    return [_row(count, rounds_told, streams, batch_ms, one) for count, rounds_told in told.items()]


def _row(count: int, told: list[_Round], streams: int, batch_ms: float, one: float) -> ScaleRow:
    rates = [each.rate for each in told]
    return ScaleRow(
        workers=count,
        streams=count * streams,
        samples_per_s=Spread.of(rates, 1),
        possible_per_s=round(count * BATCH * 1000 / batch_ms, 1),
        linear=round(median(rates) / (count * one), 3),
        worker_us=round(1e6 * median(each.worker_s for each in told), 1),
        redis_us=round(1e6 * median(each.redis_s for each in told), 1),
        goal=GOAL if count <= this_machine().cores else 0.0,
    )


class _Fleet:
    """The workers that run now, and their jobs."""

    def __init__(self, client: Client, asking: redis.Redis, workers: list[WorkerProcess]) -> None:
        self._client = client
        self._redis = asking
        self._workers = workers

    def run(self, streams: int, rounds: int, seconds: float, on_start: Callable[[str], None]) -> list[_Round]:
        """Rounds with all slots taken; the jobs are gone afterwards."""
        on_start("jobs start")
        jobs = [
            self._client.submit(f"/synthetic-{number}/{FOREVER}").job_id
            for number in range(streams * len(self._workers))
        ]
        self._until(jobs, lambda view: view.counters.published >= WARM_UP, "started")
        told = []
        for number in range(1, rounds + 1):
            on_start(f"round {number} of {rounds}")
            told.append(self._round(jobs, seconds))
        for job in jobs:
            self._client.cancel(job)
        self._until(jobs, lambda view: view.status.is_terminal, "ended")
        return told

    def _round(self, jobs: list[str], seconds: float) -> _Round:
        began_s, before = time.monotonic(), self._spent(jobs)
        time.sleep(seconds)
        wall_s, after = time.monotonic() - began_s, self._spent(jobs)
        samples, worker_s, redis_s = (one - other for one, other in zip(after, before, strict=True))
        if not samples:
            raise StreamtagError(f"no results for {seconds:g} s")
        return _Round(samples / wall_s, worker_s / samples, redis_s / samples)

    def _spent(self, jobs: list[str]) -> tuple[float, float, float]:
        """Samples published so far, and processor time of the workers and of Redis."""
        published = sum(self._client.status(job).counters.published for job in jobs)
        return published, sum(cpu_s(worker.pid) for worker in self._workers), redis_cpu_s(self._redis)

    def _until(self, jobs: list[str], done: Callable[[JobView], bool], what: str) -> None:
        until_s, left = time.monotonic() + LIMIT_S + len(jobs), list(jobs)
        while left := [job for job in left if not done(self._client.status(job))]:
            if time.monotonic() > until_s:
                raise StreamtagError(f"{len(left)} of {len(jobs)} jobs have not {what} in time")
            time.sleep(LOOK_S)
