"""A stream's own page and the search, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys as Pressed
from streamtag.settings import Settings

from tests.support import RedisServer, eventually, settings_for
from tests.support.browser import chromium, log
from tests.support.page import running
from tests.support.planted import Act, Planted, Plot

ACTS = (Act(0, 20), Act(20, 50, ("star",)), Act(50, 60), Act(60, 90, ("water_bottle",)), Act(90, 100))
MARKUP = "<img src=x onerror=document.title='taken'>"


def text(browser: webdriver.Chrome, selector: str) -> str:
    return str(browser.execute_script("return document.querySelector(arguments[0])?.innerText || ''", selector))


def source(browser: webdriver.Chrome) -> str:
    """The address of the large picture, once it is there."""
    found = browser.execute_script(
        "const one = document.querySelector('figure img'); return one && one.naturalWidth ? one.src : ''"
    )
    return str(found)


def arrived(folder: Path, ending: str, count: int) -> bytes:
    """The newest of so many files that the browser has written whole: it writes under another name."""

    def files() -> list[Path]:
        return sorted(folder.glob(f"*.{ending}"), key=lambda path: path.stat().st_mtime_ns)

    eventually(lambda: len(files()) == count, f"{count} files of {ending}")
    return files()[-1].read_bytes()


@pytest.mark.long
def test_a_label_is_searched_for_found_in_its_film_and_seen(redis_server: RedisServer, tmp_path: Path) -> None:
    settings: Settings = settings_for(redis_server, view__port=0)
    plot = Plot(settings, redis_server.client())
    plot.past("film", *ACTS, live=False)
    plot.event("film", "enter", 95.0, label={"class_id": 9, "name": MARKUP}, score=0.5)
    plot.plant(Planted("film", stream="a film", source="/films/f.mp4", status="done", lag_s=None))
    regular = {second: plot.picture("film", second, 0.0, int(second), kind="regular") for second in (5.0, 75.0)}
    with running(settings) as page, chromium(tmp_path) as browser:
        browser.get(f"{page.url}/search")
        browser.find_element(By.XPATH, "//label[starts-with(., 'Label')]/input").send_keys("water bottle")
        eventually(lambda: text(browser, ".count") == "1 event", "the event is found")
        assert "label=water+bottle" in browser.current_url
        browser.find_element(By.CSS_SELECTOR, "tbody a").click()
        eventually(lambda: "1:00.0: water_bottle" in text(browser, "output"), "it is pointed at")
        eventually(lambda: "1:00.0, water_bottle enters" in text(browser, "figcaption"), "its picture is named")
        eventually(lambda: source(browser), "its picture is there")
        drawn = browser.find_element(By.CSS_SELECTOR, "svg.story")
        assert len(drawn.find_elements(By.CSS_SELECTOR, "rect.on")) == 2
        # A click shows the nearest picture.
        browser.execute_script(
            "const box = arguments[0].getBoundingClientRect();"
            "arguments[0].dispatchEvent(new MouseEvent('click', {clientX: box.right - 60, bubbles: true}))",
            drawn,
        )
        eventually(lambda: regular[75.0] in source(browser).replace("%2D", "-"), "the picture of 1:15")
        slider = browser.find_element(By.CSS_SELECTOR, "input[type=range]")
        slider.send_keys(Pressed.HOME)
        eventually(lambda: "0:00.0: nothing active" in text(browser, "output"), "the keyboard moves it")
        eventually(lambda: regular[5.0] in source(browser).replace("%2D", "-"), "the first picture")
        assert "40 = 40 published + 0 dropped + 0 failed" in text(browser, ".facts")
        assert MARKUP in text(browser, "tbody")
        assert browser.title == "film · Streamtag"
        browser.back()
        eventually(lambda: text(browser, ".count") == "1 event", "back is the search")
        browser.get(f"{page.url}/stream/nobody")
        eventually(lambda: "no job 'nobody'" in text(browser, "article [role=status]"), "it is not there")
        assert [
            line for line in log(browser, "browser") if line["level"] == "SEVERE" and "404" not in line["message"]
        ] == []


@pytest.mark.long
def test_a_stream_s_page_is_kept_up_to_date(redis_server: RedisServer, tmp_path: Path) -> None:
    settings: Settings = settings_for(redis_server, view__port=0)
    plot = Plot(settings, redis_server.client())
    plot.past("camera", *ACTS)
    plot.plant(Planted("camera", stream="gate"), Planted("film", source="/a.mp4", lag_s=None, progress=0.3))
    plot.past("film", *ACTS, live=False)
    with running(settings) as page, chromium(tmp_path) as browser:
        browser.get(f"{page.url}/stream/film")
        eventually(lambda: text(browser, ".badge") == "running", "a film that is read is no live stream to people")
        eventually(lambda: "state: running" in text(browser, "tbody"), "nor is it in its events")
        assert "running from 0:00.0" in str(
            browser.execute_script("return document.querySelector('rect.at-well').textContent")
        )
        browser.get(f"{page.url}/search?kind=state")
        eventually(lambda: "state: running" in text(browser, "tbody"), "nor where they are searched")
        browser.get(f"{page.url}/stream/camera")
        eventually(lambda: text(browser, ".badge") == "live", "its state")
        plot.plant(
            Planted("camera", stream="gate", state="frozen", published=99, labels={"cross": 0.7}, active=["cross"])
        )
        plot.event("camera", "state", 100.0, state="frozen")
        plot.event("camera", "gap", 101.0, reason="reconnect", missed_s=4.2)
        eventually(lambda: text(browser, ".badge") == "frozen", "its new state")
        eventually(lambda: "cross" in text(browser, ".labels"), "its new label")
        eventually(lambda: "gap: reconnect, 4.2 s missed" in text(browser, "tbody"), "the gap")
        eventually(lambda: browser.find_elements(By.CSS_SELECTOR, "rect.gap"), "the gap is drawn")
        eventually(lambda: browser.find_elements(By.CSS_SELECTOR, "rect.at-warn"), "the state is drawn")


def test_what_is_not_known_or_is_no_longer_so_is_not_shown_as_if_it_were(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    settings: Settings = settings_for(redis_server, view__port=0)
    reason = "/films/lost.mp4: no such file on this worker's machine"
    with running(settings) as page, chromium(tmp_path) as browser:
        browser.get(page.url)
        eventually(lambda: "streamtag submit SOURCE" in text(browser, ".count"), "an empty wall says how to begin")
        plot = Plot(settings, redis_server.client())
        plot.plant(Planted("away", stream="gate", state="reconnecting", age_s=400))
        eventually(lambda: "last 7 min ago" in text(browser, ".tile"), "a camera that is away")
        assert "lag" not in text(browser, ".tile")
        assert browser.find_elements(By.CSS_SELECTOR, ".tile .label:not(.off, [hidden])") == [], "no label is on"
        plot.plant(Planted("lost", source="/films/lost.mp4", status="failed", reason=reason, lag_s=None, worker=""))
        eventually(lambda: reason in text(browser, ".tile"), "the film is first")
        assert browser.execute_script(
            "const e = document.querySelector('.why'); return e.scrollHeight <= e.clientHeight"
        )
        browser.get(f"{page.url}/stream/lost")
        eventually(lambda: "No result is kept." in text(browser, "article"), "nothing was seen of it")
        assert not browser.find_element(By.CSS_SELECTOR, "input[type=range]").is_displayed()
        assert "Export" not in text(browser, "article")
        browser.get(f"{page.url}/stream/nobody")
        eventually(lambda: "no job 'nobody'" in text(browser, "article"), "it is not there")
        assert "Events" not in text(browser, "article")


@pytest.mark.long
def test_what_is_exported_there_arrives_as_files(redis_server: RedisServer, tmp_path: Path) -> None:
    settings: Settings = settings_for(redis_server, view__port=0)
    plot = Plot(settings, redis_server.client())
    plot.past("film", *ACTS, live=False)
    plot.plant(Planted("film", stream="a film", source="/films/f.mp4", status="done", lag_s=None))
    folder = tmp_path / "downloads"
    folder.mkdir()
    with running(settings) as page, chromium(tmp_path / "profile") as browser:
        wish = {"behavior": "allow", "downloadPath": str(folder)}
        browser.execute_cdp_cmd("Browser.setDownloadBehavior", wish)
        browser.get(f"{page.url}/stream/film")
        eventually(lambda: browser.find_elements(By.LINK_TEXT, "jsonl"), "the links")
        for format_, says in (("jsonl", b'"pts_s":0.0,'), ("csv", b"id,frame,"), ("vtt", b"WEBVTT\n")):
            browser.find_element(By.LINK_TEXT, format_).click()
            assert says in arrived(folder, format_, 1)
        browser.get(f"{page.url}/search?label=star")
        eventually(lambda: text(browser, ".count") == "1 event", "star enters")
        browser.find_element(By.LINK_TEXT, "all of them as jsonl").click()
        assert b'"kind":"enter"' in arrived(folder, "jsonl", 2)
