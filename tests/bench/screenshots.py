"""The pictures of the page in the README, of planted streams with drawn pictures: ``make screenshots``."""

from __future__ import annotations

import io
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from selenium import webdriver

from tests.support import RedisServer, eventually, redis_binaries, settings_for
from tests.support.browser import chromium, look_as
from tests.support.page import running
from tests.support.planted import Act, Planted, Plot, fleet

FOLDER = Path(__file__).parents[2] / "docs" / "page"
ACTS = (
    *(Act(0, 60), Act(60, 200, ("circle",)), Act(200, 260), Act(260, 420, ("star", "ring"), 0.66), Act(420, 520)),
    *(Act(520, 700, ("star",), 0.9), Act(700, 780), Act(780, 960, ("circle",))),
)
QUALITY = 78
SETTLE_S = 4.0  # until a rate is known


def take(browser: webdriver.Chrome, url: str, name: str, drawn: str) -> None:
    """Write what the browser shows, once ``drawn`` is there and so are the pictures."""
    browser.get(url)
    eventually(lambda: browser.execute_script(f"return document.querySelector({drawn!r}) !== null"), f"{name} is drawn")
    time.sleep(SETTLE_S)
    eventually(
        lambda: browser.execute_script(
            "const shown = [...document.images].filter(one => !one.hidden);"
            "return shown.length > 0 && shown.every(one => one.naturalWidth > 0)"
        ),
        f"the pictures of {name}",
    )
    shown = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    shown.save(FOLDER / f"{name}.jpg", quality=QUALITY, optimize=True)


def go_on(plot: Plot, streams: Sequence[Planted], stopping: threading.Event) -> None:
    """Two samples a second of each, so that rates and ages are those of streams that run."""
    while not stopping.wait(1):
        for stream in streams:
            stream.published += 2
        plot.plant(*streams)


def main() -> None:
    """Take all of them."""
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(redis_binaries()[0], Path(folder)) as server,
        chromium(Path(folder) / "profile") as browser,
    ):
        settings = settings_for(server, view__port=0)
        plot = Plot(settings, server.client())
        plot.past("camera-0", *ACTS)
        streams = fleet(60)
        streams[0].labels, streams[0].active = {"circle": 0.85, "star": 0.12, "ring": 0.06}, ("circle",)
        plot.plant(*streams)
        stopping = threading.Event()
        threading.Thread(target=go_on, args=(plot, streams, stopping), daemon=True).start()
        for number in range(1, 5):
            plot.worker(f"worker-{number}", 15)
        with running(settings) as page:
            for scheme in ("light", "dark"):
                look_as(browser, scheme, width_px=1200, height_px=860)
                take(browser, page.url, f"wall-{scheme}", ".tile img:not([hidden])")
                take(browser, f"{page.url}/stream/camera-0", f"stream-{scheme}", "svg.story rect.on")
            look_as(browser, "light", width_px=390, height_px=844)
            take(browser, page.url, "phone", ".tile img:not([hidden])")
        stopping.set()


if __name__ == "__main__":
    main()
