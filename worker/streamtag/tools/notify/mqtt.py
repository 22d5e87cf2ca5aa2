"""A broker of MQTT, by paho: each message at least once, and the broker says when we are gone."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Set
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from streamtag.errors import AccessDenied, ConfigError, QueueUnavailable
from streamtag.logs import log
from streamtag.notify_settings import MqttSink, secret_of
from streamtag.redaction import printable
from streamtag.tools.notify.notice import LOST, Notice, Unreachable
from streamtag.tools.notify.tls import told, trusted_by
from streamtag.tools.notify.topics import MAX_ENTITIES, OFFLINE, ONLINE, Message, Topics

KEEPALIVE_S = 15
RETAINED_S = 8.0  # for a broker to tell what it retains; mosquitto takes 0.4 s for each thousand messages
QOS = 1


class Mqtt:
    """A connection that paho keeps, and makes anew when it breaks.

    Args:
        timeout_s: for the broker to acknowledge one notice.
        queue: whose events; names the client, so that of two runners the later one is heard.
        over: which of some jobs neither run nor wait.
    """

    def __init__(
        self, sink: MqttSink, timeout_s: float, queue: str, over: Callable[[Set[str]], Set[str]] = lambda jobs: set()
    ) -> None:
        self._sink = sink
        self._timeout_s = timeout_s
        self._topics = Topics(sink.prefix, sink.discovery, queue)
        self._over = over
        # With the prefix, by which two installations share a broker: a client ends the connection of its namesake.
        self._client_id = f"{sink.prefix}-{queue}-{sink.name}"
        self._client: paho.Client | None = None
        self._why = "not connected yet"
        self._connected = threading.Event()
        self._fresh = threading.Event()  # connected since the last notice
        self._retained: dict[str, bytes] = {}  # by topic, of this connection
        self._has_retained = threading.Event()  # all of them

    def open(self) -> None:
        """Begin to connect; that a broker is away, or a file of its settings, is told by ``send``."""
        try:
            self._connect()
        except ConfigError as error:
            self._why = str(error)

    def _connect(self) -> None:
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=paho.MQTTv311)
        if self._sink.username:
            client.username_pw_set(self._sink.username, secret_of(self._sink.password, self._sink.password_file))
        if self._is_tls:
            client.tls_set_context(trusted_by(self._sink.tls_ca))
        client.will_set(self._topics.availability, OFFLINE, QOS, retain=True)
        client.reconnect_delay_set(1, 30)
        client.connect_timeout = self._timeout_s
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.on_message = self._on_message
        client.connect_async(self._sink.host, self._sink.port, KEEPALIVE_S)
        client.loop_start()
        self._client = client

    def send(self, notice: Notice) -> None:
        """Publish it, and what it changes, and wait until the broker has all of it."""
        try:
            self._send(notice)
        except Unreachable:
            self._drop()
            raise

    def _send(self, notice: Notice) -> None:
        if self._client is None:
            self.open()
        if self._client is None or not self._connected.wait(self._timeout_s):
            raise Unreachable(self._why)
        sent = self._begin(self._client)
        ended = self._ended() if notice.kind == LOST else []
        sent += [self._publish(self._client, message) for message in [*ended, *self._topics.messages(notice)]]
        for info in sent:
            try:
                info.wait_for_publish(self._timeout_s)
            except (RuntimeError, ValueError) as error:
                raise Unreachable(printable(str(error), 200)) from None
            if not info.is_published():  # nor is any behind it waited for
                self._topics.forget()  # whatever of it the broker has: all of it again
                raise Unreachable(f"the broker acknowledged nothing for {self._timeout_s:g} s")

    def idle(self) -> None:
        """See to what is retained, where that was not done since the connection was made."""
        if self._client is not None and self._connected.is_set():
            self._begin(self._client)

    def close(self) -> None:
        """Say that nobody tells events here, and go."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_connected():
            self._publish(client, Message(self._topics.availability, OFFLINE, retain=True)).wait_for_publish(2.0)
        client.disconnect()
        client.loop_stop()

    def _drop(self) -> None:
        """Begin anew with the next notice, with the password and the CA of then, without what paho keeps to send.

        A message for which a broker ends the connection would end each one that follows, also when it was given up.
        """
        client, self._client = self._client, None
        if client is None:
            return
        connection = client.socket()
        if isinstance(connection, socket.socket):
            with suppress(OSError):  # first, so that no farewell gets through, and the broker says that we are gone
                connection.shutdown(socket.SHUT_RDWR)
        client.disconnect()
        client.loop_stop()
        self._connected.clear()

    def _begin(self, client: paho.Client) -> list[paho.MQTTMessageInfo]:
        """What is to be done once a connection, before anything is told over it, and what was sent for it."""
        if not self._fresh.is_set():
            return []
        self._fresh.clear()
        try:
            self._topics.forget()
            self._remember(client)
            self._ended()
            return [self._publish(client, message) for message in self._topics.missing(self._retained)]
        except QueueUnavailable:
            self._fresh.set()
            raise

    def _ended(self) -> list[Message]:
        """What is on of jobs whose end was told to nobody: their events were trimmed before."""
        try:
            return self._topics.end(self._over(self._topics.jobs))
        except AccessDenied as error:
            log.warning("labels of jobs that are over may stay on", sink=self._sink.name, error=str(error))
            return []

    def _remember(self, client: paho.Client) -> None:
        """What another runner said is on: this one was not there, and is to say when it is over."""
        if not self._has_retained.wait(min(RETAINED_S, self._timeout_s)):
            log.warning(
                "the broker does not tell which labels are on; those of a job that ends may stay so",
                sink=self._sink.name,
                remedy=f"let its user read {self._topics.streams} and {self._topics.availability}",
            )
        client.unsubscribe([self._topics.streams, self._topics.availability])
        self._topics.remember(dict(self._retained))

    @property
    def _is_tls(self) -> bool:
        return self._sink.tls or self._sink.tls_ca is not None

    @staticmethod
    def _publish(client: paho.Client, message: Message) -> paho.MQTTMessageInfo:
        return client.publish(message.topic, message.payload, QOS, message.retain)

    def _on_connect(self, client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._why = f"refused: {printable(str(reason), 100)}"
            return
        self._retained = {}
        self._has_retained.clear()
        # Without QoS: of more than 1000 messages with it Mosquitto drops the rest (max_queued_messages).
        client.subscribe([(self._topics.streams, 0), (self._topics.availability, 0)])
        # It comes back behind what is retained, and so tells that this is all.
        self._publish(client, Message(self._topics.availability, ONLINE, retain=True))
        self._why = "not connected any more"
        self._fresh.set()
        self._connected.set()
        log.info("broker connected", sink=self._sink.name, host=self._sink.host)

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        if message.topic == self._topics.availability:
            if not message.retain:
                self._has_retained.set()
        elif message.retain and len(self._retained) < 2 * MAX_ENTITIES:  # each has attributes
            self._retained[message.topic] = bytes(message.payload)

    def _on_disconnect(self, client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        spoke = self._connected.is_set()
        self._connected.clear()
        if reason.is_failure and not self._why.startswith("refused"):
            remedy = "" if spoke or self._is_tls else "; where it speaks TLS at that port, set tls or tls_ca"
            self._why = f"connection lost: {printable(str(reason), 100)}{remedy}"

    def _on_connect_fail(self, client: paho.Client, data: Any) -> None:
        error = sys.exc_info()[1]  # paho calls this while it handles what went wrong, and does not say what
        reason = f": {told(error)}" if isinstance(error, OSError) else ""
        self._why = printable(f"no connection to {self._sink.host}:{self._sink.port}{reason}", 300)
