"""The metrics of queues, from Redis alone: those that an alert needs when no worker is there to export anything."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from streamtag.client import Client
from streamtag.core.records import WorkerView
from streamtag.errors import QueueRefused, QueueUnavailable, StreamtagError
from streamtag.logs import log
from streamtag.queue.depth import QueueDepth
from streamtag.queue.memory import RedisMemory
from streamtag.settings import Settings

# For one reply. Prometheus waits 10 s for all of a scrape, or its interval where that is less, and of one that comes
# later it takes nothing: a Redis that hangs would never be told of.
REPLY_S = 2.0
_LABELS = ("model", "shard")
_FIGURES = {
    "queue_reachable": "1 while Redis answers; the other figures are missing while it does not.",
    "queue_waiting_jobs": "Jobs that no worker has had yet.",
    "queue_taken_jobs": "Jobs that a worker has, or had and left to another.",
    "queue_oldest_waiting_seconds": "Age of the oldest job that no worker has had yet; 0 where there is none.",
    "queue_dead_letters": "Dead letters that Redis keeps.",
    "queue_workers": "Workers that serve the queue and take jobs.",
    "queue_draining_workers": "Workers that hand their jobs back and take none.",
    "queue_slots": "Jobs that those workers may run at once.",
    "queue_running_jobs": "Jobs that they run, by their own account.",
    "redis_memory_used_bytes": "Memory that Redis uses of its limit.",
    "redis_memory_limit_bytes": "Memory that Redis may use (maxmemory); 0 without limit.",
    "queue_read_seconds": "What it took to ask Redis for these figures.",
}


class QueueCollector(Collector):
    """Asks Redis whenever Prometheus asks, about all queues at once.

    Args:
        clients: one for each queue.
    """

    def __init__(self, clients: Sequence[Client]) -> None:
        self._clients = clients
        self._outages: dict[Client, StreamtagError] = {}

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families = {
            name: GaugeMetricFamily(f"streamtag_{name}", text, labels=_LABELS) for name, text in _FIGURES.items()
        }
        with ThreadPoolExecutor(max(1, len(self._clients))) as threads:
            read = list(threads.map(self._read, self._clients))
        for client, figures in zip(self._clients, read, strict=True):
            labels = (client.settings.model.name, str(client.settings.redis.shard))
            for name, value in figures.items():
                families[name].add_metric(labels, value)
        yield from families.values()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return ()  # nothing is asked of Redis when the collector is registered

    @property
    def failure(self) -> StreamtagError | None:
        """Why Redis did not answer for one of the queues when it was last asked."""
        return next(iter(self._outages.values()), None)

    def _read(self, client: Client) -> dict[str, float]:
        began_s = time.monotonic()
        try:
            depth, workers, memory = client.depth(), client.workers(), client.memory()
        except (QueueUnavailable, QueueRefused) as error:
            if client not in self._outages:
                log.warning("Redis does not tell about the queue", model=client.settings.model.name, error=str(error))
            self._outages[client] = error
            return {"queue_reachable": 0.0}
        if client in self._outages:
            log.info("Redis tells about the queue again", model=client.settings.model.name)
            del self._outages[client]
        return _figures(depth, workers, memory) | {"queue_read_seconds": time.monotonic() - began_s}


def _figures(depth: QueueDepth, workers: list[WorkerView], memory: RedisMemory) -> dict[str, float]:
    serving = [worker for worker in workers if not worker.draining]
    return {
        "queue_reachable": 1.0,
        "queue_waiting_jobs": depth.waiting,
        "queue_taken_jobs": depth.taken,
        "queue_oldest_waiting_seconds": depth.oldest_waiting_s,
        "queue_dead_letters": depth.dead_letters,
        "queue_workers": len(serving),
        "queue_draining_workers": len(workers) - len(serving),
        "queue_slots": sum(worker.slots for worker in serving),
        "queue_running_jobs": sum(worker.running for worker in workers),
        "redis_memory_used_bytes": memory.used_bytes,
        "redis_memory_limit_bytes": memory.limit_bytes,
    }


def clients_of(settings: Settings, models: Sequence[str]) -> list[Client]:
    """One for the queue of each model, which waits no longer for an answer than Prometheus would."""
    redis = settings.redis.model_copy(update={"timeout_s": min(REPLY_S, settings.redis.timeout_s)})
    hurried = settings.model_copy(update={"redis": redis})
    return [Client(settings=hurried, model=model) for model in models]


def registry_of(collector: QueueCollector) -> CollectorRegistry:
    """A registry of nothing else: the exporter's own process says little about the queue."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry
