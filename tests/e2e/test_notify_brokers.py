"""``streamtag notify`` and brokers: a real one hears of events and states, whoever of several runners tells them."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import orjson
import pytest
from streamtag.settings import Settings
from streamtag.tools.notify.topics import segment

from tests.support import Worker, eventually
from tests.support.mosquitto import PASSWORD, USER, Mosquitto, Subscriber
from tests.support.notify_runner import events, ready, start
from tests.support.stored_job import StoredJob


def to_broker(broker: Mosquitto, **secret: str) -> dict[str, Any]:
    """A sink of the settings."""
    at = {"host": "127.0.0.1", "port": broker.port, "username": USER}
    return {"name": "broker", "kind": "mqtt"} | at | (secret or {"password": PASSWORD})


def streams_of(settings: Settings) -> str:
    """The level of all streams of the queue."""
    return f"streamtag/{segment(f'{settings.model.name}.0')}/stream"


@pytest.mark.long
def test_a_broker_hears_states_that_home_assistant_finds_and_when_nobody_tells(
    settings: Settings, tmp_path: Path, runners: list[Worker]
) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as subscriber:
        (tmp_path / "password").write_text(f"{PASSWORD}\n")
        sink = to_broker(broker, password_file=str(tmp_path / "password"))
        first = start(runners, settings, sink)
        ready(first)
        job = StoredJob(settings, "gate")
        job.publish(events=[{"kind": "state", "state": "live"}, *events(1)])
        node = segment(f"{settings.model.name}.0")
        base = f"streamtag/{node}"
        dog = f"{base}/stream/gate/label/dog"
        eventually(lambda: subscriber.last(dog) == b"ON", "the dog is on")
        config = subscriber.last(f"homeassistant/binary_sensor/streamtag-{node}/gate-dog/config")
        assert config is not None
        assert orjson.loads(config)["state_topic"] == dog
        assert subscriber.last(f"{base}/stream/gate/state") == b"live"
        assert subscriber.last(f"{base}/status") == b"online"
        second = start(runners, settings, sink)
        eventually(lambda: second.said("waiting: another runner tells events"), "the second one waits")
        first.kill()
        eventually(lambda: subscriber.last(f"{base}/status") == b"offline", "the broker says that it is gone")
        job.publish(events=[events(1)[0] | {"kind": "exit"}])
        eventually(lambda: subscriber.last(dog) == b"OFF", "the other one tells that the dog is gone")
        assert subscriber.last(f"{base}/status") == b"online"
        with Subscriber(broker.port) as late:
            eventually(lambda: late.last(dog) == b"OFF", "who comes late hears what is retained")
            assert late.last(f"{base}/status") == b"online"
            assert all(retained for _, _, retained in late.messages)
            assert not [topic for topic, _, _ in late.messages if "/event/" in topic]
        broker.kill()
        job.publish(events=events(1, first=1))
        eventually(lambda: second.said("sink does not take an event, trying on"), "it says that the broker is away")
        broker.start()
        eventually(lambda: subscriber.last(dog) == b"ON", "it is told once the broker is back")
        second.signal(signal.SIGTERM)
        assert second.wait() == 0
        eventually(lambda: subscriber.last(f"{base}/status") == b"offline", "it says that it leaves")
    assert PASSWORD not in "".join([*first.raw, *second.raw])


def test_a_label_that_another_runner_switched_on_goes_off_with_its_job(
    settings: Settings, tmp_path: Path, runners: list[Worker]
) -> None:
    """Whoever takes over was not there when the label entered; the broker was."""
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as subscriber:
        sink, stream = to_broker(broker), streams_of(settings)
        first = start(runners, settings, sink)
        ready(first)
        names = ("gate", "hall", "Größe #1")
        topics = [f"{stream}/{segment(name)}/label/dog" for name in names]
        jobs = [StoredJob(settings, f"job-{number}") for number in range(len(names))]
        for job, name in zip(jobs, names, strict=True):
            job.publish(events=[events(1)[0] | {"stream": name}])
        eventually(lambda: [subscriber.last(topic) for topic in topics] == [b"ON"] * 3, "there are dogs")
        first.kill()
        second = start(runners, settings, sink)
        for job, name in zip(jobs[1:], names[1:], strict=True):
            job.publish(events=[{"kind": "status", "status": "failed", "stream": name}])
        eventually(lambda: [subscriber.last(topic) for topic in topics] == [b"ON", b"OFF", b"OFF"], "two jobs are over")
        assert not second.said("the broker does not tell which labels are on; those of a job that ends may stay so")


def test_states_of_jobs_that_are_over_go_off_also_where_their_end_was_trimmed_and_others_stay(
    settings: Settings, tmp_path: Path, runners: list[Worker]
) -> None:
    """They once stayed on for ever; and the exit of one job switched off what another one of its stream sees."""
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as subscriber:
        sink, stream = to_broker(broker), streams_of(settings)
        first = start(runners, settings, sink)
        ready(first)
        gate, hall = (f"{stream}/{name}/label/dog" for name in ("gate", "hall"))
        one, two, other = (StoredJob(settings, job_id) for job_id in ("one", "two", "other"))
        for job, name in ((one, "gate"), (two, "gate"), (other, "hall")):
            job.publish(events=[{"kind": "state", "state": "live", "stream": name}, events(1)[0] | {"stream": name}])
        one.publish(events=[events(1)[0] | {"kind": "exit", "stream": "gate"}, {"kind": "gap", "stream": "seen"}])
        eventually(lambda: subscriber.last(f"{stream[:-7]}/event/seen"), "the exit is told")
        assert [subscriber.last(topic) for topic in (gate, hall)] == [b"ON", b"ON"], "the second one has it still"
        first.kill()
        other.finish()
        other.trim_events(0)
        second = start(runners, settings, sink)
        eventually(lambda: subscriber.last(hall) == b"OFF", "the end that nobody heard of is told")
        eventually(lambda: subscriber.last(f"{stream}/hall/state") == b"unknown", "and that nobody knows how it ended")
        assert [subscriber.last(topic) for topic in (gate, f"{stream}/gate/state")] == [b"ON", b"live"]
        two.publish(events=[{"kind": "status", "status": "failed", "stream": "gate"}])
        eventually(lambda: subscriber.last(gate) == b"OFF", "the last one that has it is over")
        assert subscriber.last(f"{stream}/gate/state") == b"live", "of the first one"
        assert not second.said("labels of jobs that are over may stay on")
