"""A real broker of MQTT with a user, and somebody who hears everything that it is told."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.ports import free_port
from tests.support.waiting import eventually

USER, PASSWORD = "streamtag", "mqtt's secret"


class Mosquitto:
    """A mosquitto of the test's own on 127.0.0.1, which knows one user. What is retained goes with it.

    Args:
        certificate: file of its certificate with the key, for TLS.
        more: lines of its configuration.
    """

    def __init__(self, folder: Path, certificate: Path | None = None, more: Sequence[str] = ()) -> None:
        found = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert found, "mosquitto is missing: make system installs it"
        self._command = [found, "-c", str(folder / "mosquitto.conf")]
        self.port = free_port()
        self._passwords = folder / "passwords"
        self.know(PASSWORD)
        # As root it would become a user who may not read the test's folder.
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous false", f"password_file {self._passwords}"]
        lines += ["user root", *more]
        if certificate is not None:
            lines += [f"certfile {certificate}", f"keyfile {certificate}"]
        (folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def know(self, password: str) -> None:
        """Take this one of its user from the next start on."""
        command = ["mosquitto_passwd", "-c", "-b", str(self._passwords), USER, password]
        subprocess.run(command, check=True, capture_output=True)
        self._passwords.chmod(0o644)

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        eventually(self._listens, "mosquitto listens", 20)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Mosquitto:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Subscriber:
    """Hears all topics of a broker, also after it was away.

    Attributes:
        messages: topic, payload and whether it was retained from before, in the order in which they came.
    """

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(USER, PASSWORD)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def __enter__(self) -> Subscriber:
        assert self._subscribed.wait(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def last(self, topic: str) -> bytes | None:
        """What was last said of a topic."""
        return next((payload for found, payload, _ in reversed(self.messages) if found == topic), None)

    def _on_connect(self, client: paho.Client, *rest: Any) -> None:
        client.subscribe("#", 1)

    def _on_subscribe(self, *rest: Any) -> None:
        self._subscribed.set()

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        self.messages.append((message.topic, bytes(message.payload), message.retain))
