"""The page, a worker and a camera, all of them real: what a person sees when the camera goes and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.settings import Settings

from tests.support import RedisServer, Worker, eventually, settings_for
from tests.support.browser import chromium
from tests.support.page import running
from tests.support.rtsp import clock_cameras

IN_PICTURE = (
    "return [...document.querySelectorAll('.tile img')].filter(one => !one.hidden && one.naturalWidth > 30).length"
)


@pytest.mark.long
def test_a_camera_that_stops_is_seen_to_and_seen_again(redis_server: RedisServer, tmp_path: Path) -> None:
    settings: Settings = settings_for(redis_server, view__port=0, engine__name="null")
    with (
        clock_cameras(cam={"fps": 5}) as cameras,
        running(settings) as page,
        chromium(tmp_path) as browser,
        Client(settings=settings) as client,
    ):
        pictures = ("view.thumbnails=true", "view.thumbnail_every_s=0.5")
        worker = Worker(settings, "source.read_timeout_s=2", "source.backoff_s=0.2", *pictures).ready()
        try:
            browser.get(page.url)
            job = client.submit(cameras.url("cam"), stream="gate", fps=2).job_id

            def tile() -> str:
                return str(browser.execute_script("return document.querySelector('.tile')?.innerText || ''"))

            eventually(lambda: "gate" in tile() and "live" in tile(), "the camera's tile")
            eventually(lambda: browser.execute_script(IN_PICTURE) == 1, "its picture")
            cameras.stop()
            eventually(lambda: "reconnecting" in tile(), "it is away")
            cameras.start()
            eventually(lambda: "live" in tile() and "reconnecting" not in tile(), "it is back")
            client.cancel(job)
            eventually(lambda: "cancelled" in tile(), "it is over")
        finally:
            worker.kill()
