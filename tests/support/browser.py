"""A real Chromium without a display, for pages that people will open."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser that asks the network for nothing of its own."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert browser, "chromium is missing: make system installs it"
    assert driver, "chromedriver is missing: make system installs it"
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        "--window-size=1100,1400",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options, Service(driver, env=dict(os.environ)))
    opened.set_page_load_timeout(60)
    try:
        yield opened
    finally:
        opened.quit()


def log(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    """The browser's log since it was last asked for."""
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]  # Selenium has no types there


def look_as(browser: webdriver.Chrome, scheme: str, width_px: int = 1100, height_px: int = 1400) -> None:
    """Show pages as on a screen of that size, for somebody who likes them ``light`` or ``dark``."""
    metrics = {"width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
