"""The worker as a service: the only place that names concrete classes. Start, run, drain."""

from __future__ import annotations

import os
import resource
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence

from streamtag.core.bundle import Bundle
from streamtag.errors import (
    ConfigError,
    DeviceMissing,
    NetworkUnusable,
    QueueRefused,
    QueueUnavailable,
    StreamtagError,
    did_you_mean,
)
from streamtag.ingest import cage, decoder
from streamtag.ingest.session import Decode, forkserver
from streamtag.logs import log
from streamtag.metrics import REDIS_THREADS, Metrics
from streamtag.networks import loading
from streamtag.networks.loading import LoadedNetwork, LoadStage, LoadStep
from streamtag.networks.registry import resolve
from streamtag.pipeline.health import Health, http_server
from streamtag.pipeline.machine import check_memory
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
        elif step.stage is not self._stage or step.stage is LoadStage.MEASURING:
            log.info(str(step.stage), what=step.what, **({"device": step.device} if step.device else {}))
        self._stage = step.stage


def keys_for(settings: Settings) -> Keys:
    """The keys of the queue that the settings name."""
    return Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)


def _check_labels(setting: str, watched: Sequence[str], bundle: Bundle) -> None:
    """An alert on a label or group that the network does not have would never fire.

    Raises:
        ConfigError: one of them is none of the network's.
    """
    for name in watched:
        if name not in bundle.outputs:
            hint = did_you_mean(name, bundle.outputs)
            raise ConfigError(f"{setting}: {name!r} is no label of {bundle.name}{hint}")


class Service:
    """One worker: owns what it starts. ``run`` blocks until a signal, ``stop`` or a failure.

    Args:
        decode, network: what a benchmark has in place of the decoder, and of the network that it would load.
    """

    def __init__(self, settings: Settings, decode: Decode = decoder.main, network: LoadedNetwork | None = None) -> None:
        self.settings = settings
        # New at every start: a name that was used before could pass for the owner it once was.
        self.worker_id = f"{settings.worker.id or socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.metrics = Metrics(settings.metrics.labels)
        self.health = Health(settings.http.stuck_s)
        self.http = http_server(settings.http, self.metrics.registry, self.health)
        self._decode = decode
        self._network = network
        self._threads = Threads(self.health, self.stop)
        self._connections: list[Connection] = []
        self._pipeline: Pipeline | None = None
        self._stopping = threading.Event()

    def run(self, on_ready: Callable[[Service], None] = lambda service: None) -> int:
        """Start, work until told to stop, drain.

        Returns:
            The exit code: 0 after a drain, 70 when a thread died.

        Raises:
            StreamtagError: it cannot start, and took no job; the kind says what is in the way.
        """
        cage.check(self.settings.source)
        try:
            bundle = resolve(self.settings.model)  # a name that there is not is told before anything else is
        except ConfigError as error:
            raise NetworkUnusable(str(error)) from error
        check_memory(self.settings, bundle.preprocessing)
        _check_labels("metrics.labels", self.settings.metrics.labels, bundle)
        _check_labels("smoothing.labels", self.settings.smoothing.labels, bundle)
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
        try:
            network = self._network or loading.load(self.settings, _LogSteps(), bundle, measure=True)
        except DeviceMissing:
            raise
        except StreamtagError as error:
            raise NetworkUnusable(str(error)) from error
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
        self._connections = [
            Connection(self.settings.redis, keys, answered=self.metrics.redis_s.labels(thread).observe)
            for thread in REDIS_THREADS
        ]
        sessions = [QueueSession(connection, self.worker_id, self.settings.lease) for connection in self._connections]
        return QueueSessions(**dict(zip(REDIS_THREADS, sessions, strict=True)))

    def _reach_redis(self) -> bool:
        """Wait until the threads have heard from Redis; False when told to stop before.

        Raises:
            QueueUnavailable: nothing was heard for ``redis.start_s``.
        """
        give_up_s = time.monotonic() + self.settings.redis.start_s
        while not self.health.redis:
            self.health.beat("main")
            if self._stopping.wait(0.05):
                return False
            if time.monotonic() >= give_up_s:
                self._ask_redis_once_more()
                give_up_s = time.monotonic() + self.settings.redis.start_s
        queue = keys_for(self.settings).jobs
        log.info("ready", worker=self.worker_id, queue=queue, slots=self.settings.worker.slots)
        return True

    def _ask_redis_once_more(self) -> None:
        """End the threads if Redis still does not answer: whoever started us may start us again, or elsewhere."""
        connection = Connection(self.settings.redis, keys_for(self.settings))
        try:
            QueueSession(connection, self.worker_id, self.settings.lease).claims().ensure_group()
        except QueueUnavailable:
            assert self._pipeline is not None
            self._pipeline.drain(time.monotonic())
            self._pipeline.stop(time.monotonic())
            raise
        finally:
            connection.close()

    def _note(self, network: LoadedNetwork) -> None:
        bundle, engine, figures, choice = network.bundle, network.engine, network.warm_up, network.choice
        self.metrics.describe(bundle.name, engine.name, engine.device)
        self.metrics.tell_engine(choice)
        log.info("engine", engine=choice.engine, precision=choice.precision, chosen=choice.origin, why=choice.why)
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
