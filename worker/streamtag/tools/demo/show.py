"""The demo from start to end: a Redis, a worker, a clip with known truth, its labels as they come, a summary."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamtag.client import Client
from streamtag.core.records import Event, JobView, Result
from streamtag.core.segments import Segment
from streamtag.errors import StreamtagError
from streamtag.pipeline.service import Service
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import NOTHING, plan, write_clip
from streamtag.tools.embedded import EmbeddedRedis

CLIP_SEED = 7
READY_S = 300.0


@dataclass(frozen=True, slots=True)
class Started:
    """What is known once the worker is up."""

    job_id: str
    source: str
    metrics_url: str
    redis: str
    truth: tuple[Segment, ...]


class Demo:
    """A Redis, a worker, a clip with known truth, and its labels as they come.

    Args:
        settings: those of the worker; its Redis is replaced by the embedded one.
        source: a clip of the user's own; by default one is drawn.
        seconds: length of the drawn clip.
    """

    def __init__(self, settings: Settings, source: str | None, seconds: float) -> None:
        self._settings = settings
        self._source = source
        self._seconds = seconds

    def play(
        self,
        on_start: Callable[[Started], None],
        on_news: Callable[[Event | Result, JobView], None],
    ) -> dict[str, Any]:
        """Run it and return the summary.

        Raises:
            StreamtagError: no Redis can be started, or the worker stopped.
            ConfigError: the model or a setting is wrong.
        """
        began_s = time.monotonic()
        with ExitStack() as stack:
            server = stack.enter_context(EmbeddedRedis())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamtag-clip-")))
            truth, source = self._clip(folder)
            settings = self._with_redis(server.url)
            worker = stack.enter_context(_Worker(settings))
            client = stack.enter_context(Client(settings=settings))
            job = client.submit(source, stream="demo")
            started = Started(job.job_id, source, f"{worker.service.http.url}/metrics", server.executable, truth)
            on_start(started)
            started_s = time.monotonic()
            results = self._follow(client, job.job_id, worker, on_news)
            view = client.status(job.job_id)
            return self._summary(view, results, started, time.monotonic() - began_s, time.monotonic() - started_s)

    def _clip(self, folder: Path) -> tuple[tuple[Segment, ...], str]:
        if self._source is not None:
            return (), self._source
        segments = plan(self._seconds, CLIP_SEED)
        path = folder / "drawn-shapes.mp4"
        write_clip(path, segments, CLIP_SEED)
        return tuple(segments), str(path)

    def _with_redis(self, url: str) -> Settings:
        values = self._settings.model_dump()
        values["redis"]["url"] = url
        return Settings(**values)

    def _follow(
        self, client: Client, job_id: str, worker: _Worker, on_news: Callable[[Event | Result, JobView], None]
    ) -> list[Result]:
        results: list[Result] = []
        last_event = last_result = "0-0"
        while True:
            view = client.status(job_id)
            for event in client.events(job_id, after=last_event):
                last_event = event.id
                on_news(event, view)
            for result in client.results(job_id, after=last_result):
                last_result = result.id
                results.append(result)
                on_news(result, view)
            if view.status.is_terminal:
                return results
            worker.check()
            time.sleep(0.1)

    def _summary(
        self, view: JobView, results: list[Result], started: Started, total_s: float, job_s: float
    ) -> dict[str, Any]:
        seen = Counter(name for result in results for name in (result.active or (NOTHING,)))
        summary: dict[str, Any] = {
            "summary": True,
            "job_id": view.job_id,
            "status": view.status,
            "reason": view.reason,
            "model": self._settings.model.name,
            "source": view.source if self._source else "a clip drawn for this run",
            "counters": view.counters.to_dict(),
            "labels": dict(seen.most_common()),
            "samples_per_s": round(len(results) / job_s, 1) if job_s else 0.0,
            "seconds": round(total_s, 1),
            "metrics": started.metrics_url,
        }
        if started.truth:
            found = [segment_label(segment, results) for segment in started.truth]
            summary["segments"] = [
                {"start_s": s.start_s, "end_s": s.end_s, "truth": s.label, "seen": label}
                for s, label in zip(started.truth, found, strict=True)
            ]
            right = sum(label == segment.label for label, segment in zip(found, started.truth, strict=True))
            summary["segments_right"], summary["segments_total"] = right, len(found)
        return summary


def segment_label(segment: Segment, results: list[Result]) -> str:
    """What the worker showed for most of a segment: the steadiest label of each sample, or nothing."""
    votes = Counter(
        result.labels[0].name if result.active and result.labels[0].name in result.active else NOTHING
        for result in results
        if segment.start_s <= result.pts_s < segment.end_s
    )
    return votes.most_common(1)[0][0] if votes else ""


class _Worker:
    """A worker in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self.service = Service(settings)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def __enter__(self) -> _Worker:
        self._thread.start()
        deadline_s = time.monotonic() + READY_S
        try:
            while not self._ready.wait(0.1):
                self.check()
                if time.monotonic() > deadline_s:
                    raise StreamtagError(
                        f"the worker was not ready after {READY_S:.0f} s; `streamtag doctor` may tell why"
                    )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.service.stop()
        self._thread.join(10.0)

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
