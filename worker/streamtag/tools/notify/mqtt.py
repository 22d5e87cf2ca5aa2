"""A broker of MQTT, by paho: each message at least once, and the broker says when we are gone."""

from __future__ import annotations

import threading
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from streamtag.logs import log
from streamtag.notify_settings import MqttSink, secret_of
from streamtag.redaction import printable
from streamtag.tools.notify.notice import Notice, Unreachable
from streamtag.tools.notify.topics import OFFLINE, ONLINE, Message, Topics

KEEPALIVE_S = 15
QOS = 1


class Mqtt:
    """A connection that paho keeps, and makes anew when it breaks.

    Args:
        timeout_s: for the broker to acknowledge one notice.
        queue: whose events; names the client, so that of two runners the later one is heard.
    """

    def __init__(self, sink: MqttSink, timeout_s: float, queue: str) -> None:
        self._sink = sink
        self._timeout_s = timeout_s
        self._topics = Topics(sink.prefix, sink.discovery, queue)
        self._client_id = f"streamtag-{queue}-{sink.name}"
        self._client: paho.Client | None = None
        self._why = "not connected yet"
        self._connected = threading.Event()
        self._fresh = threading.Event()  # connected since the last notice

    def open(self) -> None:
        """Begin to connect; that a broker is away is told by ``send``."""
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=paho.MQTTv311)
        if self._sink.username:
            client.username_pw_set(self._sink.username, secret_of(self._sink.password, self._sink.password_file))
        if self._sink.tls or self._sink.tls_ca:
            client.tls_set(ca_certs=str(self._sink.tls_ca) if self._sink.tls_ca else None)
        client.will_set(self._topics.availability, OFFLINE, QOS, retain=True)
        client.reconnect_delay_set(1, 30)
        client.connect_timeout = self._timeout_s
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_connect_fail = self._on_connect_fail
        client.connect_async(self._sink.host, self._sink.port, KEEPALIVE_S)
        client.loop_start()
        self._client = client

    def send(self, notice: Notice) -> None:
        """Publish it, and what it changes, and wait until the broker has all of it."""
        if self._client is None or not self._connected.wait(self._timeout_s):
            raise Unreachable(self._why)
        if self._fresh.is_set():
            self._fresh.clear()
            self._topics.forget()
        sent = [self._publish(self._client, message) for message in self._topics.messages(notice)]
        try:
            for info in sent:
                info.wait_for_publish(self._timeout_s)
        except (RuntimeError, ValueError) as error:
            raise Unreachable(printable(str(error), 200)) from None
        if not all(info.is_published() for info in sent):
            self._topics.forget()  # whatever of it the broker has: all of it again
            raise Unreachable(f"the broker acknowledged nothing for {self._timeout_s:g} s")

    def close(self) -> None:
        """Say that nobody tells events here, and go."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_connected():
            self._publish(client, Message(self._topics.availability, OFFLINE, retain=True)).wait_for_publish(2.0)
        client.disconnect()
        client.loop_stop()

    @staticmethod
    def _publish(client: paho.Client, message: Message) -> paho.MQTTMessageInfo:
        return client.publish(message.topic, message.payload, QOS, message.retain)

    def _on_connect(self, client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._why = f"refused: {printable(str(reason), 100)}"
            return
        self._publish(client, Message(self._topics.availability, ONLINE, retain=True))
        self._fresh.set()
        self._connected.set()
        log.info("broker connected", sink=self._sink.name, host=self._sink.host)

    def _on_disconnect(self, client: paho.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._connected.clear()
        if reason.is_failure and not self._why.startswith("refused"):
            self._why = f"connection lost: {printable(str(reason), 100)}"

    def _on_connect_fail(self, client: paho.Client, data: Any) -> None:
        self._why = f"no answer from {self._sink.host}:{self._sink.port}"
