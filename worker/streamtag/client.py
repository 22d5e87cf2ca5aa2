"""The Python client: submit jobs and read what became of them. The command line is built on it.

>>> client = Client("redis://127.0.0.1:6379/0", model="xception")      # doctest: +SKIP
>>> job = client.submit("rtsp://camera.lan/stream", fps=2)               # doctest: +SKIP
>>> for result in client.results(job.job_id, follow=True):               # doctest: +SKIP
...     print(result.pts_s, result.active)
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streamtag.configuration import load
from streamtag.core.album import Picture
from streamtag.core.job import Job, Region, Sampling, explain
from streamtag.core.records import Event, JobView, Result, WorkerView
from streamtag.core.source import SourceKind, source_kind
from streamtag.errors import ConfigError, StreamtagError
from streamtag.queue.connection import Connection
from streamtag.queue.depth import QueueDepth
from streamtag.queue.keys import Keys
from streamtag.queue.memory import Holding, RedisMemory
from streamtag.queue.notices import Feeds
from streamtag.queue.orphans import Orphan, Orphans
from streamtag.queue.pictures import read_album, read_newest
from streamtag.queue.producer import Producer
from streamtag.queue.published import DeadLetter
from streamtag.settings import Settings

FOLLOW_BLOCK_MS = 1000
Roi = tuple[float, float, float, float]  # x, y, width and height, in fractions of the frame


class Client:
    """A connection to one model's queue.

    Args:
        url: of Redis; by default the settings' (``STREAMTAG_REDIS__URL``).
        model: whose queue; by default the settings' (``STREAMTAG_MODEL__NAME``).
        settings: in place of those read from the environment.
        shard: of the model's queue; by default the settings' (``STREAMTAG_REDIS__SHARD``).

    Raises:
        ConfigError: a setting is wrong.
    """

    def __init__(
        self,
        url: str | None = None,
        model: str | None = None,
        settings: Settings | None = None,
        shard: int | None = None,
    ) -> None:
        overrides: dict[str, Any] = {"redis.url": url, "model.name": model, "redis.shard": shard}
        if settings is None or any(value is not None for value in overrides.values()):
            base = settings.model_dump() if settings is not None else {}
            settings = _override(base, {name: value for name, value in overrides.items() if value is not None})
        self.settings = settings
        keys = Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)
        self._connection = Connection(settings.redis, keys)
        self._producer = Producer(self._connection)
        self._orphans = Orphans(self._connection)
        self._feeds = Feeds(self._connection)

    def submit(
        self,
        source: str,
        *,
        job_id: str | None = None,
        stream: str = "",
        fps: float | None = None,
        every: int | None = None,
        keyframes: bool = False,
        live: bool | None = None,
        roi: Roi | dict[str, Roi] | None = None,
        motion_gate: float | None = None,
        motion_gate_max_s: float | None = None,
        credential: str = "",
        traceparent: str = "",
        watch: Sequence[str] = (),
    ) -> JobView:
        """Queue one source. The same ``job_id`` twice is one job.

        Args:
            source: a file, a folder or glob of images, an http(s) or rtsp(s) URL, or ``camera:0``. A relative path
                is taken from here; the worker must see the same files.
            job_id: yours, for submitting safely again; by default one is made from the source.
            stream: the name people know the source by; carried by its events.
            fps, every, keyframes: which frames are samples; at most one of them.
            live: whether the source can be read again, where its kind does not tell.
            roi: the region of each frame that is looked at: x, y, width and height in fractions of the frame; or
                several by name, each a stream of results of its own.
            motion_gate: a sample whose picture differs from the last one classified by no more than this (0 to 1, of
                the part that changed most) takes that one's scores.
            motion_gate_max_s: seconds after which a sample is classified, whatever it shows.
            credential: name of the user and password that the workers have for the source (``source.credentials``), in
                place of those in its URL.
            traceparent: W3C trace context: its trace id is in the job's events, log lines and exemplars.
            watch: labels and groups that may become active and make events; none means all.

        Raises:
            StreamtagError: the job is not valid, the queue or Redis's memory is full, or Redis cannot be reached.
        """
        if not source.strip():
            raise ConfigError("the source is empty; name a file, a folder, a URL or camera:0")
        try:
            job = Job(
                job_id=job_id or new_job_id(source),
                source=located(source),
                stream=stream,
                model=self._model_name(),
                live=live,
                sampling=_sampling(fps, every, keyframes, motion_gate, motion_gate_max_s),
                roi=_regions(roi),
                credential=credential,
                traceparent=traceparent,
                watch=(watch,) if isinstance(watch, str) else tuple(watch),
                submitted_unix_s=round(time.time(), 3),
            )
        except ValidationError as error:
            raise ConfigError(explain(error)) from None
        self._producer.submit(job)
        return self._producer.view(job.job_id)

    def _model_name(self) -> str:
        """Empty for the folder of a bundle: the worker may have it elsewhere."""
        name = self.settings.model.name
        return name if Path(name).name == name else ""

    def status(self, job_id: str) -> JobView:
        """
        Raises:
            JobNotFound: no such job.
        """
        return self._producer.view(job_id)

    def job(self, job_id: str) -> Job:
        """A job as it was submitted, with its source redacted; ``JobNotFound`` where there is none."""
        return self._producer.job(job_id)

    def jobs(self) -> list[JobView]:
        """Every job that Redis still knows, oldest first."""
        return self._producer.views()

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobView:
        """The job once it is over.

        Raises:
            TimeoutError: it is not, after ``timeout_s``.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            view = self.status(job_id)
            if view.status.is_terminal:
                return view
            if deadline_s is not None and time.monotonic() > deadline_s:
                raise TimeoutError(f"{job_id}: still {view.status} after {timeout_s} s")
            time.sleep(0.1)

    def results(self, job_id: str, *, follow: bool = False, after: str = "0-0") -> Iterator[Result]:
        """Results in order; with ``follow`` until the job is over.

        Args:
            after: id of the last result already seen.
        """
        while True:
            over = follow and self._is_over(job_id)
            block_ms = FOLLOW_BLOCK_MS if follow and not over else None
            batch = self._producer.results(job_id, after, block_ms=block_ms)
            yield from batch
            if batch:
                after = batch[-1].id
            elif not follow or over:
                return

    def newest_results(self, job_id: str, count: int) -> list[Result]:
        """The last ``count`` results, oldest of them first."""
        return self._producer.newest_results(job_id, count)

    def thumbnail(self, job_id: str) -> Picture | None:
        """The newest small picture of a job; None where its worker keeps none (``view.thumbnails``)."""
        return read_newest(self._connection, job_id)

    def pictures(self, job_id: str) -> list[Picture]:
        """The small pictures that are kept of a job beside the newest, in the order in which they came."""
        return [picture for _, picture in read_album(self._connection, job_id)]

    def events(self, job_id: str | None = None, *, follow: bool = False, after: str = "0-0") -> Iterator[Event]:
        """Events of one job or of all; with ``follow`` until that job is over, or for ever."""
        while True:
            over = follow and job_id is not None and self._is_over(job_id)
            block_ms = FOLLOW_BLOCK_MS if follow and not over else None
            batch = self._producer.events(after, block_ms=block_ms)
            yield from (event for event in batch if job_id in (None, event.job_id))
            if batch:
                after = batch[-1].id
            elif not follow or over:
                return

    def cancel(self, job_id: str) -> str:
        """Cancel a job.

        Returns:
            ``cancelled``; ``cancelling`` until its worker has heard; or the status of a job that was over already.

        Raises:
            JobNotFound: no such job.
        """
        return self._producer.cancel(job_id)

    def dead_letters(self) -> Iterator[DeadLetter]:
        return self._producer.dead_letters()

    def requeue(self, letter: DeadLetter, source: str = "") -> None:
        """Make a dead letter a job again.

        Args:
            source: of the job, where it held a credential and was therefore forgotten when the job failed.
        """
        self._producer.requeue(letter, located(source) if source else "")

    def drop(self, letter: DeadLetter) -> None:
        self._producer.drop(letter)

    def workers(self) -> list[WorkerView]:
        """Workers that serve this queue now, idle ones too."""
        return self._producer.workers()

    def orphans(self) -> Iterator[Orphan]:
        """What no job of the queue owns, or no worker will ever run."""
        return self._orphans.find()

    def remove(self, orphan: Orphan) -> bool:
        """Remove one of them; a job that none will run ends as a dead letter. False where it has an owner by now."""
        return self._orphans.remove(orphan)

    def memory(self) -> RedisMemory:
        """How full Redis is."""
        return self._producer.memory()

    def holdings(self) -> list[Holding]:
        """What this queue takes of Redis's memory, by kind of key; looks at each of them."""
        return self._producer.holdings()

    def depth(self) -> QueueDepth:
        """How many jobs wait in this queue and since when, and how many are taken; cheap at any length.

        Reads the queue itself, which Redis's user ``streamtag-exporter`` may and ``streamtag-reader`` may not.
        """
        return self._producer.depth()

    @property
    def feeds(self) -> Feeds:
        """What ``streamtag notify`` has told, and what nobody took."""
        return self._feeds

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _is_over(self, job_id: str) -> bool:
        return self._producer.view(job_id).status.is_terminal


