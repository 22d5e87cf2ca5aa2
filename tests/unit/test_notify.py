"""Who is told of what, and how it looks to a broker; addresses and secrets of sinks."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from streamtag.configuration import flatten, forget_secrets, load
from streamtag.core.records import Event
from streamtag.errors import ConfigError
from streamtag.notify_metrics import NotifyMetrics
from streamtag.notify_settings import MqttSink, WebhookSink, secret_of
from streamtag.pipeline.health import Health, http_server
from streamtag.settings import HttpSettings
from streamtag.tools.notify.notice import Notice, notice_of, notice_of_loss, wants
from streamtag.tools.notify.topics import Message, Topics, segment
from streamtag.tools.notify.webhook import signature

HOOK = {"name": "hook", "kind": "webhook", "url": "https://hooks.test/T0/s3cr3t?key=s3cr3t", "secret": "s3cr3t"}


def event(kind: str = "enter", label: str = "dog", stream: str = "gate", **more: Any) -> Event:
    named = {"label": {"class_id": 1, "name": label}} if label else {}
    return Event("5-0", "job-1", kind, 1.5, {"stream": stream} | named | more)


@pytest.mark.parametrize(
    ("sink", "heard"),
    [
        ({}, ["enter dog", "exit cat", "state", "yard"]),
        ({"kinds": ["enter", "state"]}, ["enter dog", "state", "yard"]),
        ({"labels": ["d*"]}, ["enter dog", "yard"]),
        ({"streams": ["gate"]}, ["enter dog", "exit cat", "state"]),
        ({"streams": ["y?rd"], "labels": ["cat"]}, []),
    ],
)
def test_a_sink_hears_what_it_wants_and_never_what_no_worker_writes(sink: dict[str, Any], heard: list[str]) -> None:
    events = {
        "enter dog": event(),
        "exit cat": event("exit", "cat"),
        "state": event("state", ""),
        "yard": event(stream="yard"),
        "broken": Event("6-0", "", "unreadable", 0.0, {"reason": "no JSON"}),
    }
    settings = WebhookSink.model_validate(HOOK | sink)
    assert [name for name, one in events.items() if wants(settings, one)] == heard


def test_a_signature_can_be_checked_by_who_knows_the_secret() -> None:
    time_part, signed = signature("key", 1_700_000_000, b'{"a":1}').split(",")
    assert time_part == "t=1700000000"
    assert signed == "v1=" + hmac.new(b"key", b'1700000000.{"a":1}', hashlib.sha256).hexdigest()


def by_topic(messages: list[Message]) -> dict[str, Message]:
    return {message.topic: message for message in messages}


def test_a_label_is_a_sensor_that_is_told_of_once_and_then_goes_on_and_off() -> None:
    topics = Topics("streamtag", "homeassistant", "demo.0")
    node = segment("demo.0")
    first = topics.messages(notice_of(event(score=0.9), "demo.0"))
    found = by_topic(first)
    base = f"streamtag/{node}"
    config = found[f"homeassistant/binary_sensor/streamtag-{node}/gate-dog/config"]
    about = orjson.loads(config.payload)
    assert config.retain
    assert first[0] is config, "it is told of before it has a state"
    assert about["state_topic"] == f"{base}/stream/gate/label/dog"
    assert (about["name"], about["device"]["name"]) == ("dog", "gate")
    assert about["availability_topic"] == topics.availability == f"{base}/status"
    assert found[about["state_topic"]] == Message(about["state_topic"], b"ON", retain=True)
    assert orjson.loads(found[about["json_attributes_topic"]].payload)["score"] == 0.9
    told = found[f"{base}/event/gate"]
    assert not told.retain
    assert orjson.loads(told.payload)["id"] == "5-0"
    again = by_topic(topics.messages(notice_of(event("exit"), "demo.0")))
    assert config.topic not in again
    assert again[about["state_topic"]].payload == b"OFF"
    topics.forget()
    assert config.topic in by_topic(topics.messages(notice_of(event(), "demo.0")))


def test_a_stream_has_a_state_and_its_end_turns_its_labels_off() -> None:
    topics = Topics("s", "", "q")
    topics.messages(notice_of(event(), "q"))
    topics.messages(notice_of(event(region="door"), "q"))
    state = by_topic(topics.messages(notice_of(event("state", "", state="stalled"), "q")))
    assert state["s/q/stream/gate/state"].payload == b"stalled"
    assert not [topic for topic in state if "config" in topic], "without discovery there is none"
    over = by_topic(topics.messages(notice_of(event("status", "", status="failed"), "q")))
    off = sorted(topic for topic, message in over.items() if message.payload == b"OFF")
    assert off == ["s/q/stream/gate/label/dog", f"s/q/stream/gate/label/{segment('door dog')}"]
    assert over["s/q/stream/gate/state"].payload == b"failed"


def of_job(job_id: str, kind: str = "enter", label: str = "dog", **more: Any) -> Notice:
    named = {"label": {"class_id": 1, "name": label}} if label else {}
    return notice_of(Event("5-0", job_id, kind, 1.5, {"stream": "gate"} | named | more), "q")


def test_a_label_of_two_jobs_of_one_stream_is_on_while_any_of_them_has_it() -> None:
    topics = Topics("s", "", "q")
    dog, state = "s/q/stream/gate/label/dog", "s/q/stream/gate/state"
    for job_id in ("one", "two"):
        topics.messages(of_job(job_id, "state", "", state="live"))
        told = by_topic(topics.messages(of_job(job_id)))
        assert told[dog].payload == b"ON"
    assert orjson.loads(told[f"{dog}/attributes"].payload)["jobs"] == ["one", "two"]
    told = by_topic(topics.messages(of_job("one", "exit")))
    assert told[dog].payload == b"ON", "the other one sees it still"
    assert orjson.loads(told[f"{dog}/attributes"].payload)["jobs"] == ["two"]
    topics.messages(of_job("one"))
    over = by_topic(topics.messages(of_job("one", "status", "", status="done")))
    assert dog not in over
    assert over[state].payload == b"live", "as the other one says"
    over = by_topic(topics.messages(of_job("two", "status", "", status="failed")))
    assert (over[dog].payload, over[state].payload) == (b"OFF", b"failed")
    assert topics.jobs == set()


def test_what_is_retained_of_jobs_that_are_over_goes_off() -> None:
    first, second = Topics("s", "", "q"), Topics("s", "", "q")
    dog, state = "s/q/stream/gate/label/dog", "s/q/stream/gate/state"
    notices = [of_job("one", "state", "", state="live"), of_job("one"), of_job("two"), of_job("two", label="cat")]
    retained = {one.topic: one.payload for told in map(first.messages, notices) for one in told if one.retain}
    odd = {"s/q/stream/x/label/y": b"ON", "s/q/stream/x/label/y/attributes": b"[", "s/q/stream/a/b/c": b"ON"}
    second.remember(retained | odd)
    assert second.jobs == {"one", "two"}
    assert by_topic(second.end({"two"})) == {(cat := f"{dog[:-3]}cat"): Message(cat, b"OFF", retain=True)}
    over = by_topic(second.end({"one", "two"}))
    assert (over[dog].payload, over[state].payload) == (b"OFF", b"unknown")
    assert orjson.loads(over[f"{state}/attributes"].payload) == {"jobs": []}
    assert second.end({"one", "two"}) == []


@pytest.mark.parametrize("evil", ["#", "+", "a/b", "$SYS", "é", "x" * 500, "a\x00b", ""])
def test_a_hostile_name_is_one_level_of_a_topic_and_nobody_else_s(evil: str) -> None:
    assert segment(evil) != segment(evil.replace("x", "y") + "_")
    assert set(segment(evil)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    assert 0 < len(segment(evil)) < 60
    for message in Topics("s", "ha", "q").messages(notice_of(event(label=evil, stream=evil), "q")):
        assert not set("#+\0$") & set(message.topic)


def test_a_kind_that_no_worker_writes_is_one_level_of_a_topic_too() -> None:
    strange = Event("5-0", "", "a/#", 0.0, {"stream": ""})
    (message,) = Topics("s", "", "q").messages(notice_of(strange, "q"))
    assert message.topic == f"s/q/{segment('a/#')}"


def test_a_loss_is_told_with_its_count() -> None:
    assert notice_of_loss(None, "7-1", "q").content == {"queue": "q", "kind": "lost", "count": None, "after": "7-1"}
    assert [one.topic for one in Topics("s", "", "q").messages(notice_of_loss(3, "7-1", "q"))] == ["s/q/lost"]


@pytest.mark.parametrize(
    ("sinks", "says"),
    [
        ([HOOK | {"url": "ftp://hooks.test/s3cr3t"}], "write it as http://host/path"),
        ([HOOK | {"url": "https:///s3cr3t"}], "write it as http://host/path"),
        ([HOOK | {"url": "https://hooks..test/s3cr3t"}], "write it as http://host/path"),
        ([HOOK | {"url": "https://hooks test/s3cr3t"}], "write it as http://host/path"),
        ([HOOK | {"url": "https://me:s3cr3t@hooks.test/"}], "a user and password in it"),
        ([HOOK | {"secret_file": "/x"}], "choose one of secret and secret_file"),
        ([HOOK, HOOK], "two sinks have the same name"),
        ([HOOK | {"kinds": ["entre"]}], "notify.sinks.0.webhook.kinds.0"),
        ([HOOK | {"kind": "mail"}], "notify.sinks.0"),
        ([{"name": "b", "kind": "mqtt", "host": "b", "prefix": "a/#", "password": "s3cr3t"}], "prefix"),
    ],
)
def test_a_sink_that_is_set_wrong_is_named_without_its_secret(sinks: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"notify.sinks": sinks})
    assert says in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_secrets_of_sinks_are_shown_nowhere() -> None:
    settings, _ = load(None, {"notify.sinks": [HOOK, {"name": "b", "kind": "mqtt", "host": "b", "password": "s3cr3t"}]})
    assert "s3cr3t" not in repr(settings) + str(flatten(settings)) + settings.model_dump_json()
    assert flatten(settings)["notify.sinks"][0]["name"] == "hook"
    assert isinstance(settings.notify.sinks[1], MqttSink)


def test_sinks_of_the_environment_are_forgotten_once_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMTAG_NOTIFY__SINKS", json.dumps([HOOK]))
    settings, _ = load()
    assert [sink.name for sink in settings.notify.sinks] == ["hook"]
    forget_secrets()
    assert "STREAMTAG_NOTIFY__SINKS" not in os.environ


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("from a file \n")
    assert secret_of(SecretStr(""), path) == "from a file "
    assert secret_of(SecretStr("given"), None) == "given"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(ConfigError, match="4096"):
        secret_of(SecretStr(""), path)
    with pytest.raises(ConfigError, match="No such file"):
        secret_of(SecretStr(""), tmp_path / "none")


def test_a_port_that_nobody_chose_gives_way_to_a_worker_and_a_chosen_one_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        unset = HttpSettings.model_construct(set(), host="127.0.0.1", port=port, stuck_s=60.0)
        server = http_server(unset, NotifyMetrics([]).registry, Health(60.0))
        server.start()
        assert server.url.startswith("http://127.0.0.1:")
        assert server.url != f"http://127.0.0.1:{port}"
        server.stop()
        with pytest.raises(ConfigError, match=rf"{port}.*choose another http\.port"):
            http_server(HttpSettings(port=port), NotifyMetrics([]).registry, Health(60.0))
