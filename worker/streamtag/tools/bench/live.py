"""Live streams through a worker: how old a result is when somebody can read it, and how many streams that holds for.

An age is from a sample's capture to the moment when a reader of Redis has its result: a little more than to its commit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from streamtag.errors import StreamtagError
from streamtag.ingest import decoder
from streamtag.networks.loading import LoadedNetwork, load
from streamtag.pipeline.service import keys_for
from streamtag.settings import Settings
from streamtag.tools.bench import synthetic
from streamtag.tools.bench.cameras import cameras
from streamtag.tools.bench.own_worker import LOOK_S, OwnWorker, own_worker
from streamtag.tools.bench.turns import Spread, percentile

START_S = 10.0  # at most, for each stream
WARM_UP = 3  # results of each
DELIVERED = 0.95  # of the samples asked for, below which a worker does not hold its streams
LEAST_SAMPLES = 10  # of each stream in a try
GOAL_BATCHES, GOAL_MS = 2, 60.0
CAMERA_SIZE, CAMERA_FPS = (1280, 720), 25


@dataclass(frozen=True, slots=True)
class Ages:
    """What readers saw for a while."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    results: int
    delivered: float  # results by the samples that were asked for, 1 at most


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """Ages of results at a given load of the device."""

    engine: str
    streams: int
    rate: float  # samples a second of each
    load: float  # of what the device alone can do
    results: int
    delivered: float
    p50_ms: Spread
    p95_ms: Spread
    p99_ms: Spread
    batch_ms: float  # of a full batch
    goal_ms: float  # of p99


