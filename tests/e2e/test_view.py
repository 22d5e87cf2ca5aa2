"""The page in a real browser, with planted streams: what is seen, found, changed, and survived."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys as Pressed
from selenium.webdriver.support.select import Select
from streamtag.settings import Settings

from tests.support import RedisServer, Worker, eventually, free_port, redis_binaries, settings_for
from tests.support.browser import chromium, log
from tests.support.planted import Planted, Plot, fleet

MARKUP = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


class Wall:
    """The wall as somebody sees it."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        browser.get(url)

    def tiles(self) -> dict[str, str]:
        """Tiles in the page: name to all that is written on it."""
        texts = self.browser.execute_script(
            "return [...document.querySelectorAll('.tile')].map("
            "one => [one.querySelector('.name').textContent, one.innerText])"
        )
        return dict(texts)

    def count(self) -> str:
        return str(self.browser.execute_script("return document.querySelector('.count')?.textContent || ''"))

    def shows(self, count: str) -> None:
        eventually(lambda: self.count() == count, f"{count}, not {self.count()}")

    def field(self, name: str) -> object:
        return self.browser.find_element(By.XPATH, f"//label[starts-with(., '{name}')]/*")

    def text(self, selector: str) -> str:
        return str(
            self.browser.execute_script("return document.querySelector(arguments[0])?.innerText || ''", selector)
        )


def served(settings: Settings) -> Iterator[tuple[Worker, str]]:
    server = Worker(settings, "view.port=0", command="view")  # the usual one may be taken
    yield server, str(eventually(lambda: server.said("ready"), "the page is served")["page"])
    server.kill()


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.mark.long
def test_five_hundred_streams_are_shown_searched_and_kept_up_to_date(
    settings: Settings, redis_server: RedisServer, opened: webdriver.Chrome
) -> None:
    plot = Plot(settings, redis_server.client())
    streams = fleet(498)
    hostile = Planted(
        "hostile", stream=MARKUP, source="rtsp://u:hunter2@cam.lan/1", labels={MARKUP: 0.8}, active=[MARKUP]
    )
    alone = Planted("alone", stream="the only one", labels={"water bottle": 0.7}, active=["water bottle"])
    plot.plant(*streams, hostile, alone)
    plot.worker("worker-1", 500)
    server = Worker(settings, "view.port=0", command="view")
    try:
        url = eventually(lambda: server.said("ready"), "the page is served")["page"]
        began_s = time.monotonic()
        wall = Wall(opened, url)
        wall.shows("500 streams")
        eventually(lambda: len(wall.tiles()) >= 12, "tiles")
        assert time.monotonic() - began_s < 20  # what it takes is measured: bench/RESULTS.md
        assert len(wall.tiles()) < 100
        eventually(
            lambda: (
                opened.execute_script(
                    "return [...document.images].filter(one => !one.hidden && one.naturalWidth > 90).length"
                )
                > 5
            ),
            "pictures",
        )
        wall.field("Label").send_keys("water bot")  # type: ignore[attr-defined]
        wall.shows("1 of 500 streams")
        assert "water bottle" in wall.tiles()["the only one"]
        assert "label=water" in opened.current_url
        plot.plant(
            Planted(
                "alone", stream="the only one", state="frozen", labels={"water bottle": 0.9}, active=["water bottle"]
            )
        )
        eventually(lambda: "frozen" in wall.tiles().get("the only one", ""), "a change is seen", 20)
        opened.get(f"{url}/?q=onerror")
        wall.shows("1 of 500 streams")
        tile = wall.tiles()[MARKUP]
        assert tile.count("<script>") == 2
        assert opened.title == "Streamtag"
        assert "hunter2" not in opened.page_source
        opened.get(f"{url}/?state=frozen")
        wall.shows("56 of 500 streams")
        assert all("frozen" in text for text in wall.tiles().values())
        Select(wall.field("Worker")).select_by_value("worker-2")  # type: ignore[arg-type]
        wall.shows("14 of 500 streams")
        assert [line for line in log(opened, "browser") if line["level"] == "SEVERE"] == []
    finally:
        server.kill()


