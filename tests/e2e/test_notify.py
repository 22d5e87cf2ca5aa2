"""``streamtag notify``: a real web server and a real broker hear of events, whatever fails."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamtag.settings import Settings
from streamtag.tools.notify.topics import segment

from tests.support import RedisServer, Worker, eventually, json_lines, redis_binaries, run_cli, settings_for
from tests.support.mosquitto import PASSWORD, USER, Mosquitto, Subscriber
from tests.support.notify_runner import events, ready, start
from tests.support.stored_job import StoredJob
from tests.support.webhook_receiver import WebhookReceiver

SECRET = "the key of the signatures"


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as found:
        yield found


def hook(receiver: WebhookReceiver, name: str = "hook", path: str = "/", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "webhook", "url": f"{receiver.url}{path}"} | more


def told_of(runner: Worker, sink: str, outcome: str) -> float:
    """Events of a sink with that outcome, as Prometheus would see them."""
    return runner.metric("streamtag_notify_events_total", sink=sink, outcome=outcome)


def times(receiver: WebhookReceiver) -> list[float]:
    return [told.content["pts_s"] for told in list(receiver.told) if told.content["kind"] != "lost"]


def test_events_are_signed_filtered_tried_again_and_held_up_by_nobody_else(
    settings: Settings, receiver: WebhookReceiver, runners: list[Worker]
) -> None:
    receiver.answers = [503, 0, 302, 500]
    runner = start(
        runners,
        settings,
        hook(receiver, "slow", "/hangs"),
        hook(receiver, path="/T0/path-s3cr3t?key=s3cr3t", secret=SECRET, labels=["dog"]),
    )
    ready(runner, 2)
    job = StoredJob(settings)
    cat = {"kind": "enter", "pts_s": 9.0, "label": {"class_id": 2, "name": "cat"}}
    job.publish(events=[*events(2), cat, {"kind": "state", "state": "live"}, *events(1, first=2)])
    eventually(lambda: times(receiver) == [0, 1, 2], "the dogs are told, in order")
    assert [told.event_id for told in receiver.refused] == [receiver.told[0].event_id] * 4
    assert len({told.event_id for told in receiver.told}) == 3
    for told in receiver.told:
        assert told.path == "/T0/path-s3cr3t?key=s3cr3t"
        assert told.content["id"] == told.event_id
        at, signed = (part.partition("=")[2] for part in told.headers["X-Streamtag-Signature"].split(","))
        assert signed == hmac.new(SECRET.encode(), f"{at}.".encode() + told.body, hashlib.sha256).hexdigest()
        assert abs(int(at) - time.time()) < 120
    eventually(lambda: told_of(runner, "hook", "delivered") == 3, "they are counted")
    assert runner.metric("streamtag_notify_retries_total", sink="hook") == 4
    assert runner.metric("streamtag_notify_oldest_undelivered_seconds", sink="hook") == 0
    assert runner.metric("streamtag_notify_oldest_undelivered_seconds", sink="slow") > 0
    assert told_of(runner, "slow", "delivered") == 0
    assert runner.metric("streamtag_notify_lease") == 1
    assert runner.get("/readyz")[0] == runner.get("/livez")[0] == 200
    runner.signal(signal.SIGTERM)
    assert runner.wait() == 0
    assert runner.said("sink takes events again", sink="hook")
    said = "".join(runner.raw)
    assert SECRET not in said
    assert "s3cr3t" not in said
    after = start(runners, settings, hook(receiver, path="/again", labels=["dog"]))
    job.publish(events=events(1, first=3))
    eventually(lambda: times(receiver) == [0, 1, 2, 3], "it goes on where it was")
    assert not after.said("waiting: another runner tells events")


@pytest.mark.long
def test_a_runner_is_killed_and_another_goes_on_and_nothing_is_lost(
    settings: Settings, receiver: WebhookReceiver, runners: list[Worker]
) -> None:
    first = start(runners, settings, hook(receiver))
    ready(first)
    second = start(runners, settings, hook(receiver))
    eventually(lambda: second.said("waiting: another runner tells events"), "the second one waits")
    assert [one.metric("streamtag_notify_lease") for one in (first, second)] == [1, 0]
    job = StoredJob(settings)
    for number in range(60):
        job.publish(events=events(5, first=5 * number))
        if number == 20:
            eventually(lambda: len(receiver.told) > 20, "some are told")
            first.kill()
    eventually(lambda: set(times(receiver)) == set(map(float, range(300))), "each of them is told")
    # In order, but that some of the last ones before the kill may be told twice.
    assert len(receiver.told) <= 302
    assert not first.said("waiting: another runner tells events")
    assert second.said("telling events")
    eventually(lambda: second.metric("streamtag_notify_lease") == 1, "its metrics say so")


@pytest.mark.long
def test_events_that_were_trimmed_are_declared_lost_with_their_count(
    settings: Settings, receiver: WebhookReceiver, runners: list[Worker]
) -> None:
    runner = start(runners, settings, hook(receiver))
    ready(runner)
    job = StoredJob(settings)
    job.publish(events=events(1))
    eventually(lambda: times(receiver) == [0], "the first is told")
    runner.signal(signal.SIGTERM)
    assert runner.wait() == 0
    job.publish(events=events(30, first=1))
    job.trim_events(4)
    after = start(runners, settings, hook(receiver))
    eventually(lambda: times(receiver) == [0, 27, 28, 29, 30], "what is left is told")
    eventually(lambda: told_of(after, "hook", "delivered") == 4, "it is counted")
    assert told_of(after, "hook", "lost") == 26
    (lost,) = [told for told in receiver.told if told.content["kind"] == "lost"]
    assert lost.content["count"] == 26
    assert lost.event_id == f"lost-{receiver.told[0].event_id}"
    (status,) = json_lines(run_cli(settings, "notify", "--status", "--json", env=named("hook")).stdout)
    assert (status["lost"], status["delivered"], status["behind"], status["dead"]) == (26, 5, 0, 0)
    assert status["runner"]


def named(*names: str) -> dict[str, str]:
    sinks = [{"name": name, "kind": "webhook", "url": "http://127.0.0.1:9/"} for name in names]
    return {"STREAMTAG_NOTIFY__SINKS": json.dumps(sinks)}


@pytest.mark.long
def test_what_a_sink_does_not_take_becomes_a_dead_letter(
    settings: Settings, receiver: WebhookReceiver, runners: list[Worker]
) -> None:
    receiver.answers = [422]
    sinks = hook(receiver), hook(receiver, "moved", "/moved/s3cr3t")
    runner = start(runners, settings, *sinks, more=("notify.give_up_s=1.5",))
    ready(runner, 2)
    StoredJob(settings).publish(events=events(2))
    eventually(lambda: times(receiver) == [1], "the second is told")

    def letters() -> list[dict[str, Any]]:
        return json_lines(run_cli(settings, "notify", "--dead-letters", "--json").stdout)

    found = eventually(lambda: [one for one in [letters()] if len(one) == 3], "both give up")[0]
    (refused,) = [one for one in found if one["sink"] == "hook"]
    assert (refused["tries"], refused["reason"], refused["event"]["pts_s"]) == (1, "answered 422", 0.0)
    moved = [one for one in found if one["sink"] == "moved"]
    assert [one["event"]["pts_s"] for one in moved] == [0.0, 1.0]
    assert moved[0]["reason"] == "answered 302, which is not followed"
    assert moved[0]["tries"] > 2
    assert (told_of(runner, "hook", "refused"), told_of(runner, "moved", "expired")) == (1, 2)
    assert not [told for told in [*receiver.told, *receiver.refused] if told.path == "/elsewhere"]
    assert "s3cr3t" not in "".join(runner.raw) + json.dumps(found)
    receiver.answers = [422]
    env = {"STREAMTAG_NOTIFY__SINKS": json.dumps(sinks)}
    for name, status, left in (("hook", "dead letter", 3), ("hook", "told", 2), ("moved", "dead letter", 2)):
        again = run_cli(settings, "notify", "--retry", name, "--json", env=env)
        (told,) = json_lines(again.stdout)  # of `moved` none after the first, since it cannot be reached
        assert (told["status"], again.returncode) == (status, 0 if status == "told" else 1)
        assert len(letters()) == left
    none = run_cli(settings, "notify", "--retry", "hook", env=env)
    assert (none.stdout, none.returncode) == ("hook has no dead letters\n", 0)
    assert times(receiver) == [1, 0]
    assert receiver.told[-1].event_id == receiver.refused[0].event_id


def test_the_reason_of_now_is_told_and_not_the_one_that_it_began_with(
    settings: Settings, receiver: WebhookReceiver, runners: list[Worker]
) -> None:
    """As where a server is started, and then does not know the key."""
    receiver.answers = [503] * 2 + [401] * 10_000
    runner = start(runners, settings, hook(receiver))
    ready(runner)
    StoredJob(settings).publish(events=events(1))
    for reason in ("answered 503", "answered 401"):
        eventually(lambda: runner.said("sink does not take an event, trying on", reason=reason), reason)  # noqa: B023
    (status,) = json_lines(run_cli(settings, "notify", "--status", "--json", env=named("hook")).stdout)
    assert status["trouble"] == "answered 401"


@pytest.mark.long
def test_events_that_somebody_else_wrote_stop_nobody(
    settings: Settings, receiver: WebhookReceiver, tmp_path: Path, runners: list[Worker]
) -> None:
    """Whoever may write events may write anything; what comes behind it is told all the same."""
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as subscriber:
        mqtt = {"name": "broker", "kind": "mqtt", "host": "127.0.0.1", "port": broker.port, "username": USER}
        runner = start(runners, settings, hook(receiver), mqtt | {"password": PASSWORD})
        ready(runner, 2)
        job = StoredJob(settings)
        deep: dict[str, Any] = {}
        for _ in range(40):
            deep = {"a": deep}
        label = {"class_id": 1, "name": "#/+\r\nX: y" * 2000}
        job.publish(
            events=[
                {"kind": "kind → #/+\r\nX-Header: 1", "stream": "", "job_id": ""},
                {"kind": "enter", "label": label, "stream": "#" * 5000, "id": "mine", "queue": "mine"},
                {"kind": "enter", "label": {"name": 5}},
                {"kind": "enter", "deep": deep},
                {"kind": "status", "status": {"a": [1]}, "stream": ["x"]},
                *events(1, first=7),
            ]
        )
        job.raw_event(b"\xff no JSON")
        job.publish(events=events(1, first=8))
        eventually(lambda: times(receiver)[-2:] == [7, 8], "the web server hears of what comes behind")
        topic = f"streamtag/{segment(f'{settings.model.name}.0')}/event/film-1"
        eventually(lambda: b'"pts_s":8.0' in (subscriber.last(topic) or b""), "the broker does")
        assert runner.process.poll() is None
        forged = [told for told in receiver.told if str(told.content.get("stream")).startswith("#")]
        assert [told.content["id"] for told in forged] == [told.event_id for told in forged] != []
        assert forged[0].content["queue"] != "mine"
        assert not [told for told in receiver.told if told.headers["X-Header"]]


@pytest.mark.long
def test_redis_may_go_and_come_back(tmp_path: Path, receiver: WebhookReceiver, runners: list[Worker]) -> None:
    with RedisServer(redis_binaries()[0], tmp_path) as server:
        settings = settings_for(server)
        runner = start(runners, settings, hook(receiver))
        ready(runner)
        StoredJob(settings, "before").publish(events=events(1))
        eventually(lambda: times(receiver) == [0], "the first is told")
        server.kill()
        eventually(lambda: runner.said("redis does not answer, trying on", sink="hook"), "it says so")
        eventually(lambda: runner.get("/readyz")[0] == 503, "it is not ready")
        assert runner.get("/livez")[0] == 200
        server.start()
        StoredJob(settings, "after").publish(events=events(1, first=1))
        eventually(lambda: times(receiver) == [0, 1], "the second is told")
        assert runner.process.poll() is None
        eventually(lambda: runner.get("/readyz")[0] == 200, "it is ready again")


@pytest.mark.long
def test_what_is_set_wrong_ends_it_before_any_event(settings: Settings, tmp_path: Path) -> None:
    missing = [{"name": "hook", "kind": "webhook", "url": "http://h/", "secret_file": str(tmp_path / "none")}]
    broker = [{"name": "home", "kind": "mqtt", "host": "broker.lan"}]
    (tmp_path / "ca.pem").write_text("no certificate")
    no_ca = [broker[0] | {"tls_ca": str(tmp_path / "ca.pem")}]
    for arguments, env, says in (
        ([], {}, "no sink is set"),
        ([], {"STREAMTAG_NOTIFY__SINKS": json.dumps(missing)}, "No such file"),
        ([], {"STREAMTAG_NOTIFY__SINKS": json.dumps(no_ca)}, "ca.pem: no certificate in it"),
        (["--retry", "hock"], {"STREAMTAG_NOTIFY__SINKS": json.dumps(missing)}, "no 'hock'; those there: hook"),
        (["--retry", "home"], {"STREAMTAG_NOTIFY__SINKS": json.dumps(broker)}, "only webhooks are told again"),
        (["--json"], {}, "--json belongs to"),
    ):
        ran = run_cli(settings, "notify", *arguments, env=env)
        assert ran.returncode == 2, ran.stderr
        assert says in ran.stderr.replace("\n", " ")


def test_a_status_without_sinks_says_how_to_set_one(settings: Settings) -> None:
    ran = run_cli(settings, "notify", "--status")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("no sink is set: name webhooks and brokers under notify.sinks")
    ran = run_cli(settings, "notify", "--status", "--json")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "notify.sinks" in ran.stderr
