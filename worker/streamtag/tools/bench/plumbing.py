"""What a sample costs the parent process apart from decoding and inference.

Everything is the real thing, a Redis server included, but the decoders, which decode nothing, and the engine, which
answers at once. The figure is CPU of the parent: its user and system time, over all threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prometheus_client.registry import Collector

from streamtag.client import Client
from streamtag.errors import StreamtagError
from streamtag.networks.registry import resolve
from streamtag.pipeline.service import Service
from streamtag.settings import Settings
from streamtag.tools.bench import synthetic
from streamtag.tools.embedded import EmbeddedRedis


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
    with EmbeddedRedis() as server:
        values = settings.model_dump()
        values["redis"]["url"] = server.url
        values["engine"] |= {"name": "null"}
        values["http"]["port"] = 0
        values["worker"]["slots"] = streams
        settings = Settings(**values)
        service = Service(settings, decode=synthetic.main)
        with Client(settings=settings) as client:
            service.start()
            for number in range(streams):
                client.submit(
                    f"/synthetic-{number}/{samples}", job_id=f"bench-{number}", live=rate is not None, fps=rate
                )
            total = streams * samples
            if rate is None:
                figures = _watch(service, total, total * 0.1, 0.05, progress)
            else:
                figures = _watch(service, total, max(total * 0.1, min(total * 0.5, streams * 3)), 0.5, progress)
            service.drain()
    return figures | {"streams": streams, "classes": _classes(service)}


def _watch(
    service: Service, total: int, warm_up: float, period_s: float, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Measure from so many samples on to the end of the work: start-up is not the steady state."""
    metrics = service.metrics
    started = (time.process_time(), time.monotonic(), 0.0, 0.0)
    warm = False
    while True:
        done = _value(metrics.published, "_total")
        progress(int(done))
        if done >= total:
            break
        if not warm and done >= warm_up:
            warm = True
            started = (time.process_time(), time.monotonic(), done, _value(metrics.latency_s, "_sum"))
        if service.failure is not None:
            raise StreamtagError(f"a thread of the worker died: {service.failure!r}")
        time.sleep(period_s)
    cpu_s, wall_s, count = time.process_time() - started[0], time.monotonic() - started[1], done - started[2]
    latency_s = (_value(metrics.latency_s, "_sum") - started[3]) / count
    samples, batches = (_value(metrics.batch_size, end) for end in ("_sum", "_count"))
    return {
        "cpu_us_per_sample": round(cpu_s / count * 1e6, 1),
        "samples_per_s": round(count / wall_s),
        "samples": int(count),
        "mean_batch_size": round(samples / max(1.0, batches), 2),
        "commits": round(_value(metrics.commit_s, "_count")),
        "latency_ms": round(latency_s * 1000, 1),
    }


def _value(metric: Collector, end: str) -> float:
    """Samples of a metric, over its labels. The registry's own look-up would collect all the others too."""
    return sum(sample.value for family in metric.collect() for sample in family.samples if sample.name.endswith(end))


def _classes(service: Service) -> int:
    return resolve(service.settings.model).classes
