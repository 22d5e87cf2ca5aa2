"""Small pictures of a job, by a worker as a process; what it publishes is the same with and without them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from streamtag.client import Client
from streamtag.core.album import Picture, PictureKind
from streamtag.settings import Settings

from tests.support import NULL, Worker, eventually, run_cli, settings_for, start_worker
from tests.support.redis_server import RedisServer

BOTH = ("--roi", "left=0,0,0.5,1", "--roi", "right=0.5,0,0.5,1")


def play(settings: Settings, workers: list[Worker], clip: Path, *options: str) -> list[bytes]:
    """The results and events as they lie in Redis, of a job that is over."""
    start_worker(workers, settings, *NULL, *options)
    done = run_cli(settings, "submit", str(clip), "--id", "film", "--wait", "--json", *BOTH)
    assert done.returncode == 0, done.stderr
    with Client(settings=settings) as client:
        results = [repr(result).encode() for result in client.results("film")]
        events = [repr((event.kind, event.pts_s, event.content)).encode() for event in client.events("film")]
    return results + events


@pytest.mark.long
def test_results_are_the_same_with_pictures_and_without(
    redis_server: RedisServer, workers: list[Worker], clip: Path
) -> None:
    plain, seen = settings_for(redis_server), settings_for(redis_server)
    without = play(plain, workers, clip)
    with_pictures = play(seen, workers, clip, "view.thumbnails=true", "view.pictures=8", "view.thumbnail_px=64")
    assert with_pictures == without
    with Client(settings=plain) as client:
        assert client.thumbnail("film") is None
        assert client.pictures("film") == []
    with Client(settings=seen) as client:

        def last() -> Picture | None:
            found = client.thumbnail("film")
            return found if found is not None and found.pts_s > 7 else None

        newest = eventually(last, "the newest picture is one of the film's end", 10)
        album = client.pictures("film")
        assert client.status("film").thumb_unix_s == newest.at_unix_s
        entered = {event.content["label"]["name"] for event in client.events("film") if event.kind == "enter"}
    assert 4 <= len(album) <= 8
    assert {picture.region for picture in [newest, *album]} <= {"left", "right"}
    assert {picture.label for picture in album if picture.kind is PictureKind.ENTER} == entered
    regular = [picture.pts_s for picture in album if picture.kind is PictureKind.REGULAR]
    assert regular[0] == 0
    assert regular[-1] >= 4
    for picture in [newest, *album]:
        shown = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert shown is not None
        assert shown.shape == (64, 64, 3)
        assert shown.std() > 5, "a picture, and no empty slot"
