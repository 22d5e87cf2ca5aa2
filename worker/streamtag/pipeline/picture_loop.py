"""The pictures thread: makes small pictures of what was classified and keeps some in Redis. Nothing waits for it.

Pictures are an aid. Where this thread is late, Redis is away or short of memory, some are missing, and no result is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np

from streamtag.core.album import Album, Picture, PictureKind, Place, nearest
from streamtag.core.records import Sample
from streamtag.core.track import Transition
from streamtag.errors import LeaseLost, QueueRefused, QueueUnavailable
from streamtag.ingest.thumbs import to_jpeg
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.pipeline.outage import Outage
from streamtag.pipeline.picture_box import PictureBox
from streamtag.pipeline.run import Run, Runs
from streamtag.queue.memory import ALERT
from streamtag.queue.pictures import MAX_JPEG_BYTES, PictureStep
from streamtag.queue.session import QueueSession
from streamtag.view_settings import ViewSettings

PERIOD_S = 0.25
NEAR = 64  # pictures of a run that a label may get: of a film that goes fast, its event comes dozens of samples later
MEMORY_S = 3.0  # from one look at Redis's memory to the next
BATCH_STEPS = 16  # 1 MB at most for each: two pictures are usual, of 7 kB


@dataclass(slots=True)
class _Shelf:
    """The pictures of one run."""

    album: Album
    recent: deque[Picture] = field(default_factory=lambda: deque(maxlen=NEAR))
    newest: Picture | None = None  # that is not in Redis yet
    due_s: float = 0.0  # when the next newest one may be written
    coming: list[tuple[Place, Picture]] = field(default_factory=list)
    is_closed: bool = False  # nothing more of it may be written


class PictureLoop:
    """Makes and writes the pictures of all runs, as often as the settings say."""

    def __init__(
        self,
        session: QueueSession,
        runs: Runs,
        box: PictureBox,
        settings: ViewSettings,
        metrics: Metrics,
        outage: Outage,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._pictures = session.pictures(settings.pictures)
        self._runs = runs
        self._box = box
        self._settings = settings
        self._metrics = metrics
        self._outage = outage
        self._now_s = now_s
        self._shelves: dict[Run, _Shelf] = {}
        self._memory_due_s = 0.0
        self._is_short = False

    def run_once(self) -> None:
        """Wait a little, then make and write what has come meanwhile."""
        time.sleep(PERIOD_S)
        self.work()

    def work(self) -> None:
        """Make and write what has come. While Redis is away nothing is taken: what does not fit the box is lost."""
        if self._outage.wait_s() > 0:
            return
        running = set(self._runs.all())  # before the box: of those that are not there any more, all has come
        offered, entered = self._box.take()
        try:
            for run, sample, picture in offered:
                self._make(run, sample, picture)
            for run, transition in entered:
                self._enter(run, transition)
            self._write(running)
        except QueueUnavailable as error:
            self._outage.failed(error)
        for run in self._shelves.keys() - running:
            del self._shelves[run]

    def _make(self, run: Run, sample: Sample, picture: np.ndarray) -> None:
        shelf = self._shelf(run)
        jpeg = b"" if shelf.is_closed else to_jpeg(picture, self._settings.thumbnail_px, MAX_JPEG_BYTES)
        if not jpeg:
            return
        at_unix_s = sample.captured_unix_s if run.live else time.time()
        region = list(run.claim.job.regions)[sample.region]
        made = shelf.newest = Picture(at_unix_s, sample.pts_s, region, jpeg=jpeg)
        shelf.recent.append(made)
        if (place := shelf.album.regular(sample.pts_s)) is not None:
            shelf.coming.append((place, replace(made, kind=PictureKind.REGULAR)))

    def _enter(self, run: Run, transition: Transition) -> None:
        shelf = self._shelf(run)
        picture = nearest(shelf.recent, transition.region, transition.pts_s)
        if picture is not None and (place := shelf.album.entered(transition.pts_s)) is not None:
            shelf.coming.append((place, replace(picture, kind=PictureKind.ENTER, label=transition.label)))

    def _shelf(self, run: Run) -> _Shelf:
        if (shelf := self._shelves.get(run)) is None:
            album = Album(self._settings.pictures, not run.live, self._settings.thumbnail_every_s)
            shelf = _Shelf(album)
            if run.claim.deliveries > 1:
                try:
                    album.restore(self._pictures.album(run.job_id))
                except QueueRefused as error:
                    self._close(run, shelf, error)
            self._shelves[run] = shelf
        return shelf

    def _write(self, running: Set[Run]) -> None:
        now_s = self._now_s()
        due: list[tuple[Run, PictureStep]] = []
        for run, shelf in self._shelves.items():
            newest = shelf.newest if now_s >= shelf.due_s or run not in running else None
            coming = [(place, picture) for place, picture in shelf.coming if not place.is_gone]
            if not shelf.is_closed and (newest or coming):
                step = PictureStep(run.claim, newest, [picture for _, picture in coming], shelf.album.gone)
                due.append((run, step))
                shelf.coming = coming
        if not due or self._has_no_room():
            return
        for first in range(0, len(due), BATCH_STEPS):
            self._send(due[first : first + BATCH_STEPS], now_s)
        self._outage.answered()

    def _send(self, due: Sequence[tuple[Run, PictureStep]], now_s: float) -> None:
        for (run, step), answer in zip(due, self._pictures.write_each([step for _, step in due]), strict=True):
            shelf = self._shelves[run]
            coming, shelf.coming = shelf.coming, []  # also where it is unknown whether Redis has them
            if isinstance(answer, QueueUnavailable):
                raise answer
            if isinstance(answer, LeaseLost | QueueRefused):
                self._close(run, shelf, answer)
                continue
            shelf.album.removed(step.gone)
            if step.newest is not None:
                shelf.newest, shelf.due_s = None, now_s + self._settings.thumbnail_every_s
            for (place, _), name in zip(coming, answer, strict=True):
                place.name = name
            self._metrics.pictures.inc(len(answer) + (step.newest is not None))

    def _close(self, run: Run, shelf: _Shelf, error: LeaseLost | QueueRefused) -> None:
        """No more pictures of this run; of one that is lost nobody need hear."""
        shelf.is_closed = True
        if isinstance(error, QueueRefused):
            log.warning("no pictures of this job can be kept", **run.named, error=str(error))

    def _has_no_room(self) -> bool:
        """Whether Redis is so full that people are warned: pictures are the first that is given up for it."""
        if self._now_s() >= self._memory_due_s:
            memory = self._session.memory()
            self._memory_due_s = self._now_s() + MEMORY_S
            short = memory.is_above(ALERT * self._session.memory_share)
            if short != self._is_short:
                words = "no more pictures are kept" if short else "pictures are kept again"
                log.warning(f"redis is short of memory, {words}" if short else words, memory=str(memory))
            self._is_short = short
        if self._is_short:
            for shelf in self._shelves.values():
                shelf.coming.clear()
        return self._is_short