@dataclass(frozen=True, slots=True)
class Step:
    """One number of streams that was tried."""

    streams: int
    holds: bool
    ages: Ages | None  # None where not all of them have even started in time


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many streams one worker holds here, and what follows for many cameras."""

    engine: str
    rate: float
    limit_ms: float  # of p95
    slots: int  # streams that are held
    ended: str  # why no more were tried
    cameras: int
    replicas: int  # workers for so many cameras; 0 where not one stream is held
    steps: list[Step]


def latency(
    settings: Settings,
    sources: Sequence[str],
    streams: int,
    share: float,
    rounds: int,
    seconds: float,
    on_start: Callable[[str], None],
) -> LatencyRow:
    """Load the device to a share of what it can do alone, and look at the ages of results.

    Args:
        sources: of live jobs; none for cameras that are drawn, whose decoders decode nothing.
        seconds: of a round.

    Raises:
        StreamtagError: not all streams start.
    """
    on_start("loading the network")
    network = load(settings, lambda step: on_start(str(step)), measure=True)
    bucket = network.engine.buckets[-1]
    batch_s = network.warm_up.batch_s[bucket]
    rate = share * _supply(network) / streams
    decode = decoder.main if sources else synthetic.main
    with own_worker(settings, network, decode, slots=streams) as worker:
        crowd = _Crowd(worker, sources or [f"/synthetic-{number}/1" for number in range(streams)], rate)
        on_start(f"starting {streams} streams")
        crowd.grow(streams)
        told = []
        for number in range(1, rounds + 1):
            on_start(f"round {number} of {rounds}: {streams} streams at {rate:.2f} samples/s")
            told.append(crowd.watch(seconds))
    return LatencyRow(
        engine=f"{network.choice.engine} {network.choice.precision}",
        streams=streams,
        rate=round(rate, 3),
        load=share,
        results=sum(ages.results for ages in told),
        delivered=round(sum(ages.delivered for ages in told) / rounds, 3),
        p50_ms=Spread.of([ages.p50_ms for ages in told], 1),
        p95_ms=Spread.of([ages.p95_ms for ages in told], 1),
        p99_ms=Spread.of([ages.p99_ms for ages in told], 1),
        batch_ms=round(1000 * batch_s, 1),
        goal_ms=round(GOAL_BATCHES * 1000 * batch_s + GOAL_MS, 1),
    )


def capacity(
    settings: Settings,
    sources: Sequence[str],
    rate: float,
    limit_s: float,
    wanted: int,
    most: int,
    seconds: float,
    on_start: Callable[[str], None],
) -> Capacity:
    """Find how many streams hold a 95th percentile of ages: twice as many each time, then between the last two.

    Args:
        sources: of live jobs, taken in turns; none for cameras that are drawn, 720p at 25 frames a second.
        limit_s: what the percentile may be.
        wanted: cameras that are to be served by such workers.
        most: streams that are tried.
        seconds: of each try; it is made longer where it has too few samples.

    Raises:
        StreamtagError: a stream does not start at all.
    """
    seconds = max(seconds, LEAST_SAMPLES / rate)
    with _sources(sources, on_start) as found:
        on_start("loading the network")
        network = load(settings, lambda step: on_start(str(step)), measure=True)
        with own_worker(settings, network, slots=most) as worker:
            crowd = _Crowd(worker, found, rate)
            steps: list[Step] = []

            def holds(streams: int) -> bool:
                on_start(f"{streams} streams at {rate:g} samples/s")
                try:
                    crowd.grow(streams)
                except _NotStarted:
                    if streams == 1:
                        raise
                    steps.append(Step(streams, False, None))
                    return False
                ages = crowd.watch(seconds)
                # One sample of each may lie just outside the time that was looked at.
                came = ages.results + streams >= DELIVERED * streams * rate * seconds
                held = came and ages.p95_ms <= 1000 * limit_s
                steps.append(Step(streams, held, ages))
                return held

            slots = search(holds, most)
    return Capacity(
        engine=f"{network.choice.engine} {network.choice.precision}",
        rate=rate,
        limit_ms=1000 * limit_s,
        slots=slots,
        ended="as many as were to be tried" if slots == most else "more are too late, or lose samples",
        cameras=wanted,
        replicas=math.ceil(wanted / slots) if slots else 0,
        steps=steps,
    )


def search(holds: Callable[[int], bool], most: int) -> int:
    """The greatest number up to ``most`` that holds, if those below one that holds do, too; 0 where none does."""
    good, bad = 0, most + 1
    while bad - good > 1:
        tried = min(max(1, 2 * good), most) if bad > most else (good + bad) // 2
        good, bad = (tried, bad) if holds(tried) else (good, tried)
    return good


@contextmanager
def _sources(sources: Sequence[str], on_start: Callable[[str], None]) -> Iterator[Sequence[str]]:
    if sources:
        yield sources
        return
    on_start("drawing what the cameras see")
    with cameras(CAMERA_SIZE, CAMERA_FPS) as url:
        yield [url]


def _supply(network: LoadedNetwork) -> float:
    return max(bucket / seconds for bucket, seconds in network.warm_up.batch_s.items())


class _NotStarted(StreamtagError):
    """Not all streams of a crowd have given results in time."""


class _Crowd:
    """Live jobs of one worker, as many as are wanted just now."""

    def __init__(self, worker: OwnWorker, sources: Sequence[str], rate: float) -> None:
        self._worker = worker
        self._sources = sources
        self._rate = rate
        self._jobs: list[str] = []
        self._keys = keys_for(worker.service.settings)

    def grow(self, streams: int) -> None:
        """Have so many, each with its first results.

        Raises:
            _NotStarted: not all of them get so far.
        """
        client = self._worker.client
        for job in self._jobs[streams:]:
            client.cancel(job)
        self._wait(self._jobs[streams:], lambda job: client.status(job).status.is_terminal, "ended")
        del self._jobs[streams:]
        for number in range(len(self._jobs), streams):
            source = self._sources[number % len(self._sources)]
            self._jobs.append(client.submit(source, fps=self._rate, live=True).job_id)
        self._wait(self._jobs, lambda job: client.status(job).counters.published >= WARM_UP, "given results")

    def watch(self, seconds: float) -> Ages:
        """Read all results for a while.

        Raises:
            StreamtagError: there are none.
        """
        # From what is there now on: "$" would lose what comes between two reads.
        redis = self._worker.redis
        ages: list[float] = []
        after: dict[Any, Any] = {self._keys.results(job): self._newest(job) for job in self._jobs}
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self._worker.check()
            answer: Any = redis.xread(after, block=max(1, int(1000 * min(left_s, 1.0)))) or []
            now_s = time.time()
            for name, entries in answer:
                ages += [now_s - int(entry_id.partition(b"-")[0]) / 1000 for entry_id, _ in entries]
                after[name.decode()] = entries[-1][0]
        if not ages:
            raise StreamtagError(f"none of {len(self._jobs)} streams gave a result for {seconds:g} s")
        p50, p95, p99 = (round(1000 * percentile(ages, share), 1) for share in (0.5, 0.95, 0.99))
        asked = len(self._jobs) * self._rate * seconds
        return Ages(p50, p95, p99, len(ages), round(min(1.0, len(ages) / asked), 3))

    def _newest(self, job: str) -> Any:
        newest: Any = self._worker.redis.xrevrange(self._keys.results(job), count=1)
        return newest[0][0] if newest else "0-0"

    def _wait(self, jobs: Sequence[str], done: Callable[[str], bool], what: str) -> None:
        until_s = time.monotonic() + START_S * (1 + len(jobs))
        left = list(jobs)
        while left := [job for job in left if not done(job)]:
            self._worker.check()
            if time.monotonic() > until_s:
                reason = self._worker.client.status(left[0]).reason
                raise _NotStarted(
                    f"{len(left)} of {len(jobs)} streams have not {what}; {left[0]}: {reason or 'no word'}"
                )
            time.sleep(LOOK_S)
