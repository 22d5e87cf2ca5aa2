"""Collectors of our own: what is added up in batches, and what is counted when Prometheus asks."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from operator import add
from typing import Literal, get_args

import numpy as np
from prometheus_client import Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from streamtag.core.records import StreamState

FEW = 64  # values, up to which plain Python is faster than numpy, above all where that is not in the cache

SourceLabel = Literal["live", "finite"]
SOURCES: tuple[SourceLabel, ...] = get_args(SourceLabel)


class ReadableCounter(Counter):
    """A counter whose value the worker itself asks for.

    To collect the samples of a family for it cost as much as all the rest of a heartbeat.
    """

    @property
    def so_far(self) -> float:
        """What it has counted, of a counter without labels or one of its children."""
        value: float = self._value.get()
        return value


class BatchHistogram(Collector):
    """A histogram that takes many values at once: observing each sample alone cost more than encoding its result.

    Args:
        sources: values of its label ``source``; none for a histogram without labels.
    """

    def __init__(self, name: str, text: str, bounds: tuple[float, ...], sources: tuple[SourceLabel, ...] = ()) -> None:
        self._name, self._text = name, text
        self._bounds, self._bound_list = np.array(bounds), list(bounds)
        self._labels = ("source",) if sources else ()
        self._counts: dict[str, list[int]] = {source: [0] * (len(bounds) + 1) for source in sources or ("",)}
        self._sums = dict.fromkeys(self._counts, 0.0)
        self._exemplars: dict[tuple[str, int], Exemplar] = {}  # the last of each source and bucket
        self._lock = threading.Lock()

    def observe(self, values: Sequence[float], source: str = "") -> None:
        counts, bounds = self._counts[source], self._bound_list
        if len(values) <= FEW:
            with self._lock:
                for value in values:
                    counts[bisect_left(bounds, value)] += 1
                self._sums[source] += sum(values)
            return
        array = np.asarray(values, np.float64)
        found = np.bincount(np.searchsorted(self._bounds, array), minlength=len(counts)).tolist()
        with self._lock:
            counts[:] = map(add, counts, found)
            self._sums[source] += float(array.sum())

    def exemplify(self, value: float, trace_id: str, unix_s: float, source: str = "") -> None:
        """Name a value that was observed, for those who ask what stands behind its bucket."""
        bucket = bisect_left(self._bound_list, value)
        with self._lock:
            self._exemplars[source, bucket] = Exemplar({"trace_id": trace_id}, value, unix_s)

    @property
    def count(self) -> int:
        """Values so far."""
        with self._lock:
            return sum(map(sum, self._counts.values()))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        with self._lock:
            series = [(source, list(accumulate(counts)), self._sums[source]) for source, counts in self._counts.items()]
            exemplars = dict(self._exemplars)
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for source, counts, total in series:
            buckets = [
                (name, count, exemplars[source, place]) if (source, place) in exemplars else (name, count)
                for place, (name, count) in enumerate(zip(names, counts, strict=True))
            ]
            family.add_metric([source] if self._labels else [], buckets, total)
        yield family

    def describe(self) -> Iterable[HistogramMetricFamily]:
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)


class Recompiles(Collector):
    """Compilations beyond those that were expected, asked for when Prometheus asks."""

    def __init__(self, count: Callable[[], int], expected: int) -> None:
        self._count, self._expected = count, expected

    def collect(self) -> Iterable[CounterMetricFamily]:
        text = "Compilations after start-up; should stay 0."
        yield CounterMetricFamily("streamtag_engine_recompiles", text, self._count() - self._expected)

    def describe(self) -> Iterable[CounterMetricFamily]:
        return ()


@dataclass(frozen=True, slots=True)
class StreamLook:
    """A stream at the moment of a scrape.

    Attributes:
        stale_s: age of its newest result in Redis by its capture; where there is none, time since it is here.
        active: names of the labels that are active.
    """

    state: StreamState
    source: SourceLabel
    stale_s: float
    active: frozenset[str] = frozenset()


class Streams(Collector):
    """The streams of this worker, looked at when Prometheus asks.

    Args:
        look: each of them.
        labels: those whose streams are counted.
    """

    def __init__(self, look: Callable[[], Iterable[StreamLook]], labels: Sequence[str]) -> None:
        self._look = look
        self._labels = labels

    def collect(self) -> Iterable[GaugeMetricFamily]:
        counts: dict[tuple[str, str], int] = dict.fromkeys(product(StreamState, SOURCES), 0)
        stale_s = dict.fromkeys(StreamState, 0.0)
        seen = dict.fromkeys(self._labels, 0)
        for stream in self._look():
            counts[stream.state, stream.source] += 1
            if stream.source == "live":
                stale_s[stream.state] = max(stale_s[stream.state], stream.stale_s)
            for label in stream.active & seen.keys():
                seen[label] += 1
        yield _gauges("streams", "Streams of this worker by state.", ("state", "source"), counts.items())
        yield _gauges(
            "stream_staleness_seconds",
            "Of the live streams in a state the worst: age of its newest result in Redis, since its capture, or since "
            "it came here where it has none. 0 without such a stream.",
            ("state",),
            (((state,), seconds) for state, seconds in stale_s.items()),
        )
        yield _gauges(
            "label_streams",
            "Streams with pictures in which a label of metrics.labels is active.",
            ("label",),
            (((label,), count) for label, count in seen.items()),
        )

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()


def _gauges(
    name: str, text: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"streamtag_{name}", text, labels=labels)
    for names, value in values:
        family.add_metric(names, value)
    return family
