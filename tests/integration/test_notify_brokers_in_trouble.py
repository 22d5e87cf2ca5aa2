"""Brokers that forget, refuse, or end the connection: what is told of later is told all the same."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Set
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
def channel_to(
    broker: Mosquitto, over: Callable[[Set[str]], Set[str]] = lambda jobs: set(), **more: Any
) -> Iterator[Mqtt]:
    about = {"name": "home", "kind": "mqtt", "host": "127.0.0.1", "port": broker.port, "username": USER}
    secret = {} if "password_file" in more else {"password": PASSWORD}
    channel = Mqtt(MqttSink.model_validate(about | secret | more), TIMEOUT_S, "q", over)
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


def test_a_message_that_ends_the_connection_holds_up_none_behind_it(tmp_path: Path) -> None:
    """The client of a connection once sent what was given up again and again, and the broker hung up each time."""
    with Mosquitto(tmp_path, more=["max_packet_size 5000"]) as broker, channel_to(broker) as channel:
        channel.send(enter(1))
        for _ in range(2):
            with pytest.raises(Unreachable):
                channel.send(enter(2, text="x" * 9000))
        with Subscriber(broker.port) as subscriber:
            channel.send(enter(3, "cat"))
            eventually(lambda: subscriber.last("streamtag/q/stream/gate/label/cat") == b"ON", "it is told")


def test_a_broker_that_hangs_is_waited_for_once_an_event_and_not_once_a_message(tmp_path: Path) -> None:
    """A runner that was to end was not done in the time that Kubernetes gives it."""
    with Mosquitto(tmp_path) as broker, channel_to(broker) as channel:
        channel.send(state(1, "live"))
        broker.signal(signal.SIGSTOP)
        try:
            began_s = time.monotonic()
            with pytest.raises(Unreachable, match=r"acknowledged nothing for 3 s"):
                channel.send(enter(2))
            assert time.monotonic() - began_s < 2 * TIMEOUT_S
        finally:
            broker.signal(signal.SIGCONT)
        channel.send(enter(2))


def test_a_broker_that_lost_what_it_retains_is_told_it_again(tmp_path: Path) -> None:
    """Mosquitto keeps nothing across a restart unless it is told to; a state may hold for weeks."""
    with Mosquitto(tmp_path) as broker, channel_to(broker) as channel:
        channel.send(state(1, "live"))
        channel.send(enter(2))
        channel.send(enter(3, "cat"))
        channel.send(Notice("4-0", enter(4, "cat").content | {"kind": "exit"}))
        broker.kill()
        broker.start()
        base = "streamtag/q/stream/gate"

        def retained() -> list[bytes | None]:
            channel.idle()
            with Subscriber(broker.port) as late:
                eventually(lambda: late.last("streamtag/q/status"), "it is there")
                names = f"{base}/state", f"{base}/label/dog", f"{base}/label/cat"
                return [late.last(name) for name in names]

        eventually(lambda: retained() == [b"live", b"ON", b"OFF"], "all of it is there again")
        with Subscriber(broker.port) as late:
            config = "homeassistant/binary_sensor/streamtag-q/gate-dog/config"
            eventually(lambda: late.last(config), "and what Home Assistant finds")


def test_however_much_a_broker_retains_all_of_it_is_asked_for(tmp_path: Path) -> None:
    """Of a thousand messages with QoS 1, or the few here, it told the first; labels of the others stayed on."""
    jobs = {f"job-{number}" for number in range(60)}
    asked: list[set[str]] = []

    def over(found: Set[str]) -> set[str]:
        asked.append(set(found))
        return set()

    with Mosquitto(tmp_path, more=["max_queued_messages 20"]) as broker:
        with channel_to(broker) as before:
            for number, job_id in enumerate(sorted(jobs)):
                before.send(enter(number, f"label-{number}", job_id=job_id))
        with channel_to(broker, over) as after:
            after.send(state(61, "live"))
    assert asked == [jobs]


def test_a_new_password_is_taken_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("the old one")
    with Mosquitto(tmp_path) as broker, channel_to(broker, password_file=file) as channel:
        with pytest.raises(Unreachable, match="refused"):
            channel.send(enter(1))
        file.write_text(PASSWORD)
        channel.send(enter(1))


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
