"""What a sample costs the parent process apart from decoding and inference.

Everything is the real thing, a Redis server included, but the decoders, which decode nothing, and the engine, which
answers at once. The figure is CPU of the parent: its user and system time, over all threads but the one that watches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from streamtag.errors import StreamtagError
from streamtag.networks.registry import resolve
from streamtag.pipeline.service import Service
from streamtag.settings import Settings
from streamtag.tools.bench import synthetic
from streamtag.tools.bench.own_worker import OwnWorker, own_worker, value

START_S = 5.0  # at most, for each stream
WARM_UP_SAMPLES = 2  # of each live stream


def measure(
    settings: Settings, streams: int, samples: int, rate: float | None, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Run ``streams`` jobs of ``samples`` samples each.

    Args:
        settings: the worker's; Redis, engine and addresses are replaced.
        rate: samples a second of each, which are then live; None as fast as it goes.

    Returns:
        Microseconds of CPU per sample, samples per second, the mean batch size, how long results took.
    """
    values = settings.model_dump()
    values["engine"] |= {"name": "null"}
    with own_worker(Settings(**values), decode=synthetic.main, slots=streams) as worker:
        service = worker.service
        for number in range(streams):
            worker.client.submit(
                f"/synthetic-{number}/{samples}", job_id=f"bench-{number}", live=rate is not None, fps=rate
            )
        if rate is None:
            figures = _watch(worker, 0.1 * streams * samples, streams * samples, 0.05, progress)
        else:
            warm_up = _wait_for_all(worker, streams) + WARM_UP_SAMPLES * streams
            figures = _watch(worker, warm_up, warm_up + streams * samples, 0.5, progress)
    return figures | {"streams": streams, "classes": _classes(service)}


def _wait_for_all(worker: OwnWorker, streams: int) -> float:
    """Wait until every live stream runs: to start a decoder costs as much as many samples.

    Returns:
        Samples published by then.
    """
    until_s = time.monotonic() + START_S * (1 + streams)
    metrics = worker.service.metrics
    while value(metrics.leases, "") < streams:
        worker.check()
        if time.monotonic() > until_s:
            raise StreamtagError(f"not all of the {streams} streams have started; try fewer with --streams")
        time.sleep(0.5)
    return value(metrics.published, "_total")


def _watch(
    worker: OwnWorker, warm_up: float, total: float, period_s: float, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Measure from the sample ``warm_up`` to ``total``: start-up is not the steady state."""
    metrics = worker.service.metrics
    started = (_worker_s(), time.monotonic(), 0.0, 0.0)
    warm = False
    while True:
        done = value(metrics.published, "_total")
        progress(int(done))
        if done >= total:
            break
        if not warm and done >= warm_up:
            warm = True
            started = (_worker_s(), time.monotonic(), done, value(metrics.latency_s, "_sum"))
        worker.check()
        time.sleep(period_s)
    cpu_s, wall_s, count = _worker_s() - started[0], time.monotonic() - started[1], done - started[2]
    latency_s = (value(metrics.latency_s, "_sum") - started[3]) / count
    samples, batches = (value(metrics.batch_size, end) for end in ("_sum", "_count"))
    return {
        "cpu_us_per_sample": round(cpu_s / count * 1e6, 1),
        "samples_per_s": round(count / wall_s),
        "samples": int(count),
        "mean_batch_size": round(samples / max(1.0, batches), 2),
        "commits": round(value(metrics.commit_s, "_count")),
        "latency_ms": round(latency_s * 1000, 1),
    }


def _worker_s() -> float:
    """Processor time of this process so far, but for this thread: to look at the counters is no part of the worker."""
    return time.process_time() - time.thread_time()


def _classes(service: Service) -> int:
    return resolve(service.settings.model).classes
