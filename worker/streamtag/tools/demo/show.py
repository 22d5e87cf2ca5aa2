"""The demo from start to end: a Redis, a worker, a clip with known truth, its labels as they come, a summary."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from streamtag.client import Client
from streamtag.core.records import Event, JobView, Result
from streamtag.errors import StreamtagError
from streamtag.networks.registry import resolve
from streamtag.pipeline.service import Service
from streamtag.settings import Settings
from streamtag.tools.demo.clips import Clip, TrueSegment, Verdict, groups_of, judge
from streamtag.tools.demo.contact_sheet import draw_contact_sheet
from streamtag.tools.demo.drawing import NOTHING
from streamtag.tools.embedded import EmbeddedRedis

READY_S = 300.0
STOP_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Started:
    """What is known once the worker is up."""

    job_id: str
    source: str
    metrics_url: str
    redis: str  # the server's program
    page_url: str  # of the page to look at; empty where its packages are missing


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went."""

    started: Started
    model: str
    title: str  # of the clip, or the source of the user's own
    job: JobView
    results: tuple[Result, ...]
    verdicts: tuple[Verdict, ...]  # empty for a source of the user's own
    job_s: float
    seconds: float  # in all
    sheet: Path | None

    @property
    def samples_per_s(self) -> float:
        """How fast the job was, its start included."""
        return round(len(self.results) / self.job_s, 1) if self.job_s else 0.0

    @property
    def labels(self) -> dict[str, int]:
        """Samples a label was active in, the most frequent first."""
        seen = Counter(name for result in self.results for name in (result.active or (NOTHING,)))
        return dict(seen.most_common())

    @property
    def right(self) -> int:
        """Segments whose label is right."""
        return sum(verdict.is_right for verdict in self.verdicts)


OnNews = Callable[[Event | Result, JobView], None]
Page = Callable[[Settings], AbstractContextManager[str]]


class Demo:
    """A Redis, a worker, a clip with known truth, and its labels as they come.

    Args:
        settings: those of the worker; its Redis is replaced by the embedded one.
        what: a clip to write and play, or a source of the user's own.
        seconds: length of the clip.
        sheet: where the contact sheet of the clip goes.
        page: serves the page to look at while it is entered, and gives its address; empty where there is none.
    """

    def __init__(self, settings: Settings, what: Clip | str, seconds: float, sheet: Path, page: Page) -> None:
        self._settings = settings
        self._what = what
        self._seconds = seconds
        self._sheet = sheet
        self._page = page
        self._worker: _Worker | None = None

    @property
    def is_worker_running(self) -> bool:
        """Whether the worker's thread has outlived the demo, which then cannot leave as other programs do."""
        return self._worker is not None and self._worker.is_running

    def play(self, on_start: Callable[[Started], None], on_news: OnNews, on_end: Callable[[Outcome], None]) -> Outcome:
        """Run it.

        Args:
            on_end: called while all of it is still there, the page too.

        Raises:
            StreamtagError: no Redis can be started, the worker stopped, or the contact sheet cannot be written.
            ConfigError: the model or a setting is wrong.
        """
        began_s = time.monotonic()
        with ExitStack() as stack:
            server = stack.enter_context(EmbeddedRedis())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamtag-clip-")))
            settings = server.in_place_of_theirs(self._settings)
            worker = self._worker = stack.enter_context(_Worker(settings))
            # Beside the compiling of the network, which takes longer.
            source, truth = self._written(folder)
            worker.wait_ready()
            client = stack.enter_context(Client(settings=settings))
            job = client.submit(source, stream="demo")
            page_url = stack.enter_context(self._page(settings))
            metrics_url = f"{worker.service.http.url}/metrics"
            started = Started(job.job_id, source, metrics_url, server.executable, page_url)
            on_start(started)
            started_s = time.monotonic()
            results = _follow(client, job.job_id, worker, on_news)
            job_s = time.monotonic() - started_s
            verdicts = judge(truth, results, groups_of(resolve(settings.model)))
            if verdicts:
                right = sum(verdict.is_right for verdict in verdicts)
                network = "the demo network" if settings.model.name == "demo" else settings.model.name
                heading = f"streamtag demo, {network}: {right} of {len(verdicts)} segments right"
                draw_contact_sheet(self._sheet, Path(source), verdicts, heading)
            outcome = Outcome(
                started,
                settings.model.name,
                self._what if isinstance(self._what, str) else self._what.title,
                client.status(job.job_id),
                tuple(results),
                verdicts,
                job_s,
                time.monotonic() - began_s,
                self._sheet if verdicts else None,
            )
            on_end(outcome)
            return outcome

    def _written(self, folder: Path) -> tuple[str, Sequence[TrueSegment]]:
        if isinstance(self._what, str):
            return self._what, ()
        path = folder / "demo.mp4"
        return str(path), self._what.write(path, self._seconds)


def _follow(client: Client, job_id: str, worker: _Worker, on_news: OnNews) -> list[Result]:
    """Tell all news in the order of the clip; that the job is over comes last."""
    results: list[Result] = []
    last_event = last_result = "0-0"
    while True:
        view = client.status(job_id)
        # Events before results: what an event tells of has its results in Redis by then.
        events = list(client.events(job_id, after=last_event))
        news = list(client.results(job_id, after=last_result))
        last_event = events[-1].id if events else last_event
        last_result = news[-1].id if news else last_result
        results += news
        all_news: list[Event | Result] = [*news, *events]
        for item in sorted(all_news, key=_place):
            on_news(item, view)
        if view.status.is_terminal:
            return results
        worker.check()
        time.sleep(POLL_S)


def _place(news: Event | Result) -> tuple[bool, float, bool]:
    return isinstance(news, Event) and news.kind == "status", news.pts_s, isinstance(news, Event)


class _Worker:
    """A worker in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def __enter__(self) -> _Worker:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.service.stop()
        # Until it is ready it has no job to hand back, and a person who pressed Ctrl-C waits for nothing.
        if self._ready.is_set() or kind is not KeyboardInterrupt:
            self._thread.join(STOP_S)

    @property
    def is_running(self) -> bool:
        """Whether its thread is still there: nothing can end one that imports or compiles."""
        return self._thread.is_alive()

    def wait_ready(self) -> None:
        """Wait until it takes jobs.

        Raises:
            StreamtagError: it is not ready in time, or whatever ended it.
        """
        deadline_s = time.monotonic() + READY_S
        while not self._ready.wait(0.1):
            self.check()
            if time.monotonic() > deadline_s:
                raise StreamtagError(f"the worker was not ready after {READY_S:.0f} s; `streamtag doctor` may tell why")

    def check(self) -> None:
        """Raise what ended the worker, if it has ended."""
        if self._error is not None:
            raise self._error
        if not self._thread.is_alive():
            raise StreamtagError("the worker stopped; its log says why")

    def _run(self) -> None:
        try:
            self.service.run(on_ready=lambda service: self._ready.set())
        except BaseException as error:
            self._error = error
