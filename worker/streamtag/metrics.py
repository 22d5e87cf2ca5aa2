"""Every metric, declared once. No camera, URL or job id is a label: those belong in events and status."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import TypeVar, get_args

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from streamtag import __version__
from streamtag.collectors import SOURCES, BatchHistogram, ReadableCounter, Recompiles, SourceLabel, StreamLook, Streams
from streamtag.core.engine_choice import EngineChoice
from streamtag.core.failure import Failure, FailureCause
from streamtag.core.gaps import GapReason
from streamtag.core.records import DropReason, FailReason, JobEnd, StreamState, WorkerView

_FAST_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3)
_SLOW_S = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60)
Labelled = TypeVar("Labelled", ReadableCounter, Gauge, Histogram)
REDIS_THREADS = (
    "claims",
    "commits",
    "leases",
    "sharing",
    "pictures",
)  # that speak to Redis, each over a connection of its own


class Declare:
    """Makes metrics in a registry, each with all of its labels; beside them those of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # When each series was created is of no use to Prometheus, and would double their number.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)

    def counter(self, name: str, text: str, **labels: Iterable[str]) -> ReadableCounter:
        return _begun(ReadableCounter(f"streamtag_{name}", text, tuple(labels), registry=self._registry), labels)

    def histogram(self, name: str, text: str, buckets: Iterable[float], **labels: Iterable[str]) -> Histogram:
        bounds = tuple(buckets)
        made = Histogram(f"streamtag_{name}", text, tuple(labels), buckets=bounds, registry=self._registry)
        return _begun(made, labels)

    def batch_histogram(
        self, name: str, text: str, bounds: Iterable[float], sources: tuple[SourceLabel, ...] = ()
    ) -> BatchHistogram:
        made = BatchHistogram(f"streamtag_{name}", text, tuple(bounds), sources)
        self._registry.register(made)
        return made

    def gauge(self, name: str, text: str, **labels: Iterable[str]) -> Gauge:
        return _begun(Gauge(f"streamtag_{name}", text, tuple(labels), registry=self._registry), labels)

    def info(self, name: str, text: str) -> Info:
        return Info(f"streamtag_{name}", text, registry=self._registry)


def _begun(metric: Labelled, labels: Mapping[str, Iterable[str]]) -> Labelled:
    """A metric with a series for each value of its labels."""
    for values in product(*labels.values()) if labels else ():
        metric.labels(*values)
    return metric


