"""What runs beside the worker, in its image and locked up as a cluster locks it: the page, and events for others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from streamtag.settings import Settings

from tests.support import eventually
from tests.support.containers import Container, Containers
from tests.support.mosquitto import PASSWORD, USER, Mosquitto, Subscriber
from tests.support.page import Told, ask
from tests.support.stored_job import StoredJob
from tests.support.webhook_receiver import WebhookReceiver

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

DOG = {"class_id": 1, "name": "dog", "score": 0.9}


@dataclass(frozen=True)
class Address:
    """Where a container serves the page."""

    url: str


def said(container: Container, event: str) -> list[dict[str, Any]]:
    """The lines of a log about an event."""
    lines = [json.loads(line) for line in container.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_the_page_is_served_and_shows_a_stream(
    containers: Containers, image: str, own: list[str], settings: Settings
) -> None:
    StoredJob(settings, "gate", "rtsp://camera.lan/gate").publish(results=[{}])
    with containers.running(image, "view", options=[*own, "--env=STREAMTAG_VIEW__PORT=0"]) as page:
        (ready,) = eventually(lambda: said(page, "ready"), "it is ready")
        address = Address(ready["page"])
        answer = ask(address, "/")
        assert answer.status == 200
        assert b"/static/main.js" in answer.read()
        assert ask(address, "/static/main.js").status == 200
        told = Told(address)
        told.know("gate")
        assert told.jobs["gate"]["state"] == "live"
        told.answer.close()
        page.signal("TERM")
        assert page.wait() == 0, page.log


def test_events_are_told_to_a_web_server_and_a_broker(
    containers: Containers, image: str, own: list[str], settings: Settings, tmp_path: Path
) -> None:
    with WebhookReceiver() as receiver, Mosquitto(tmp_path) as broker, Subscriber(broker.port) as subscriber:
        sinks = [
            {"name": "hook", "kind": "webhook", "url": receiver.url},
            {"name": "home", "kind": "mqtt", "host": "127.0.0.1", "port": broker.port}
            | {"username": USER, "password": PASSWORD},
        ]
        options = [*own, f"--env=STREAMTAG_NOTIFY__SINKS={json.dumps(sinks)}"]
        with containers.running(image, "notify", options=options) as notifier:
            news = "a new sink hears what happens from now on"
            eventually(lambda: len(said(notifier, news)) == 2, "its sinks have begun")
            StoredJob(settings, "gate").publish(events=[{"kind": "enter", "label": DOG}])
            eventually(lambda: [told.content["label"]["name"] for told in list(receiver.told)] == ["dog"], "it is told")
            eventually(
                lambda: [topic for topic, _, _ in list(subscriber.messages) if topic.endswith("/event/gate")],
                "the broker hears of it",
            )
            notifier.signal("TERM")
            assert notifier.wait() == 0, notifier.log
            assert PASSWORD not in notifier.log
