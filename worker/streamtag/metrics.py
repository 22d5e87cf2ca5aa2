"""Every metric, declared once. No camera, URL or job id is a label: those belong in events and status."""

from __future__ import annotations

import platform
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Literal, get_args

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from streamtag import __version__
from streamtag.core.records import DropReason, FailReason, JobEnd, StreamState, WorkerView
from streamtag.core.stream_state import GapReason

FEW = 8  # values, up to which plain Python is faster than numpy
_FAST_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)
_SLOW_S = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60)

SourceLabel = Literal["live", "finite"]
SOURCES: tuple[SourceLabel, ...] = get_args(SourceLabel)


class Metrics:
    """The worker's registry. One process owns it; decoders report to that process.

    Every value that a label can take is there from the start, at 0: of a counter that is born at 1, Prometheus's
    ``increase`` does not see the first.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)

        def counter(name: str, text: str, **labels: Iterable[str]) -> Counter:
            made = Counter(f"streamtag_{name}", text, tuple(labels), registry=registry)
            for values in product(*labels.values()) if labels else ():
                made.labels(*values)
            return made

        def histogram(name: str, text: str, buckets: Iterable[float]) -> Histogram:
            return Histogram(f"streamtag_{name}", text, buckets=tuple(buckets), registry=registry)

        def batch_histogram(
            name: str, text: str, bounds: Iterable[float], sources: tuple[SourceLabel, ...] = ()
        ) -> BatchHistogram:
            made = BatchHistogram(f"streamtag_{name}", text, tuple(bounds), sources)
            registry.register(made)
            return made

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"streamtag_{name}", text, registry=registry)

        self.frames_decoded = counter("frames_decoded_total", "Frames that decoders have read, sampled or not.")
        self.samples = counter("samples_total", "Frames that the sampler kept.", source=SOURCES)
        self.published = counter(
            "samples_published_total", "Samples whose result is committed in Redis.", source=SOURCES
        )
        self.reused = counter(
            "samples_reused_total",
            "Samples not sent to the device: the motion gate found their pictures unchanged.",
            source=SOURCES,
        )
        self.dropped = counter(
            "samples_dropped_total", "Samples dropped unclassified.", reason=get_args(DropReason), source=SOURCES
        )
        self.failed = counter(
            "samples_failed_total",
            "Samples that could not be classified.",
            reason=get_args(FailReason),
            source=SOURCES,
        )
        self.gaps = counter("stream_gaps_total", "Holes in live streams, each declared by an event.", reason=GapReason)
        self.decode_s = batch_histogram(
            "decode_seconds", "CPU of a decoder for one sample and the frames before it.", _FAST_S
        )
        self.queue_s = histogram(
            "queue_seconds", "From capture to the start of inference, per batch: the oldest sample.", _SLOW_S
        )
        self.lag_s = batch_histogram(
            "lag_seconds",
            "How far a live stream is behind its camera: the age of a sample, since its capture, when its decoder has "
            "done with it. See capture_to_commit_seconds for what capture is.",
            _SLOW_S,
        )
        self.batch_size = histogram(
            "batch_size", "Samples in a batch, padding not counted.", (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
        )
        self.padding = counter("batch_padding_total", "Rows of batches that held no sample.")
        self.inference_s = histogram("inference_seconds", "From dispatch of a batch to its scores.", _FAST_S)
        self.busy_s = counter(
            "device_busy_seconds_total",
            "Time that the device spent on batches; of a mixed one, each kind of source has its share of the samples.",
            source=SOURCES,
        )
        self.commit_s = histogram(
            "commit_seconds", "One round trip with the commits of all streams that are due.", _FAST_S
        )
        self.latency_s = batch_histogram(
            "capture_to_commit_seconds",
            "From a sample's capture to its result in Redis. Of an RTSP stream that is the arrival of its packet, of "
            "other sources the moment before it was decoded.",
            _SLOW_S,
            SOURCES,
        )
        self.commits = counter(
            "commits_total", "Commits of a stream by outcome.", outcome=("ok", "lease_lost", "cancelled")
        )
        self.events = counter("events_total", "Events committed.")
        self.jobs = counter(
            "jobs_total",
            "Jobs that left this worker, by how. Those that failed, crashed or were rejected are dead letters.",
            outcome=JobEnd,
        )
        self.slots = gauge("slots", "Jobs this worker may run at once, at most.")
        self.asked = gauge("asked_samples_per_second", "Samples a second that its live streams ask for.")
        self.supply = gauge(
            "supply_samples_per_second", "Samples a second that this worker can give, by what its device costs."
        )
        self.moves = counter(
            "stream_moves_total",
            "Live streams offered to this worker or by it: taken, not opened here, or not taken by the other. One "
            "that another has taken is a job that left (moved).",
            outcome=("taken", "not_opened", "not_taken"),
        )
        self.leases = gauge("leases", "Jobs this worker holds.")
        self.renewals = counter("lease_renewals_total", "Lease renewals by answer.", answer=("ok", "lost", "cancelled"))
        self.redis_used = gauge("redis_memory_used_bytes", "Memory that Redis uses of its limit.")
        self.redis_limit = gauge("redis_memory_limit_bytes", "Memory that Redis may use (maxmemory); 0 without limit.")
        self.redis_short = gauge("redis_memory_short", "1 while no new job is taken for it (redis.memory_share).")
        self.redis_errors = counter(
            "redis_errors_total", "Calls to Redis that failed.", thread=("claims", "commits", "leases", "sharing")
        )
        self.reconnects = counter(
            "stream_reconnects_total",
            "Connections to sources that failed and are tried again.",
            state=(StreamState.RECONNECTING, StreamState.AUTH_FAILED),
        )
        self.compiles = counter("engine_compiles_total", "Batch sizes compiled at start-up.")
        self.compile_s = gauge("engine_compile_seconds", "All compilation at start-up.")
        self.draining = gauge("draining", "1 while the worker hands its jobs back.")
        self.build = Info("streamtag_build", "What is running.", registry=registry)

    def describe(self, model: str, engine: str, device: str) -> None:
        self.build.info(
            {
                "version": __version__,
                "python": platform.python_version(),
                "model": model,
                "engine": engine,
                "device": device,
            }
        )

    def tell_load(self, view: WorkerView) -> None:
        """What a worker says of its load, also here."""
        self.asked.set(view.asked)
        self.supply.set(view.supply)

    def watch_compiles(self, count: Callable[[], int]) -> None:
        """Report compilations after now, asked for when Prometheus asks."""
        self.registry.register(_Recompiles(count, count()))

    def watch_states(self, count: Callable[[], dict[tuple[str, str], int]]) -> None:
        """Report the streams by state and source, counted when Prometheus asks."""
        self.registry.register(_States(count))


def total(counter: Counter, **labels: str) -> float:
    """A counter's sum over all of its labels but those given."""
    samples = (sample for family in counter.collect() for sample in family.samples if sample.name.endswith("_total"))
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


