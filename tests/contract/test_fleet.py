"""The look at the whole fleet that the page and others have, on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from streamtag.core.records import JobStatus
from streamtag.errors import QueueUnavailable
from streamtag.queue.connection import Connection
from streamtag.queue.fleet import BATCH, FleetReader
from streamtag.queue.pictures import MAX_JPEG_BYTES
from streamtag.settings import Settings
from streamtag.view.events import EventLog
from streamtag.view.thumbs import Thumbs

from tests.support import RedisServer, redis_binaries, settings_for
from tests.support.configuration import keys_of
from tests.support.planted import Planted, Plot, fleet, picture


@pytest.fixture(params=["newest", "6.2"])
def planted(request: pytest.FixtureRequest) -> tuple[Settings, Plot]:
    server = request.getfixturevalue("redis_server" if request.param == "newest" else "old_redis_server")
    settings = settings_for(server)
    return settings, Plot(settings, server.client("replace"))


@pytest.fixture
def connection(planted: tuple[Settings, Plot]) -> Iterator[Connection]:
    found = Connection(planted[0].redis, keys_of(planted[0]))
    yield found
    found.close()


def test_a_look_has_every_stream_with_its_steady_labels_and_the_workers(
    planted: tuple[Settings, Plot], connection: Connection
) -> None:
    _, plot = planted
    plot.plant(*fleet(2 * BATCH + 1))
    plot.worker("one", 5)
    seen = FleetReader(connection).read()
    assert len(seen.streams) == 2 * BATCH + 1
    shown = seen.streams["camera-1"]
    assert (shown.view.stream, shown.view.state, shown.view.worker) == ("yard 1", "live", "worker-2")
    assert [(label.name, label.active) for label in shown.labels] == [
        ("square", True),
        ("triangle", False),
        ("nothing", False),
    ]
    assert [worker.worker for worker in seen.workers] == ["one"]


def test_a_second_look_sees_what_changed_what_is_new_and_what_is_gone(
    planted: tuple[Settings, Plot], connection: Connection
) -> None:
    _, plot = planted
    now_s = 0.0
    reader, events = FleetReader(connection, now_s=lambda: now_s), EventLog()
    plot.plant(Planted("a"), Planted("b"))
    reader.read(events.read(connection))
    plot.plant(Planted("a", state="frozen", published=41, labels={"disc": 0.8}, active=["disc"]), Planted("told"))
    plot.plant(Planted("untold"))
    plot.event("told", "state", state="live")
    plot.client.delete(plot.keys.job("b"))
    seen = reader.read(events.read(connection)).streams
    assert set(seen) == {"a", "told"}
    assert (seen["a"].view.state, seen["a"].labels[0].name) == ("frozen", "disc")
    now_s = 100.0
    assert set(reader.read().streams) == {"a", "told", "untold"}
    plot.client.flushdb()
    assert reader.read().streams == {}


def test_another_job_of_the_same_id_is_shown_as_what_it_is(
    planted: tuple[Settings, Plot], connection: Connection
) -> None:
    _, plot = planted
    reader = FleetReader(connection)
    plot.plant(Planted("a", stream="gate"))
    reader.read()
    plot.client.delete(plot.keys.job("a"))
    plot.plant(Planted("a", stream="yard"))
    reader.read()
    assert reader.read().streams["a"].view.stream == "yard"


def test_what_no_worker_writes_is_named_and_hides_nothing_else(
    planted: tuple[Settings, Plot], connection: Connection
) -> None:
    _, plot = planted
    plot.plant(Planted("good"), *(Planted(f"result-{number}") for number in range(5)))
    plot.client.set(plot.keys.job("no-hash"), "x")
    plot.client.hset(plot.keys.job("no-number"), mapping={"status": "running", "counters": "[]"})
    plot.client.hset(plot.keys.job("no-status"), "status", "dancing")
    for number, content in enumerate(
        (b"[]", b"{", b'{"labels":7,"active":[]}', b'{"labels":[{"name":[]}],"active":5}')
    ):
        plot.client.xadd(plot.keys.results(f"result-{number}"), {"result": content}, id="99999999999999-1")
    plot.client.set(plot.keys.worker("no-json"), "{")
    plot.client.lpush(plot.keys.worker("no-string"), "x")
    seen = FleetReader(connection).read()
    assert {job_id: stream.view.status for job_id, stream in seen.streams.items() if job_id.startswith("no-")} == {
        "no-hash": JobStatus.UNREADABLE,
        "no-number": JobStatus.UNREADABLE,
        "no-status": JobStatus.UNREADABLE,
    }
    assert seen.streams["good"].labels[0].name == "star"
    assert [seen.streams[f"result-{number}"].labels for number in range(4)] == [()] * 4
    assert seen.workers == ()


def test_labels_of_regions_have_their_names(planted: tuple[Settings, Plot], connection: Connection) -> None:
    _, plot = planted
    plot.plant(Planted("a"))
    counters = {"decoded": 2, "sampled": 4, "published": 4, "regions": 2}
    plot.client.hset(plot.keys.job("a"), mapping={"counters": orjson.dumps(counters), "last_id": "99999999999999-2"})
    for place, region in enumerate(("door", "yard")):
        label = {"class_id": 1, "name": "dog", "score": 0.9, "smoothed": 0.9 - place / 10}
        result = {"index": 1, "pts_s": 1.0, "labels": [label], "active": ["dog"], "region": region}
        plot.client.xadd(plot.keys.results("a"), {"result": orjson.dumps(result)}, id=f"99999999999999-{place + 1}")
    labels = FleetReader(connection).read().streams["a"].labels
    assert [(label.name, label.score) for label in labels] == [("door:dog", 0.9), ("yard:dog", 0.8)]


def test_of_too_many_jobs_those_that_run_are_kept(planted: tuple[Settings, Plot], connection: Connection) -> None:
    _, plot = planted
    plot.plant(*(Planted(f"over-{number}", status="done") for number in range(30)), *fleet(5))
    seen = FleetReader(connection, most_jobs=10).read()
    assert {f"camera-{number}" for number in range(5)} <= set(seen.streams)
    assert (len(seen.streams), seen.left_out) == (10, 25)


def test_pictures_are_read_of_what_is_asked_for_and_once(
    planted: tuple[Settings, Plot], connection: Connection
) -> None:
    _, plot = planted
    plot.plant(Planted("a", thumb=picture(1)), Planted("b", thumb=picture(2)))
    for name, jpeg in (("html", b"<html>"), ("huge", b"\xff\xd8\xff" + bytes(MAX_JPEG_BYTES)), ("text", b"")):
        plot.client.hset(plot.keys.thumb(name), "jpeg", jpeg)
    plot.client.set(plot.keys.thumb("no-hash"), "x")
    names = ("a", "html", "huge", "text", "no-hash", "missing")
    thumbs, newest = Thumbs(), dict.fromkeys((*names, "b"), "1")
    assert [thumbs.get(name, 0.0) for name in names] == [None] * len(names)
    thumbs.read(connection, newest, 1.0)
    (good, *others) = [thumbs.get(name, 1.0) for name in names]
    assert good is not None
    assert good.version == "1"
    assert [thumb.jpeg_base64 for thumb in others if thumb] == [""] * len(others)
    assert thumbs.get("b", 100.0) is None
    plot.client.flushdb()
    thumbs.read(connection, newest, 2.0)
    assert thumbs.get("a", 2.0) == good


def test_an_outage_is_told_and_looking_goes_on_when_it_is_over(tmp_path: Path) -> None:
    with RedisServer(redis_binaries()[0], tmp_path) as server:
        settings = settings_for(server)
        plot = Plot(settings, server.client())
        plot.plant(Planted("a"))
        connection = Connection(settings.redis, keys_of(settings))
        reader = FleetReader(connection)
        reader.read()
        server.kill()
        for _ in range(2):
            with pytest.raises(QueueUnavailable):
                reader.read()
        server.start()
        assert set(reader.read().streams) == {"a"}
        connection.close()
