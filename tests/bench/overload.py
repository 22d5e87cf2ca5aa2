"""A device far slower than its cameras, for minutes. Its outcome is in ``RESULTS.md``.

Six drawn cameras offer ten samples a second each to Xception in float32. Nothing is decoded, so that all the processor
is the network's: what the device can do is measured without cameras before and after, in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from streamtag import logs
from streamtag.client import Client
from streamtag.core.records import JobStatus, JobView
from streamtag.networks.loading import LoadedNetwork, load
from streamtag.pipeline.service import Service
from streamtag.settings import LogSettings, Settings

from tests.support import RedisServer, drawn_camera, eventually, redis_binaries, settings_for

STREAMS, FPS = 6, 10
BUCKETS = [1, 2, 4, 8]
PROBES = 4  # batches of the device alone, before and after


def capacity(network: LoadedNetwork) -> list[float]:
    """Samples a second of the device alone, in full batches, each batch for itself."""
    size = network.bundle.preprocessing.size
    pictures = np.random.default_rng(0).integers(0, 256, (BUCKETS[-1], size, size, 3), np.uint8)
    rates = []
    for _ in range(PROBES):
        began_s = time.monotonic()
        network.engine.dispatch(pictures).result()
        rates.append(BUCKETS[-1] / (time.monotonic() - began_s))
    return rates


@contextmanager
def overloaded(settings: Settings) -> Iterator[Service]:
    """A worker in this process, with cameras that no codec slows down."""
    service = Service(settings, decode=drawn_camera.main)
    service.start()
    yield service
    if not service.health.draining:
        service.drain()


def rows(settings: Settings, seconds: float) -> Iterator[tuple[str, str]]:
    """What is measured, and what came out."""
    network = load(settings)
    alone = capacity(network)
    own = psutil.Process()
    with overloaded(settings) as service, Client(settings=settings) as client:
        jobs = [client.submit(f"/camera-{number}/{FPS}", live=True).job_id for number in range(STREAMS)]

        def views() -> list[JobView]:
            return [client.status(job) for job in jobs]

        eventually(lambda: all(view.counters.published > 3 for view in views()), "results of all", 120)
        before, began_s, began_mb = views(), time.monotonic(), own.memory_info().rss / 1e6
        ages: list[float] = []
        while time.monotonic() - began_s < seconds:
            time.sleep(min(1.0, seconds))
            ages += [time.time() - view.last_sample_unix_s for view in views()]
        after, wall_s, ended_mb = views(), time.monotonic() - began_s, own.memory_info().rss / 1e6
        drain_began_s = time.monotonic()
        service.drain()
        drained_s = time.monotonic() - drain_began_s
        left = views()
    alone += capacity(network)
    published = [b.counters.published - a.counters.published for a, b in zip(before, after, strict=True)]
    rate, possible = sum(published) / wall_s, statistics.median(alone)
    dropped: Counter[str] = Counter()
    for view in left:
        dropped.update(view.counters.dropped)
    closed = sum(view.counters.handled == view.counters.sampled for view in left)
    yield "offered", f"{STREAMS * FPS} samples/s for {wall_s:.0f} s"
    yield "the device alone, before and after", f"{possible:.1f} samples/s (from {min(alone):.1f} to {max(alone):.1f})"
    yield "published", f"{rate:.1f} samples/s, {rate / possible:.0%} of that"
    yield "of one stream", f"from {min(published) / wall_s:.2f} to {max(published) / wall_s:.2f} samples/s"
    yield (
        "age of the last published sample, looked at each second",
        (f"p50 {statistics.median(ages):.2f} s, most {max(ages):.2f} s"),
    )
    yield "dropped", ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "none"
    yield "accounts that close", f"{closed} of {STREAMS}"
    yield "memory of the worker", f"{began_mb:.0f} MB at first, {ended_mb:.0f} MB at the end"
    queued = sum(view.status is JobStatus.QUEUED for view in left)
    yield "drained", f"in {drained_s:.1f} s, {queued} of {STREAMS} streams handed over"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    seconds = parser.parse_args().seconds
    logs.configure(LogSettings(level="error"))
    load_now = f"{psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores"
    sys.stdout.write(f"Load of this machine at the start: {load_now}.\n\n| overload | measured |\n|---|---|\n")
    with tempfile.TemporaryDirectory() as folder, RedisServer(redis_binaries()[0], Path(folder)) as server:
        settings = settings_for(
            server,
            model__name="xception",
            model__weights="random",
            engine__precision="float32",
            engine__buckets=BUCKETS,
            worker__slots=STREAMS,  # by itself it would take no more of them than its device can serve
        )
        for what, measured in rows(settings, seconds):
            sys.stdout.write(f"| {what} | {measured} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
