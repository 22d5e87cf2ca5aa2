"""The worker as a service: the only place that names concrete classes. Start, run, drain."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from streamtag.core.bundle import Bundle
from streamtag.errors import QueueUnavailable
from streamtag.ingest import decoder
from streamtag.ingest.session import Decode, forkserver
from streamtag.logs import log, quiet_stderr
from streamtag.metrics import Metrics
from streamtag.networks.engines.base import Engine, WarmUp, warm_up
from streamtag.networks.loading import make_engine, prepare
from streamtag.networks.registry import ensure_weights, resolve
from streamtag.networks.weights.fetching import Progress
from streamtag.pipeline.health import Health, HttpServer
from streamtag.pipeline.pipeline import Pipeline
from streamtag.queue.claims import Claims
from streamtag.queue.commits import Commits
from streamtag.queue.connection import Connection
from streamtag.queue.keys import Keys
from streamtag.queue.leases import Leases
from streamtag.settings import Settings


def load_engine(settings: Settings, progress: Progress | None = None) -> tuple[Bundle, Engine]:
    """The network that the settings name, and the engine that will run it.

    Args:
        progress: of a download of its weights; default: a line in the log for each tenth of it.

    Raises:
        StreamtagError: the model, its weights or the engine cannot be had; the message says what to do.
    """
    bundle = ensure_weights(resolve(settings.model), settings.model, progress or _logged(settings.model.name))
    model: Any = None
    if settings.engine.name != "null":
        prepare(settings.engine)
        # Keras is imported here and not above: it takes seconds, and the null engine does without.
        with quiet_stderr():
            from streamtag.networks.building import build

            model = build(bundle)
            return bundle, make_engine(model, bundle, settings.engine)
    return bundle, make_engine(model, bundle, settings.engine)


def _logged(name: str) -> Progress:
    told = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if total and done / total >= told:
            log.info("downloading weights", model=name, megabytes=round(done / 1e6), of=round(total / 1e6))
            told = done / total + 0.1

    return progress


def keys_for(settings: Settings) -> Keys:
    return Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)


class Service:
    """One worker. ``run`` blocks until a signal, ``stop`` or a failure."""

    def __init__(self, settings: Settings, decode: Decode = decoder.main) -> None:
        self.settings = settings
        self._decode = decode
        self.metrics = Metrics()
        self.health = Health(settings.http.stuck_s)
        self.http = HttpServer(settings.http, self.metrics, self.health)
        self.worker_id = settings.worker.id or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._stopping = threading.Event()
        self._failed = False

    def run(self, on_ready: Callable[[Service], None] = lambda service: None) -> int:
        """Start, work until told to stop, drain.

        Returns:
            The exit code: 0 after a drain, 70 when a thread died.

        Raises:
            ConfigError: before any work started.
        """
        # Before TensorFlow and its threads: the decoders' parent must stay small and single-threaded.
        forkserver().Process(target=_nothing).start()
        self.http.start()
        log.info("http", metrics=f"{self.http.url}/metrics")
        try:
            pipeline, connections = self.start()
            on_ready(self)
            while not self._stopping.wait(0.5):
                self.health.beat("main")
            self.drain(pipeline, connections)
        finally:
            self.http.stop()
        return 70 if self._failed else 0

    def stop(self) -> None:
        """Begin to drain; may be called from a signal handler or another thread."""
        self._stopping.set()

    def install_signals(self) -> None:
        """SIGTERM and SIGINT drain; a second one leaves at once."""

        def handle(number: int, frame: Any) -> None:
            if self._stopping.is_set():
                os._exit(128 + number)
            log.info("draining", signal=signal.Signals(number).name, again="leaves at once")
            self.stop()

        signal.signal(signal.SIGTERM, handle)
        signal.signal(signal.SIGINT, handle)

    def start(self) -> tuple[Pipeline, list[Connection]]:
        """Compile the network, connect, and start the threads."""
        bundle, engine = load_engine(self.settings)
        log.info("compiling", model=bundle.name, engine=engine.name, device=engine.device, buckets=engine.buckets)
        with quiet_stderr():
            warm = warm_up(engine, bundle)
        self._note(bundle, engine, warm)
        keys, lease = keys_for(self.settings), self.settings.lease
        # A connection for each thread that talks to Redis: none waits for another's reply.
        connections = [Connection(self.settings.redis, keys) for _ in range(3)]
        for_claims, for_commits, for_leases = connections
        pipeline = Pipeline(
            self.settings,
            bundle,
            engine,
            warm.batch_s,
            Claims(for_claims, self.worker_id, lease),
            Commits(for_claims, self.worker_id, lease.seconds),
            Commits(for_commits, self.worker_id, lease.seconds),
            Leases(for_leases, self.worker_id),
            self.metrics,
            self.health,
            self._decode,
        )
        pipeline.start(on_failure=self._fail)
        self.health.warm = True
        log.info("ready", worker=self.worker_id, queue=keys.jobs, slots=self.settings.worker.slots)
        return pipeline, connections

    def _note(self, bundle: Bundle, engine: Engine, warm: WarmUp) -> None:
        self.metrics.describe(bundle.name, engine.name, engine.device)
        self.metrics.compiles.inc(len(warm.compile_s))
        self.metrics.watch_compiles(engine.compilations)
        self.metrics.compile_s.set(sum(warm.compile_s.values()))
        rates = {bucket: round(bucket / seconds) for bucket, seconds in warm.batch_s.items()}
        log.info("compiled", seconds=round(sum(warm.compile_s.values()), 1), images_per_s=rates)

    def drain(self, pipeline: Pipeline, connections: list[Connection]) -> None:
        """Hand back what cannot end in time, end the threads, leave the group."""
        self.health.draining = True
        self.metrics.draining.set(1)
        began_s = time.monotonic()
        drain_s = self.settings.worker.drain_s
        pipeline.drain(began_s + drain_s)
        pipeline.stop(time.monotonic() + max(2.0, 0.2 * drain_s))
        left = len(pipeline.runs)
        self._retire(connections[0])
        for connection in connections:
            connection.close()
        self._failed = self._failed or pipeline.failure is not None
        log.info("stopped", seconds=round(time.monotonic() - began_s, 1), jobs_left_to_their_lease=left)

    def _retire(self, connection: Connection) -> None:
        try:
            Claims(connection, self.worker_id, self.settings.lease).retire()
        except QueueUnavailable as error:
            log.warning("could not leave the group", error=str(error))

    def _fail(self) -> None:
        self._failed = True
        self.stop()


def _nothing() -> None:
    """Starting a process starts the fork server."""
