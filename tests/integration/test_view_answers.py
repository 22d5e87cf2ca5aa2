"""What the page's server answers about single streams and about the past."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from streamtag.client import Client
from streamtag.settings import Settings
from streamtag.view import answers
from streamtag.view.answers import MAX_EXPORTS
from streamtag.view.server import Page

from tests.support import RedisServer, eventually, settings_for
from tests.support.page import ask, running
from tests.support.planted import Act, Planted, Plot, picture

ACTS = (Act(0, 20), Act(20, 50, ("star",)), Act(50, 60), Act(60, 90, ("ring", "water_bottle")), Act(90, 100))


@pytest.fixture(scope="module")
def settings(redis_server: RedisServer) -> Settings:
    return settings_for(redis_server, view__port=0)


@pytest.fixture(scope="module")
def plot(settings: Settings, redis_server: RedisServer) -> Plot:
    plot = Plot(settings, redis_server.client("replace"))
    plot.past("camera", *ACTS)
    plot.past("film", *ACTS, live=False)
    plot.plant(Planted("film", source="/films/f.mp4", status="done", lag_s=None, published=200))
    plot.plant(Planted("camera", source="rtsp://u:hunter2@cam.lan/1", published=201))
    for second in range(0, 100, 10):
        plot.picture("film", float(second), 0.0, second, kind="regular")
    return plot


@pytest.fixture(scope="module")
def page(settings: Settings, plot: Plot) -> Iterator[Page]:
    with running(settings) as page:
        yield page


def told(page: Page, path: str, **query: object) -> Any:
    answer = ask(page, f"{path}?{urlencode(query)}")
    content = answer.read()
    assert answer.status == 200, content
    return json.loads(content)


def whole(page: Page, job_id: str) -> Any:
    """All that is to be told of a stream, events included, which the server reads once somebody asks."""

    def look() -> Any:
        content = told(page, "/api/stream", id=job_id)
        return content if content["events"] and not content["more"] else None

    return eventually(look, f"{job_id} is told of")


def test_a_film_is_told_whole_by_its_own_time(page: Page) -> None:
    film = whole(page, "film")
    history = film["history"]
    assert (history["live"], history["samples"], history["begin"], history["end"]) == (False, 200, 0.0, 99.5)
    assert history["spans"] == [
        ["star", 20.0, 50.0, False],
        ["ring", 60.0, 90.0, False],
        ["water_bottle", 60.0, 90.0, False],
    ]
    assert [event["label"] for event in film["events"] if event["kind"] == "enter"][-1] == "star"
    assert len(film["pictures"]) == 13
    assert film["job"]["counters"]["published"] == 200


def test_a_camera_is_told_by_the_clock_without_its_password(page: Page) -> None:
    camera = whole(page, "camera")
    history = camera["history"]
    assert history["live"]
    assert history["spans"][0][2] - history["spans"][0][1] == pytest.approx(30, abs=1)
    assert history["end"] == pytest.approx(camera["now"], abs=60)
    assert "hunter2" not in json.dumps(camera)


def test_what_comes_is_added_to_what_was(page: Page, plot: Plot) -> None:
    plot.past("grows", Act(0, 10, ("star",)), live=False)
    plot.plant(Planted("grows", lag_s=None, age_s=-1e6))
    before = whole(page, "grows")["history"]["samples"]
    result = {"index": 99, "pts_s": 49.5, "labels": [], "active": []}
    plot.client.xadd(plot.keys.results("grows"), {"result": json.dumps(result)}, id="9999999999999999-1")
    eventually(lambda: whole(page, "grows")["history"]["samples"] == before + 1, "the new sample is there")


def test_a_picture_is_a_picture_and_nothing_else(page: Page, plot: Plot) -> None:
    plot.plant(Planted("wild"))
    plot.event("wild", "state", state="live")
    entries = [
        str(plot.client.xadd(plot.keys.pictures("wild"), {"jpeg": content, "pts_s": pts, "at": "1", "label": "<b>"}))
        for content, pts in ((b"<html>", "1"), (picture(1), "nan"), (picture(1), "2"))
    ]
    kept = whole(page, "wild")["pictures"]
    assert [(entry, label) for entry, _, _, label, _ in kept] == [(entries[2], "<b>")]
    for entry, status in zip(entries, (404, 404, 200), strict=True):
        answer = ask(page, f"/api/picture?id=wild&entry={entry}")
        assert answer.status == status
        assert answer.getheader("content-type", "") == ("image/jpeg" if status == 200 else "text/plain; charset=utf-8")
    assert ask(page, f"/api/picture?id=nobody&entry={entries[2]}").status == 404


def test_of_pictures_and_events_little_is_kept_however_large_they_are(page: Page, plot: Plot) -> None:
    plot.plant(Planted("large"))
    huge = {"class_id": 1, "name": "n" * 10_000, "more": ["x"] * 10_000}
    plot.event("large", "enter", 1.0, label=huge, reason="r" * 10_000)
    for _ in range(150):
        jpeg = picture(1) + bytes(60_000)
        plot.client.xadd(plot.keys.pictures("large"), {"jpeg": jpeg, "pts_s": "1", "at": "1"})
    kept = whole(page, "large")
    assert len(json.dumps(kept["events"])) < 1500
    assert 100 < len(kept["pictures"]) < 140
    answer = ask(page, f"/api/picture?id=large&entry={kept['pictures'][-1][0]}")
    assert len(answer.read()) > 60_000


def test_keys_that_no_worker_writes_are_told_and_end_nothing(page: Page, plot: Plot) -> None:
    for job_id, key in (("bad-results", plot.keys.results), ("bad-pictures", plot.keys.pictures)):
        plot.plant(Planted(job_id, status="done"))
        plot.client.set(key(job_id), "x")
    assert ask(page, "/api/stream?id=bad-results").status == 503
    assert told(page, "/api/stream", id="bad-pictures")["pictures"] == []


def test_an_unknown_job_is_said_to_be_unknown(page: Page) -> None:
    for job_id in ("nobody", "", "<script>", "a\r\nb"):
        answer = ask(page, f"/api/stream?id={quote(job_id)}")
        assert answer.status == 404
        assert answer.getheader("content-type") == "text/plain; charset=utf-8"
        assert b"no job" in answer.read()


def test_a_label_is_found_by_name_stream_kind_and_time(page: Page) -> None:
    def found(**query: object) -> list[tuple[str, str, str]]:
        content = eventually(lambda: (one := told(page, "/api/search", **query))["whole"] and one, "all is read")
        return [(event["job"], event["kind"], event["label"]) for event in content["events"]]

    assert found(label="water bot", stream="film") == [("film", "enter", "water_bottle")]
    assert found(label="star", kind="exit") == [("film", "exit", "star"), ("camera", "exit", "star")]
    (seen,) = told(page, "/api/search", label="star", stream="camera")["events"]
    assert found(label="star", to=seen["at"]) == [("camera", "enter", "star")]
    assert ("camera", "enter", "star") not in found(label="star", **{"from": seen["at"] + 1})
    assert found(label="star", before=seen["id"]) == []
    assert found(label="star", before="no id") == []
    answer = ask(page, "/api/search?label=star&stream=f&format=jsonl")
    assert "attachment" in (answer.getheader("content-disposition") or "")
    assert [json.loads(line)["label"] for line in answer.read().splitlines()] == ["star"]


@pytest.mark.parametrize(("format_", "begins"), [("csv", b""), ("vtt", b"WEBVTT"), ("jsonl", b'{"id"')])
def test_an_export_arrives_as_a_file(page: Page, format_: str, begins: bytes) -> None:
    answer = ask(page, f"/api/export?id=film&format={format_}")
    content = answer.read()
    assert answer.status == 200
    assert answer.getheader("content-disposition") == f'attachment; filename="film.{format_}"'
    assert content.startswith(begins)
    assert content.count(b"star") >= 1


def test_an_export_that_cannot_be_made_says_why(page: Page, plot: Plot) -> None:
    plot.plant(Planted("expired", source="/films/g.mp4", status="done", published=7))
    gone = ask(page, "/api/export?id=expired&format=csv")
    assert (gone.status, b"no result of it is stored any more" in gone.read()) == (404, True)
    assert ask(page, "/api/export?id=film&format=exe").read().startswith(b"There is no such format; there are jsonl")
    assert ask(page, "/api/export?id=nobody&format=csv").status == 404


def test_exports_that_wait_for_redis_count_too(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()

    def slow(**given: Any) -> Client:
        goes_on.wait(60)
        return Client(**given)

    monkeypatch.setattr(answers, "Client", slow)
    with ThreadPoolExecutor(MAX_EXPORTS + 1) as threads:
        asked = [threads.submit(lambda: ask(page, "/api/export?id=film&format=csv")) for _ in range(MAX_EXPORTS + 1)]
        refused = next(as_completed(asked, 30))
        goes_on.set()
        assert refused.result().status == 503
    assert [one.result().status for one in asked].count(200) == MAX_EXPORTS
    assert [len(one.result().read()) > 1000 for one in asked].count(True) == MAX_EXPORTS
    eventually(lambda: ask(page, "/api/export?id=film&format=csv").status == 200, "there is room again")
    assert ask(page, "/api/export?id=nobody&format=csv").status == 404
    assert ask(page, "/api/export?id=film&format=no").status == 400
