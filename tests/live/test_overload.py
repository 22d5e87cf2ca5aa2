"""A device that is slower than its cameras: what is published, what is dropped, and how the worker lets go of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.registry import Collector
from streamtag.client import Client
from streamtag.core.records import JobStatus, JobView
from streamtag.networks.engines.base import Done
from streamtag.networks.engines.null import NullEngine
from streamtag.pipeline.service import Service
from streamtag.settings import Settings

from tests.support import RedisServer, drawn_camera, eventually, settings_for

STREAMS, FPS = 6, 10
BATCH_S, BUCKET = 0.8, 8


@pytest.fixture
def settings(redis_server: RedisServer) -> Settings:
    # A number of slots: by itself it would not take more than its device can do.
    return settings_for(redis_server, engine__name="null", engine__buckets=[1, 2, 4, BUCKET], worker__slots=16)


@pytest.fixture
def overloaded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A worker whose device takes 0.8 s a batch of any size, and its cameras, which offer six times as much."""
    answer = NullEngine.dispatch

    def slowly(engine: NullEngine, pictures: np.ndarray) -> Done:
        time.sleep(BATCH_S)
        return answer(engine, pictures)

    service = Service(settings, decode=drawn_camera.main)
    service.start()
    monkeypatch.setattr(NullEngine, "dispatch", slowly)
    yield service
    if not service.health.draining:
        service.drain()


def by_reason(metric: PrometheusCounter) -> Counter[str]:
    """What a counter counts of live streams, by its label ``reason``."""
    counts: Counter[str] = Counter()
    for sample in (sample for family in metric.collect() for sample in family.samples):
        if sample.name.endswith("_total") and sample.labels["source"] == "live":
            counts[sample.labels["reason"]] += int(sample.value)
    return counts


def test_accounts_close_and_an_overloaded_worker_hands_its_streams_over_at_once(
    overloaded: Service, client: Client
) -> None:
    jobs = [client.submit(f"/camera-{number}/{FPS}", live=True).job_id for number in range(STREAMS)]

    def views() -> list[JobView]:
        return [client.status(job) for job in jobs]

    eventually(lambda: all(view.counters.published > 3 for view in views()), "results of all")
    began_s = time.monotonic()
    overloaded.drain()
    drained_s = time.monotonic() - began_s
    assert [view.status for view in views()] == [JobStatus.QUEUED] * STREAMS, "all are handed over"
    dropped: Counter[str] = Counter()
    for view in views():
        assert view.counters.handled == view.counters.sampled
        dropped.update(view.counters.dropped)
    assert dropped == by_reason(overloaded.metrics.dropped)
    assert sum(dropped.values()) > 0
    # What is on the device and what waits for it: some batches, not the 25 s that finite jobs are given.
    assert drained_s < 6 * BATCH_S


def test_an_overloaded_device_is_used_to_the_full(overloaded: Service, client: Client) -> None:
    """Before, decoders held their oldest samples until those were stale, and what was left did not fill a batch."""
    for number in range(2):
        client.submit(f"/camera-{number}/{3 * FPS}", live=True)
    eventually(lambda: batches(overloaded) >= 3, "the first batches, with which the overload begins")
    before = batches(overloaded), samples(overloaded)
    eventually(lambda: batches(overloaded) >= before[0] + 5, "five more")
    # Read in this order: a batch that leaves between them may only make it less.
    more_samples, more_batches = samples(overloaded) - before[1], batches(overloaded) - before[0]
    assert more_samples >= 0.95 * BUCKET * more_batches - BUCKET


def batches(service: Service) -> float:
    return value(service.metrics.batch_size, "_count")


def samples(service: Service) -> float:
    return value(service.metrics.batch_size, "_sum")


def value(metric: Collector, end: str) -> float:
    """One value of a metric without labels."""
    return next(sample.value for family in metric.collect() for sample in family.samples if sample.name.endswith(end))