class Metrics:
    """The worker's registry. One process owns it; decoders report to that process.

    Every value that a label can take is there from the start, at 0: of a counter that is born at 1, Prometheus's
    ``increase`` does not see the first.

    Args:
        labels: those of the network that are told of by name (metrics.labels).
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self.watched_labels = frozenset(labels)
        self._labels = tuple(labels)
        declare = Declare(self.registry)
        self._declare_samples(declare)
        self._declare_streams(declare)
        self._declare_stages(declare)
        self._declare_jobs(declare)
        self._declare_redis(declare)
        self._declare_worker(declare)

    def _declare_samples(self, new: Declare) -> None:
        self.frames_decoded = new.counter("frames_decoded_total", "Frames that decoders have read, sampled or not.")
        self.samples = new.counter("samples_total", "Frames that the sampler kept.", source=SOURCES)
        self.published = new.counter(
            "samples_published_total", "Samples whose result is committed in Redis.", source=SOURCES
        )
        self.progress = new.gauge(
            "last_progress_timestamp_seconds",
            "When results of this worker were last committed in Redis, Unix time; until then, when it started.",
        )
        self.progress.set_to_current_time()
        self.reused = new.counter(
            "samples_reused_total",
            "Samples not sent to the device: the motion gate found their pictures unchanged.",
            source=SOURCES,
        )
        self.dropped = new.counter(
            "samples_dropped_total", "Samples dropped unclassified.", reason=get_args(DropReason), source=SOURCES
        )
        self.failed = new.counter(
            "samples_failed_total",
            "Samples that could not be classified.",
            reason=get_args(FailReason),
            source=SOURCES,
        )

    def _declare_streams(self, new: Declare) -> None:
        self.gaps = new.counter(
            "stream_gaps_total", "Holes in live streams, each declared by an event.", reason=GapReason
        )
        self.reconnects = new.counter(
            "stream_reconnects_total",
            "Connections to sources that failed and are tried again.",
            state=(StreamState.RECONNECTING, StreamState.AUTH_FAILED),
        )
        self.restarts = new.counter(
            "decoder_restarts_total",
            "Decoders that ended before their time and are followed by another, by what ended them.",
            cause=[cause for cause in FailureCause if cause is not FailureCause.REJECTED],
        )
        self.open_errors = new.counter(
            "open_errors_total",
            "Connections to sources that ended before the source was open, those that are not tried again included.",
            cause=FailureCause,
        )
        self.moves = new.counter(
            "stream_moves_total",
            "Live streams offered to this worker or by it: taken, not opened here, or not taken by the other. One "
            "that another has taken is a job that left (moved).",
            outcome=("taken", "not_opened", "not_taken"),
        )
        self.label_events = new.counter(
            "label_events_total",
            "Events committed about the labels of metrics.labels, which became active (enter) or stopped (exit).",
            label=self._labels,
            kind=("enter", "exit"),
        )

    def _declare_stages(self, new: Declare) -> None:
        self.decode_s = new.batch_histogram(
            "decode_seconds", "CPU of a decoder for one sample and the frames before it.", _FAST_S
        )
        self.queue_s = new.histogram(
            "queue_seconds", "From capture to the start of inference, per batch: the oldest sample.", _SLOW_S
        )
        self.lag_s = new.batch_histogram(
            "lag_seconds",
            "How far a live stream is behind its camera: the age of a sample, since its capture, when its decoder has "
            "done with it. Those of HLS playlists do not count: they are as old as a segment is long. See "
            "capture_to_commit_seconds for what capture is.",
            _SLOW_S,
        )
        self.batch_size = new.histogram(
            "batch_size", "Samples in a batch, padding not counted.", (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
        )
        self.padding = new.counter("batch_padding_total", "Rows of batches that held no sample.")
        self.inference_s = new.histogram("inference_seconds", "From dispatch of a batch to its scores.", _FAST_S)
        self.busy_s = new.counter(
            "device_busy_seconds_total",
            "Time that the device spent on batches; of a mixed one, each kind of source has its share of the samples.",
            source=SOURCES,
        )
        self.commit_s = new.histogram(
            "commit_seconds", "One round trip with the commits of all streams that are due.", _FAST_S
        )
        self.latency_s = new.batch_histogram(
            "capture_to_commit_seconds",
            "From a sample's capture to its result in Redis. Of a stream of the network that is the arrival of its "
            "packet (of one that comes in segments, when it can have come at the latest), of other sources the moment "
            "before it was decoded.",
            _SLOW_S,
            SOURCES,
        )

    def _declare_jobs(self, new: Declare) -> None:
        self.commits = new.counter(
            "commits_total",
            "Commits of a stream by outcome; lease_lost: another worker has the job, refused: Redis cannot take it.",
            outcome=("ok", "lease_lost", "cancelled", "refused"),
        )
        self.events = new.counter("events_total", "Events committed.")
        self.pictures = new.counter("pictures_total", "Small pictures written to Redis (view.thumbnails).")
        self.jobs = new.counter(
            "jobs_total",
            "Jobs that left this worker, by how. Those that failed, crashed or were rejected are dead letters.",
            outcome=JobEnd,
        )
        self.slots = new.gauge("slots", "Jobs this worker may run at once, at most.")
        self.asked = new.gauge("asked_samples_per_second", "Samples a second that its live streams ask for.")
        self.supply = new.gauge(
            "supply_samples_per_second", "Samples a second that this worker can give, by what its device costs."
        )
        self.leases = new.gauge("leases", "Jobs this worker holds.")
        self.renewals = new.counter(
            "lease_renewals_total", "Lease renewals by answer.", answer=("ok", "lost", "cancelled")
        )

    def _declare_redis(self, new: Declare) -> None:
        self.redis_s = new.histogram(
            "redis_seconds",
            "From a question to Redis to its answer, or to where none came; reads that wait for new jobs left out.",
            _FAST_S,
            thread=REDIS_THREADS,
        )
        self.redis_errors = new.counter("redis_errors_total", "Calls to Redis that failed.", thread=REDIS_THREADS)
        self.redis_used = new.gauge("redis_memory_used_bytes", "Memory that Redis uses of its limit.")
        self.redis_limit = new.gauge(
            "redis_memory_limit_bytes", "Memory that Redis may use (maxmemory); 0 without limit."
        )
        self.redis_short = new.gauge("redis_memory_short", "1 while no new job is taken for it (redis.memory_share).")

    def _declare_worker(self, new: Declare) -> None:
        self.compiles = new.counter("engine_compiles_total", "Batch sizes compiled at start-up.")
        self.compile_s = new.gauge("engine_compile_seconds", "All compilation at start-up.")
        self.draining = new.gauge("draining", "1 while the worker hands its jobs back.")
        self.build = new.info("build", "What is running.")
        self.engine = new.info("engine", "What runs the network, and how it was chosen.")

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

    def failed_connection(self, failure: Failure, again: bool) -> None:
        """A connection to a source ended before its time, and is followed by another or not."""
        if again:
            self.restarts.labels(failure.cause).inc()
        if not failure.opened:
            self.open_errors.labels(failure.cause).inc()

    def tell_engine(self, choice: EngineChoice) -> None:
        """Which engine was taken; why is in the log."""
        self.engine.info({"engine": choice.engine, "precision": choice.precision, "chosen": choice.origin})

    def tell_load(self, view: WorkerView) -> None:
        """What a worker says of its load, also here."""
        self.asked.set(view.asked)
        self.supply.set(view.supply)

    def watch_compiles(self, count: Callable[[], int]) -> None:
        """Report compilations after now, asked for when Prometheus asks."""
        self.registry.register(Recompiles(count, count()))

    def watch_streams(self, look: Callable[[], Iterable[StreamLook]]) -> None:
        """Report the streams by state and source, how stale they are and what they show, when Prometheus asks."""
        self.registry.register(Streams(look, self._labels))
