"""Brokers that forget, refuse, or end the connection: what is told of later is told all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from streamtag.notify_settings import MqttSink
from streamtag.tools.notify.mqtt import Mqtt
from streamtag.tools.notify.notice import Notice, Unreachable

from tests.support import eventually
from tests.support.mosquitto import PASSWORD, USER, Mosquitto, Subscriber

TIMEOUT_S = 3.0


@contextmanager
def channel_to(broker: Mosquitto, **more: Any) -> Iterator[Mqtt]:
    about = {"name": "home", "kind": "mqtt", "host": "127.0.0.1", "port": broker.port, "username": USER}
    secret = {} if "password_file" in more else {"password": PASSWORD}
    channel = Mqtt(MqttSink.model_validate(about | secret | more), TIMEOUT_S, "q")
    channel.open()
    try:
        yield channel
    finally:
        channel.close()


def enter(number: int, label: str = "dog", **more: Any) -> Notice:
    content = {"kind": "enter", "stream": "gate", "job_id": "one", "label": {"name": label}}
    return Notice(f"{number}-0", content | more)


def state(number: int, name: str) -> Notice:
    return Notice(f"{number}-0", {"kind": "state", "stream": "gate", "job_id": "one", "state": name})


def test_two_installations_under_prefixes_of_their_own_do_not_disturb_each_other(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        channel_to(broker) as one,
        channel_to(broker, prefix="trial") as other,
        Subscriber(broker.port) as subscriber,
    ):
        for number in range(5):
            one.send(enter(number))
            other.send(enter(number))
        said = [payload for topic, payload, _ in subscriber.messages if topic.endswith("/status")]
        assert b"offline" not in said
        configs = {topic for topic, _, _ in subscriber.messages if topic.endswith("/gate-dog/config")}
        assert len(configs) == 2, "Home Assistant finds both"
