"""Everybody can use the page: axe-core finds nothing serious on it, in light and dark, and it fits a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from streamtag.settings import Settings

from tests.support import RedisServer, eventually, settings_for
from tests.support.browser import chromium, look_as
from tests.support.page import running
from tests.support.planted import Act, Plot, fleet

ACTS = (Act(0, 20), Act(20, 50, ("star",)), Act(50, 60), Act(60, 90, ("ring",)), Act(90, 100))
PAGES = ("/", "/stream/camera-0", "/search?label=star")
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def address(redis_server: RedisServer) -> Iterator[str]:
    settings: Settings = settings_for(
        redis_server, view__port=0, view__allow_changes=True, view__token="correct-horse-battery"
    )
    plot = Plot(settings, redis_server.client())
    plot.past("camera-0", *ACTS)
    plot.plant(*fleet(60))
    plot.worker()
    with running(settings) as page:
        yield page.url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def is_drawn(browser: webdriver.Chrome) -> bool:
    return bool(
        browser.execute_script(
            "return document.getElementById('connection')?.textContent === 'up to date' && "
            "Boolean(document.querySelector('.tile, svg.story, .count + .scroll tbody tr'))"
        )
    )


def faults(browser: webdriver.Chrome, where: str) -> list[tuple[str, str, list[str]]]:
    """What axe-core finds that is serious, and in which elements."""
    return [
        (where, fault["id"], [node["html"][:120] for node in fault["nodes"][:3]])
        for fault in Axe().run(browser)["violations"]
        if fault["impact"] in SERIOUS
    ]


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(address: str, browser: webdriver.Chrome, scheme: str) -> None:
    look_as(browser, scheme)
    found = []
    for path in PAGES:
        browser.get(address + path)
        eventually(lambda: is_drawn(browser), f"{path} is drawn")
        browser.execute_script("document.querySelector('details')?.setAttribute('open', '')")
        found += faults(browser, path)
    assert found == []


@pytest.mark.parametrize(("path", "opener"), [("/", "Submit"), ("/stream/camera-0", "Cancel")])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_dialogue_is_for_everybody_and_fits_a_phone(
    address: str, browser: webdriver.Chrome, scheme: str, path: str, opener: str
) -> None:
    look_as(browser, scheme, width_px=390, height_px=844)
    browser.get(address + path)
    eventually(lambda: is_drawn(browser), f"{path} is drawn")
    button = eventually(lambda: browser.find_elements(By.XPATH, f"//button[. = '{opener}']"), "its button is there")[0]
    button.click()
    dialog = browser.find_element(By.TAG_NAME, "dialog")
    assert dialog.is_displayed()
    assert faults(browser, opener) == []
    assert dialog.rect["x"] >= 0
    assert dialog.rect["x"] + dialog.rect["width"] <= 390
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    eventually(lambda: not browser.find_elements(By.TAG_NAME, "dialog"), "Escape closes it")
    assert browser.switch_to.active_element.text == opener, "and one is where one was"


@pytest.mark.long
def test_on_a_phone_nothing_is_wider_than_the_screen(address: str, browser: webdriver.Chrome, tmp_path: Path) -> None:
    look_as(browser, "light", width_px=390, height_px=844)
    for path in PAGES:
        browser.get(address + path)
        eventually(lambda: is_drawn(browser), f"{path} is drawn")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390, path
        columns = "return [...document.querySelectorAll('td.wide')].map(one => one.clientWidth)"
        for width in browser.execute_script(columns):
            assert width > 150, "what happened is not told in a letter or two a line"
