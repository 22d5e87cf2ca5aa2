"""What the page costs its server, and a browser: ``python -m tests.bench.page``; its outcome is in ``RESULTS.md``.

Streams are planted and go on by themselves, two samples a second each with a new picture every two seconds; viewers
hear of all of them and ask for the pictures of forty, as a large screen shows.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import redis
from selenium import webdriver
from streamtag.settings import Settings

from tests.support import RedisServer, Worker, eventually, redis_binaries, settings_for
from tests.support.browser import chromium
from tests.support.planted import Plot, fleet, picture

IN_VIEW = 40
SETTLE_S = 10.0
WATCHED_S = 20.0
PICTURE_EVERY = 2  # seconds


def say(row: str) -> None:
    """A row of the table, at once."""
    sys.stdout.write(f"{row}\n")
    sys.stdout.flush()


class Viewer(threading.Thread):
    """One browser without a screen: it reads what it is told and asks for the pictures in view."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self.heard_bytes = 0
        self.messages = 0
        self.pictures = 0
        self._newest: dict[int, str] = {}

    def run(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the server is ended before its viewers
            self._watch()

    def _watch(self) -> None:
        told = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        told.request("GET", "/api/live")
        answer = told.getresponse()
        asked = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        has: dict[int, str] = {}
        while line := answer.readline():
            self.heard_bytes += len(line)
            if not line.startswith(b"data: {"):
                continue
            self.messages += 1
            for job in json.loads(line[6:]).get("jobs", ()):
                if job.get("thumb"):
                    self._newest[job["n"]] = job["thumb"]
            due = [n for n in sorted(self._newest)[:IN_VIEW] if has.get(n) != self._newest[n]]
            if due:
                asked.request("GET", "/api/thumbs?of=" + ",".join(f"{n}@{has.get(n, '')}" for n in due))
                for number, (version, _) in json.loads(asked.getresponse().read()).items():
                    has[int(number)] = version
                    self.pictures += 1


def go_on(settings: Settings, url: str, count: int) -> None:
    """Let the planted streams go on, in a process of its own, until it is ended."""
    with redis.Redis.from_url(url, decode_responses=True, protocol=2) as client:
        plot, streams, turn = Plot(settings, client), fleet(count), 0
        while True:
            began_s = time.monotonic()
            for number, stream in enumerate(streams):
                stream.published += 2
                stream.thumb = picture(number % 24) if (turn + number) % PICTURE_EVERY == 0 else b""
            plot.plant(*streams)
            turn += 1
            time.sleep(max(0.0, began_s + 1 - time.monotonic()))


def measure(streams: int, viewers: int, seconds: float) -> None:
    """Print what was measured, as rows of a table."""
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(redis_binaries()[0], Path(folder), "--appendonly", "no") as server,
    ):
        settings = settings_for(server)
        Plot(settings, server.client()).worker("worker-1", streams)
        going = multiprocessing.get_context("spawn").Process(target=go_on, args=(settings, server.url, streams))
        going.start()
        page = Worker(settings, "view.port=0", command="view")
        try:
            url = eventually(lambda: page.said("ready"), "the page is served")["page"]
            crowd = [Viewer(int(url.rpartition(":")[2])) for _ in range(viewers)]
            for viewer in crowd:
                viewer.start()
            eventually(lambda: all(viewer.messages > 3 for viewer in crowd), "all are told")
            time.sleep(SETTLE_S)
            process = psutil.Process(page.process.pid)
            before, heard = process.cpu_times(), sum(viewer.heard_bytes for viewer in crowd)
            messages, pictures = crowd[0].messages, crowd[0].pictures
            began_s = time.monotonic()
            time.sleep(seconds)
            took_s, after = time.monotonic() - began_s, process.cpu_times()
            busy_s = after.user + after.system - before.user - before.system
            say(f"| {streams} streams, {viewers} viewers: the server | {busy_s / took_s:.1%} of a core |")
            say(f"| its memory | {process.memory_info().rss / 1e6:.0f} MB |")
            told = (sum(viewer.heard_bytes for viewer in crowd) - heard) / viewers / took_s
            rate = (crowd[0].messages - messages) / took_s
            say(f"| a viewer is told | {told / 1e3:.0f} kB/s in {rate:.2f} messages/s |")
            say(f"| and gets | {(crowd[0].pictures - pictures) / took_s:.1f} pictures/s |")
            say_browser(url, streams, Path(folder))
            say(f"| load of the machine | {os.getloadavg()[0]:.0f} |")
        finally:
            page.kill()
            going.kill()


def say_browser(url: str, streams: int, folder: Path) -> None:
    """How long a browser takes until it shows all of them, and the longest task it has while they change."""
    with chromium(folder / "profile") as browser:
        browser.get("about:blank")
        # Of processor time: what other work takes meanwhile does not count.
        browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        browser.execute_cdp_cmd(
            "Page.addScriptToEvaluateOnNewDocument",
            {
                "source": "window.tasks = []; new PerformanceObserver(all => all.getEntries().forEach("
                "one => tasks.push(one.duration))).observe({type: 'longtask', buffered: true});"
                "const look = () => (document.querySelector('.count')?.textContent.startsWith("
                f"'{streams} ') && document.querySelectorAll('.tile').length > 8)"
                "? window.shown = performance.now() : requestAnimationFrame(look); look();"
            },
        )
        browser.get(url)
        shown_ms = float(eventually(lambda: browser.execute_script("return window.shown"), "all are shown"))
        drawn_s = cpu_s(browser)
        browser.execute_script("tasks.length = 0")
        time.sleep(WATCHED_S)
        tasks = browser.execute_script("return tasks")
        changing_s = cpu_s(browser) - drawn_s
        say(f"| Chromium shows {streams} streams after | {shown_ms / 1000:.2f} s |")
        say(f"| processor time of the page until then | {drawn_s:.2f} s |")
        say(f"| and while they change | {changing_s / WATCHED_S:.1%} of a core |")
        longest_ms = max(tasks, default=0.0)
        say(f"| its longest task in {WATCHED_S:.0f} s of changes | {longest_ms:.0f} ms ({len(tasks)} above 50 ms) |")


def cpu_s(browser: webdriver.Chrome) -> float:
    """Processor time of the page's main thread so far."""
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    measure(given.streams, given.viewers, given.seconds)