class BatchHistogram(Collector):
    """A histogram that takes many values at once: observing each sample alone cost more than encoding its result.

    Args:
        sources: values of its label ``source``; none for a histogram without labels.
    """

    def __init__(self, name: str, text: str, bounds: tuple[float, ...], sources: tuple[SourceLabel, ...] = ()) -> None:
        self._name, self._text = name, text
        self._bounds, self._bound_list = np.array(bounds), list(bounds)
        self._labels = ("source",) if sources else ()
        self._counts: dict[str, np.ndarray] = {
            source: np.zeros(len(bounds) + 1, np.int64) for source in sources or ("",)
        }
        self._sums = dict.fromkeys(self._counts, 0.0)
        self._lock = threading.Lock()

    def observe(self, values: Sequence[float] | np.ndarray, source: str = "") -> None:
        if len(values) <= FEW:
            with self._lock:
                for value in values:
                    self._counts[source][bisect_left(self._bound_list, value)] += 1
                    self._sums[source] += float(value)
            return
        array = np.asarray(values, np.float64)
        counts = np.bincount(np.searchsorted(self._bounds, array), minlength=len(self._bounds) + 1)
        with self._lock:
            self._counts[source] += counts
            self._sums[source] += float(array.sum())

    @property
    def count(self) -> int:
        """Values so far."""
        with self._lock:
            return sum(int(counts.sum()) for counts in self._counts.values())

    def collect(self) -> Iterable[HistogramMetricFamily]:
        with self._lock:
            series = [(source, counts.cumsum().tolist(), self._sums[source]) for source, counts in self._counts.items()]
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for source, counts, total in series:
            family.add_metric([source] if self._labels else [], list(zip(names, counts, strict=True)), total)
        yield family

    def describe(self) -> Iterable[HistogramMetricFamily]:
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)


class _Recompiles(Collector):
    def __init__(self, count: Callable[[], int], expected: int) -> None:
        self._count, self._expected = count, expected

    def collect(self) -> Iterable[CounterMetricFamily]:
        text = "Compilations after start-up; should stay 0."
        yield CounterMetricFamily("streamtag_engine_recompiles", text, self._count() - self._expected)

    def describe(self) -> Iterable[CounterMetricFamily]:
        return ()


class _States(Collector):
    def __init__(self, count: Callable[[], dict[tuple[str, str], int]]) -> None:
        self._count = count

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily("streamtag_streams", "Streams of this worker by state.", labels=("state", "source"))
        for labels, number in self._count().items():
            family.add_metric(labels, number)
        yield family

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()