def test_more_tabs_than_a_browser_has_connections_all_get_what_they_ask(
    settings: Settings, redis_server: RedisServer, opened: webdriver.Chrome
) -> None:
    """Chromium has six connections to a server; the seventh page once waited for ever, and so did the other six."""
    plot = Plot(settings, redis_server.client())
    plot.plant(*(Planted(f"camera-{number}", stream=f"stream {number}") for number in range(3)))
    for _server, url in served(settings):
        first = opened.current_window_handle
        for _ in range(8):
            wall = Wall(opened, url)
            wall.shows("3 streams")
            opened.switch_to.new_window("tab")
        opened.close()
        opened.switch_to.window(first)
        plot.plant(Planted("camera-3", stream="stream 3"))
        wall.shows("4 streams")
        for other in set(opened.window_handles) - {first}:
            opened.switch_to.window(other)
            wall.shows("4 streams")
            opened.close()
        opened.switch_to.window(first)
        assert not wall.text("#trouble")


def test_the_wall_is_walked_with_the_keyboard(
    settings: Settings, redis_server: RedisServer, opened: webdriver.Chrome
) -> None:
    plot = Plot(settings, redis_server.client())
    plot.plant(*(Planted(f"camera-{number}", stream=f"stream {number}") for number in range(300)))
    for server, url in served(settings):
        wall = Wall(opened, url)
        wall.shows("300 streams")

        def press(*keys: str) -> str:
            for key in keys:
                opened.switch_to.active_element.send_keys(key)
            return str(opened.execute_script("return document.activeElement.querySelector?.('.name')?.textContent"))

        opened.execute_script("document.querySelector('.tile a').focus()")
        assert press(Pressed.ARROW_RIGHT) == "stream 1"
        assert press(Pressed.END) == "stream 299"
        assert press(Pressed.HOME) == "stream 0"
        places = opened.execute_script(
            "return [...document.querySelectorAll('.tile')].map(one => [one.ariaPosInSet, one.ariaSetSize])"
        )
        assert [int(place) for place, _ in places[:5]] == [1, 2, 3, 4, 5]
        assert {size for _, size in places} == {"300"}
        press("/")
        opened.switch_to.active_element.send_keys("stream 299")
        wall.shows("1 of 300 streams")
        assert server.process.poll() is None


@pytest.mark.long
def test_the_page_comes_back_by_itself_when_redis_and_the_server_were_away(
    tmp_path: Path, opened: webdriver.Chrome
) -> None:
    with RedisServer(redis_binaries()[0], tmp_path) as redis_server:
        settings = settings_for(redis_server)
        plot = Plot(settings, redis_server.client())
        plot.plant(Planted("a", stream="gate"))
        port = f"view.port={free_port()}"
        server = Worker(settings, port, command="view")
        try:
            url = eventually(lambda: server.said("ready"), "the page is served")["page"]
            wall = Wall(opened, url)
            wall.shows("1 stream")
            redis_server.kill()
            eventually(lambda: "Trying again" in wall.text("#trouble"), "it says that Redis is away")
            assert "gate" in wall.tiles()
            redis_server.start()
            plot.plant(Planted("a", stream="gate", state="black"))
            eventually(lambda: wall.text("#trouble") == "" and "black" in wall.tiles()["gate"], "it is up to date")
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
            eventually(lambda: "No connection to the server since" in wall.text("#trouble"), "it says so")
            plot.plant(Planted("a", stream="gate", state="frozen"), Planted("b", stream="yard"))
            server = Worker(settings, port, command="view").ready()
            wall.shows("2 streams")
            eventually(lambda: "frozen" in wall.tiles()["gate"], "the new server's news")
            assert wall.text("#trouble") == ""
            assert wall.text("#connection") == "up to date"
        finally:
            server.kill()
