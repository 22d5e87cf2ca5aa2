"""The page's server in a thread, and what it answers, without a browser."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from streamtag.settings import Settings
from streamtag.view.server import Page

from tests.support.waiting import eventually


@contextmanager
def running(settings: Settings) -> Iterator[Page]:
    """A server of the page; it must end when it is told to."""
    page = Page(settings)
    thread = threading.Thread(target=page.run, daemon=True)
    thread.start()
    yield page
    page.stop()
    thread.join(20)
    assert not thread.is_alive()


class Served(Protocol):
    """The page, whoever serves it."""

    @property
    def url(self) -> str:
        """Its address in a browser."""


def ask(
    page: Served, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> http.client.HTTPResponse:
    """Ask the server; underscores in the names of headers become dashes."""
    host, _, port = page.url.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request(method, path, body, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


class Told:
    """What one who watches is told."""

    def __init__(self, page: Served) -> None:
        self.answer = ask(page, "/api/live")
        assert self.answer.status == 200
        self.text = ""
        self.jobs: dict[str, dict[str, Any]] = {}
        self._numbers: dict[int, str] = {}

    def next(self) -> bool:
        """Hear the next message about streams; whether any of them was new or changed."""
        name = ""
        while line := self.answer.readline().decode():
            self.text += line
            if line.startswith("event: "):
                name = line.removeprefix("event: ").strip()
            elif line.startswith("data: ") and name in ("whole", "change"):
                jobs = json.loads(line.removeprefix("data: "))["jobs"]
                for job in jobs:
                    job_id = self._numbers.setdefault(job["n"], job.get("id"))
                    self.jobs.setdefault(job_id, {}).update(job)
                return bool(jobs)
        raise AssertionError("the answer ended")

    def know(self, *job_ids: str) -> None:
        """Listen until these jobs have been told of: a server's last look may be one of before them."""
        eventually(lambda: set(job_ids) <= set(self.jobs) or (self.next() and False), f"{job_ids} are told of")