def _sampling(
    fps: float | None, every: int | None, keyframes: bool, motion_gate: float | None, motion_gate_max_s: float | None
) -> Sampling:
    numbers = [None if number is None else float(number) for number in (fps, motion_gate, motion_gate_max_s)]
    try:
        return Sampling(numbers[0], every, keyframes, motion_gate=numbers[1], motion_gate_max_s=numbers[2])
    except ValidationError as error:
        raise ConfigError(explain(error, "sampling")) from None


def _regions(roi: Roi | dict[str, Roi] | None) -> Region | dict[str, Region] | None:
    if isinstance(roi, dict):
        return {name: _region(region) for name, region in roi.items()}
    return None if roi is None else _region(roi)


def _region(roi: Roi) -> Region:
    x, y, width, height = map(float, roi)
    return x, y, width, height


def new_job_id(source: str) -> str:
    """An id that tells people what it is of, with enough of chance in it to be the only one."""
    name = re.split(r"[?#]", re.sub(r"^[a-z]+://([^/@]*@)?", "", source))[0].rstrip("/").rsplit("/", 1)[-1]
    stem = re.sub(r"[^A-Za-z0-9]+", "-", name.rsplit(".", 1)[0]).strip("-").lower()[:40]
    return f"{stem or 'job'}-{secrets.token_hex(3)}"


def located(source: str) -> str:
    """A relative path made absolute, since the worker runs in another folder. URLs stay as they are."""
    if "://" in source or source_kind(source) is SourceKind.CAMERA:
        return source
    try:
        return f"{Path(source).expanduser().absolute()}{'/' if source.endswith('/') else ''}"
    except (FileNotFoundError, RuntimeError):  # this folder was deleted; there is no such home
        raise ConfigError(f"{source}: the folder that it is in is not there; give the whole path") from None


def _override(base: dict[str, Any], overrides: dict[str, Any]) -> Settings:
    flat = {f"{group}.{name}": value for group, values in base.items() for name, value in values.items()}
    return load(None, flat | overrides)[0]


__all__ = ["Client", "DeadLetter", "Event", "JobView", "Picture", "Result", "StreamtagError"]
