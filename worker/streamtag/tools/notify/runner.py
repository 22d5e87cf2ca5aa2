"""The runner of ``streamtag notify``: of all that run, the one with the lease tells events; the others wait for it."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable

from streamtag.errors import QueueUnavailable, StreamtagError
from streamtag.extras import require
from streamtag.logs import log
from streamtag.notify_metrics import NotifyMetrics
from streamtag.notify_settings import MqttSink, WebhookSink
from streamtag.pipeline.health import Health
from streamtag.queue.connection import Connection
from streamtag.queue.keys import Keys, queue_name
from streamtag.queue.notices import Notices
from streamtag.settings import Settings
from streamtag.tools.notify.notice import Channel
from streamtag.tools.notify.telling import SinkLoop
from streamtag.tools.notify.webhook import Webhook

RENEWALS = 4  # of a lease while it lasts
STOP_SHARE = 0.6  # of a lease; who could not renew it for so long tells nothing more


class Runner:
    """Holds the lease, and a thread for each sink while it does: a slow sink holds up no other.

    Args:
        health: is told whether Redis answers, and that this thread moves.
        stopping: set when it is to end.
    """

    def __init__(self, settings: Settings, metrics: NotifyMetrics, health: Health, stopping: threading.Event) -> None:
        self._settings = settings
        self._metrics = metrics
        self._health = health
        self._stopping = stopping
        self._lease_s = settings.notify.lease_s
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._notices = self._connect()
        self._held_until_s = 0.0  # by our own clock
        self._sinks: _Sinks | None = None
        self._told = ""  # what was last said about whose turn it is

    def run(self) -> None:
        """Until ``stopping``.

        Raises:
            StreamtagError: a sink's thread ended by itself.
        """
        try:
            while not self._stopping.is_set():
                self._health.beat("lease")
                self._renew()
                if self._sinks is not None and self._sinks.crashed:
                    raise StreamtagError(f"a sink's thread ended: {self._sinks.crashed}")
                # Often enough also for who asks whether this thread moves.
                self._stopping.wait(min(self._lease_s / RENEWALS, self._settings.http.stuck_s / RENEWALS))
        finally:
            self._stop_sinks()
            self._metrics.hold(False)
            self._leave()

    def holds(self) -> bool:
        """Whether events may be told: the lease was renewed lately enough."""
        return time.monotonic() < self._held_until_s

    def _renew(self) -> None:
        asked_s = time.monotonic()
        try:
            other = self._notices.hold(self._lease_s)
        except QueueUnavailable as error:
            self._health.redis = False
            self._say("redis does not answer, trying on", error=str(error))
            other = "" if self.holds() else "unknown"
        else:
            self._health.redis = True
            if not other:
                self._held_until_s = asked_s + self._lease_s * STOP_SHARE
                self._say("telling events", sinks=[sink.name for sink in self._settings.notify.sinks])
            else:
                self._held_until_s = 0.0
                self._say("waiting: another runner tells events", runner=other)
        self._metrics.hold(not other)
        if other:
            self._stop_sinks()
        else:
            if self._sinks is not None and self._sinks.ended:
                self._stop_sinks()  # they had stopped while the lease was in doubt, and it is ours again
            self._sinks = self._sinks or _Sinks(self._settings, self._metrics, self._connect, self.holds)

    def _say(self, text: str, **about: object) -> None:
        if text != self._told:
            log.info(text, **about)
        self._told = text

    def _stop_sinks(self) -> None:
        if self._sinks is not None:
            self._sinks.stop()
        self._sinks = None

    def _leave(self) -> None:
        """The next one need not wait until the lease is over."""
        try:
            self._notices.hold(0)
        except QueueUnavailable as error:
            log.warning("the lease stays until it is over", error=str(error))
        self._notices.close()

    def _connect(self) -> Notices:
        redis = self._settings.redis
        keys = Keys(redis.prefix, self._settings.model.name, redis.shard)
        return Notices(Connection(redis, keys), self._name)


class _Sinks:
    """The threads of one time with the lease."""

    def __init__(
        self, settings: Settings, metrics: NotifyMetrics, connect: Callable[[], Notices], holds: Callable[[], bool]
    ) -> None:
        self._stopping = threading.Event()
        self.crashed = ""
        queue = queue_of(settings)
        self._limit_s = settings.notify.timeout_s + settings.redis.timeout_s
        self._threads = []
        for sink in settings.notify.sinks:
            notices = connect()
            channel = channel_to(sink, settings.notify.timeout_s, queue, notices)
            loop = SinkLoop(sink, channel, notices, settings.notify, queue, metrics, holds, self._stopping)
            thread = threading.Thread(target=self._run, args=(loop, sink.name), name=f"sink {sink.name}", daemon=True)
            self._threads.append(thread)
        for thread in self._threads:
            thread.start()

    @property
    def ended(self) -> bool:
        """Whether one of them has ended without being asked to."""
        return not all(thread.is_alive() for thread in self._threads)

    def _run(self, loop: SinkLoop, name: str) -> None:
        try:
            loop.run()
        except Exception as error:  # a bug, or a queue that is not ours: the others must not go on as if all were well
            log.exception("sink ended", sink=name)
            self.crashed = f"{name}: {error}"

    def stop(self) -> None:
        """Let each end what it is at; one that takes longer than it may is left."""
        self._stopping.set()
        until_s = time.monotonic() + self._limit_s
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))


def queue_of(settings: Settings) -> str:
    """What sinks know a queue by."""
    return f"{queue_name(settings.model.name)}.{settings.redis.shard}"


def channel_to(sink: WebhookSink | MqttSink, timeout_s: float, queue: str, notices: Notices) -> Channel:
    """The way to a sink.

    Raises:
        ConfigError: the package that it takes is not there.
    """
    if isinstance(sink, WebhookSink):
        return Webhook(sink, timeout_s)
    require("notify to MQTT")
    from streamtag.tools.notify.mqtt import Mqtt  # noqa: PLC0415 - an extra

    return Mqtt(sink, timeout_s, queue, notices.over)
