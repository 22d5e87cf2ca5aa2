"""The worker as a service: the only place that names concrete classes. Start, run, drain."""

from __future__ import annotations

import os
import resource
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable

from streamtag.core.bundle import Bundle
from streamtag.errors import QueueRefused, QueueUnavailable
from streamtag.ingest import cage, decoder
from streamtag.ingest.session import Decode, forkserver
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.networks import loading
from streamtag.networks.loading import LoadedNetwork, LoadStage, LoadStep
from streamtag.networks.registry import resolve
from streamtag.pipeline.health import Health, HttpServer
from streamtag.pipeline.pipeline import Pipeline
from streamtag.pipeline.signals import watch_signals
from streamtag.pipeline.threads import Threads
from streamtag.queue.connection import Connection
from streamtag.queue.keys import Keys
from streamtag.queue.session import QueueSession, QueueSessions
from streamtag.settings import Settings


class _LogSteps:
    """The loading of the network in the log: each stage when it begins, a download at each tenth of it."""

    def __init__(self) -> None:
        self._stage: LoadStage | None = None
        self._next_share = 0.0

    def __call__(self, step: LoadStep) -> None:
        if step.stage is LoadStage.DOWNLOADING:
            if step.total and step.done / step.total >= self._next_share:
                megabytes, total = round(step.done / 1e6), round(step.total / 1e6)
                log.info("downloading weights", model=step.what, megabytes=megabytes, of=total)
                self._next_share = step.done / step.total + 0.1
        elif step.stage is not self._stage:
            log.info(str(step.stage), what=step.what, **({"device": step.device} if step.device else {}))
        self._stage = step.stage


def keys_for(settings: Settings) -> Keys:
    """The keys of the queue that the settings name."""
    return Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)


class Service:
    """One worker: owns what it starts. ``run`` blocks until a signal, ``stop`` or a failure."""

    def __init__(self, settings: Settings, decode: Decode = decoder.main) -> None:
        self.settings = settings
        # New at every start: a name that was used before could pass for the owner it once was.
        self.worker_id = f"{settings.worker.id or socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.metrics = Metrics()
        self.health = Health(settings.http.stuck_s)
        self.http = HttpServer(settings.http, self.metrics.registry, self.health)
        self._decode = decode
        self._threads = Threads(self.health, self.stop)
        self._connections: list[Connection] = []
        self._pipeline: Pipeline | None = None
        self._stopping = threading.Event()

    def run(self, on_ready: Callable[[Service], None] = lambda service: None) -> int:
        """Start, work until told to stop, drain.

        Returns:
            The exit code: 0 after a drain, 70 when a thread died.

        Raises:
            ConfigError: before any work started.
        """
        cage.check(self.settings.source)
        bundle = resolve(self.settings.model)  # a name that there is not is told before anything else is
        # A core file would hold the passwords of Redis and of every camera.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Before TensorFlow and its threads: the decoders' parent must stay small and single-threaded.
        forkserver()
        self.http.start()
        log.info("http", metrics=f"{self.http.url}/metrics")
        try:
            self.start(bundle)
            if self._reach_redis():
                on_ready(self)
            while not self._stopping.wait(0.5):
                self.health.beat("main")
            self.drain()
        finally:
            self.http.stop()
        return 70 if self.failure is not None else 0

    @property
    def failure(self) -> BaseException | None:
        """What ended a thread that should not have ended."""
        return self._threads.failure

    def stop(self) -> None:
        """Begin to drain; may be called from any thread."""
        self._stopping.set()

    def install_signals(self) -> None:
        """SIGTERM and SIGINT drain. The second one leaves at once, and so does the first while there is no job yet."""

        def on_signal(number: signal.Signals) -> None:
            if self._pipeline is None or self._stopping.is_set():
                os._exit(128 + number)
            log.info("draining", signal=number.name, again="leaves at once")
            self.stop()

        watch_signals(on_signal)

    def start(self, bundle: Bundle | None = None) -> None:
        """Compile the network, connect, and start the threads.

        Args:
            bundle: what the settings' model is, where that is known already.
        """
        network = loading.load(self.settings, _LogSteps(), bundle)
        self._note(network)
        pipeline = Pipeline(
            self.settings,
            network,
            self._connect(),
            self._threads,
            self.metrics,
            self.health,
            self._decode,
        )
        self._pipeline = pipeline
        pipeline.start()
        self.health.warm = True

    def drain(self) -> None:
        """Hand back what cannot end in time, end the threads, leave the group."""
        pipeline = self._pipeline
        assert pipeline is not None
        self.health.draining = True
        self.metrics.draining.set(1)
        began_s = time.monotonic()
        drain_s = self.settings.worker.drain_s
        pipeline.drain(began_s + drain_s)
        pipeline.stop(time.monotonic() + max(2.0, 0.2 * drain_s))
        left = len(pipeline.runs)
        self._retire()
        for connection in self._connections:
            connection.close()
        log.info("stopped", seconds=round(time.monotonic() - began_s, 1), jobs_left_to_their_lease=left)

    def _connect(self) -> QueueSessions:
        """A session for each thread that talks to Redis."""
        keys = keys_for(self.settings)
        self._connections = [Connection(self.settings.redis, keys) for _ in range(4)]
        claims, commits, leases, sharing = (
            QueueSession(connection, self.worker_id, self.settings.lease) for connection in self._connections
        )
        return QueueSessions(claims, commits, leases, sharing)

    def _reach_redis(self) -> bool:
        """Wait until the threads have heard from Redis; False when told to stop before."""
        while not self.health.redis:
            self.health.beat("main")
            if self._stopping.wait(0.05):
                return False
        queue = keys_for(self.settings).jobs
        log.info("ready", worker=self.worker_id, queue=queue, slots=self.settings.worker.slots)
        return True

    def _note(self, network: LoadedNetwork) -> None:
        bundle, engine, figures = network.bundle, network.engine, network.warm_up
        self.metrics.describe(bundle.name, engine.name, engine.device)
        self.metrics.compiles.inc(len(figures.compile_s))
        self.metrics.watch_compiles(engine.compilations)
        self.metrics.compile_s.set(sum(figures.compile_s.values()))
        rates = {bucket: round(bucket / seconds) for bucket, seconds in figures.batch_s.items()}
        seconds = round(sum(figures.compile_s.values()), 1)
        log.info("compiled", model=bundle.name, engine=engine.name, seconds=seconds, images_per_s=rates)

    def _retire(self) -> None:
        connection = Connection(self.settings.redis, keys_for(self.settings))
        try:
            session = QueueSession(connection, self.worker_id, self.settings.lease)
            session.heartbeats().stop()
            session.claims().retire()
        except (QueueUnavailable, QueueRefused) as error:
            log.warning("could not leave the group", error=str(error))
        finally:
            connection.close()
