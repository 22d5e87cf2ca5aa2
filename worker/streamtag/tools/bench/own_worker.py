"""A worker of a bench's own in this process, with a Redis of its own: jobs go the whole way that users' jobs go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from prometheus_client.registry import Collector

from streamtag.client import Client
from streamtag.core.records import JobStatus, JobView
from streamtag.errors import StreamtagError
from streamtag.ingest import decoder
from streamtag.ingest.session import Decode, forkserver
from streamtag.networks.loading import LoadedNetwork
from streamtag.pipeline.service import Service
from streamtag.settings import Settings
from streamtag.tools.embedded import EmbeddedRedis

LOOK_S = 0.05
DRAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class OwnWorker:
    """The worker, and a client of its queue."""

    service: Service
    client: Client
    redis: redis.Redis

    def check(self) -> None:
        """See that it is alive.

        Raises:
            StreamtagError: it is not.
        """
        if self.service.failure is not None:
            raise StreamtagError(f"a thread of the worker died: {self.service.failure!r}")

    def cpu_s(self) -> float:
        """Processor time of the worker, its Redis and, for their samples, its decoders so far.

        Not of the thread that asks: to look at jobs until they end took 0.13 ms a sample.
        """
        own_s = time.process_time() - time.thread_time()
        return own_s + redis_cpu_s(self.redis) + value(self.service.metrics.decode_s, "_sum")

    def publish(self, films: Sequence[Path], every: int) -> tuple[int, float]:
        """Run films as jobs, all at once.

        Returns:
            Samples published, and the seconds from the first submission to the end of the last job.

        Raises:
            StreamtagError: one of them failed.
        """
        began_unix_s = time.time()
        jobs = [self.client.submit(str(film), every=every).job_id for film in films]
        done = [self._at_end(job) for job in jobs]
        ended_unix_s = max(view.finished_unix_s for view in done)
        return sum(view.counters.published for view in done), ended_unix_s - began_unix_s

    def _at_end(self, job: str) -> JobView:
        """One job at a time is looked at: looks at all of them were 0.3 ms of what a sample seemed to cost."""
        while not (view := self.client.status(job)).status.is_terminal:
            self.check()
            time.sleep(LOOK_S)
        if view.status is not JobStatus.DONE:
            raise StreamtagError(f"{view.source}: {view.reason or view.status}")
        return view


@contextmanager
def own_worker(
    settings: Settings,
    network: LoadedNetwork | None = None,
    decode: Decode = decoder.main,
    slots: int | None = None,
) -> Iterator[OwnWorker]:
    """Start it, and drain it at the end.

    Args:
        settings: the worker's; its Redis and its ports are replaced.
        network: loaded already; by default the worker loads what the settings name.
        decode: what a decoder process runs.
        slots: jobs at once, in place of what the settings say.
    """
    forkserver()  # before TensorFlow and its threads, as a worker does
    with EmbeddedRedis() as server:
        values: dict[str, Any] = server.in_place_of_theirs(settings).model_dump()
        values["http"]["port"] = 0
        values["worker"] |= {"drain_s": DRAIN_S} | ({"slots": slots} if slots else {})
        settings = Settings(**values)
        service = Service(settings, decode, network)
        with Client(settings=settings) as client, redis.Redis.from_url(server.url) as asking:
            service.start()
            try:
                yield OwnWorker(service, client, asking)
            finally:
                service.drain()


def value(metric: Collector, end: str) -> float:
    """Samples of a metric, over its labels. The registry's own look-up would collect all the others too."""
    return sum(sample.value for family in metric.collect() for sample in family.samples if sample.name.endswith(end))


def redis_cpu_s(server: redis.Redis) -> float:
    """Processor time of a Redis so far."""
    told: Any = server.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])
