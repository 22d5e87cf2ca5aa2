"""Streams whose own page somebody looks at: their history and pictures, read on from where the last look ended.

Each is looked at once a second at most, however many look, and few are kept.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from redis.exceptions import ResponseError

from streamtag.core.entry_id import id_of
from streamtag.core.options import SamplingSettings
from streamtag.core.records import JobView
from streamtag.errors import JobNotFound, QueueRefused, StreamtagError
from streamtag.queue.connection import Connection, text
from streamtag.queue.pictures import is_jpeg
from streamtag.queue.producer import Producer
from streamtag.queue.seen import read_seen
from streamtag.redaction import printable
from streamtag.view.events import EventLog
from streamtag.view.history import LIVE_S, History

MAX_STORIES: Final = 24
PERIOD_S: Final = 1.0
BATCH: Final = 500
BATCHES: Final = 12  # of results, in one look: a long film takes some looks
MAX_PICTURES: Final = 1000
PICTURE_BYTES: Final = 8 * 1024**2  # of one stream; a thousand of the usual size have 7 MB
PICTURES: Final = 100  # in one answer of Redis
PICTURES_S: Final = 30.0  # between looks for pictures that were thinned out
EVENTS: Final = 300


@dataclass(frozen=True, slots=True)
class Picture:
    """One that a worker kept."""

    entry: str
    pts_s: float
    at_unix_s: float
    label: str
    kind: str
    jpeg: bytes = field(repr=False)


class _Story:
    """One stream's."""

    def __init__(self, live: bool, step_s: float | None) -> None:
        self.lock = threading.Lock()
        self.history = History(live, step_s)
        self.last_id = ""
        self.has_more = True
        self.pictures: dict[str, Picture] = {}
        self.whole_pictures_s = float("-inf")
        self.told: dict[str, Any] = {}
        self.read_s = float("-inf")
        self.submitted_unix_s = 0.0


class Stories:
    """All of them. Asked from many threads."""

    def __init__(self, connection: Connection, events: EventLog, sampling: SamplingSettings) -> None:
        self._connection = connection
        self._producer = Producer(connection)
        self._events = events
        self._sampling = sampling
        self._lock = threading.Lock()
        self._stories: OrderedDict[str, _Story] = OrderedDict()

    def tell(self, job_id: str) -> dict[str, Any]:
        """All that is to be told of a stream.

        Raises:
            JobNotFound: there is no such job.
            QueueUnavailable: Redis does not tell.
        """
        with self._lock:
            story = self._stories.get(job_id)
        if story is None:
            view = self._producer.view(job_id)
            with self._lock:
                story = self._stories.setdefault(job_id, self._begun(job_id, view))
                story.submitted_unix_s = story.submitted_unix_s or view.submitted_unix_s
                self._stories.move_to_end(job_id)
                while len(self._stories) > MAX_STORIES:
                    self._stories.popitem(last=False)
        with story.lock:
            now_s = time.monotonic()
            if now_s - story.read_s >= PERIOD_S:
                self._read(job_id, story, now_s)
                story.read_s = now_s
            return story.told

    def picture(self, job_id: str, entry: str) -> bytes | None:
        """A picture of a stream that is looked at."""
        with self._lock:
            story = self._stories.get(job_id)
        picture = story.pictures.get(entry) if story else None
        return picture.jpeg if picture else None

    def _begun(self, job_id: str, view: JobView) -> _Story:
        live = self._is_live(job_id, view)
        try:
            sampling = self._producer.job(job_id).sampling
        except StreamtagError:
            return _Story(live, None)  # what it shows tells its pace as well
        return _Story(live, self._sampling.step_s(sampling, live))

    def _is_live(self, job_id: str, view: JobView) -> bool:
        """A live stream's ids are times of day, a film's begin with its first picture."""
        name = self._connection.keys.results(job_id)
        with self._connection.asking(f"XRANGE {name}"):
            first = self._connection.client.xrange(name, count=1)
        if not first:
            return view.lag_s is not None
        return id_of(text(first[0][0]))[0] > 10**11  # three years of film, or 1973

    def _read(self, job_id: str, story: _Story, now_s: float) -> None:
        try:
            view = self._producer.view(job_id)
        except JobNotFound:
            with self._lock:
                self._stories.pop(job_id, None)
            raise
        if view.submitted_unix_s != story.submitted_unix_s:  # another job of that id
            with self._lock:
                self._stories.pop(job_id, None)
        self._read_results(job_id, story)
        self._read_pictures(job_id, story, now_s)
        events = self._events.newest(lambda event: event["job"] == job_id, EVENTS)
        story.told = {
            "job": view.to_dict(),
            "now": time.time(),
            "history": story.history.to_dict(),
            "more": story.has_more,
            "events": events,
            "pictures": [
                [picture.entry, round(picture.pts_s, 3), round(picture.at_unix_s, 3), picture.label, picture.kind]
                for picture in story.pictures.values()
            ],
        }

    def _read_results(self, job_id: str, story: _Story) -> None:
        name = self._connection.keys.results(job_id)
        live = story.history.live
        if not story.last_id:
            story.last_id = self._begin(name) if live else "0-0"
        for _ in range(BATCHES):
            (rows,) = self._connection.ask_each(
                f"XRANGE {name}", [("XRANGE", name, f"({story.last_id}", "+", "COUNT", BATCH)]
            )
            if isinstance(rows, ResponseError):
                raise QueueRefused(f"the results of {job_id} are not what a worker writes")
            for entry_id, pairs in rows:
                story.last_id = text(entry_id)
                seen = read_seen(pairs[1] if len(pairs) == 2 else b"")
                if seen is not None:
                    story.history.take(seen, id_of(story.last_id)[0] / 1000 if live else seen.pts_s)
            story.has_more = len(rows) == BATCH
            if not story.has_more:
                return

    def _begin(self, name: str) -> str:
        """Before the newest results of a live stream."""
        with self._connection.asking(f"XREVRANGE {name}"):
            newest = self._connection.client.xrevrange(name, count=1)
        if not newest:
            return "0-0"
        ms, _ = id_of(text(newest[0][0]))
        return f"{max(0, ms - int(1000 * LIVE_S))}-0"

    def _read_pictures(self, job_id: str, story: _Story, now_s: float) -> None:
        name = self._connection.keys.pictures(job_id)
        if now_s - story.whole_pictures_s >= PICTURES_S:
            story.pictures = {}
            story.whole_pictures_s = now_s
        after = f"({next(reversed(story.pictures))}" if story.pictures else "-"
        size = sum(len(picture.jpeg) for picture in story.pictures.values())
        for _ in range(MAX_PICTURES // PICTURES):
            (rows,) = self._connection.ask_each(f"XRANGE {name}", [("XRANGE", name, after, "+", "COUNT", PICTURES)])
            if isinstance(rows, ResponseError):
                return
            for entry_id, pairs in rows:
                after = f"({text(entry_id)}"
                if picture := _picture(text(entry_id), dict(zip(pairs[::2], pairs[1::2], strict=False))):
                    story.pictures[picture.entry] = picture
                    size += len(picture.jpeg)
            while len(story.pictures) > MAX_PICTURES or size > PICTURE_BYTES:
                size -= len(story.pictures.pop(next(iter(story.pictures))).jpeg)
            if len(rows) < PICTURES:
                return


def _picture(entry: str, fields: dict[bytes, bytes]) -> Picture | None:
    jpeg = fields.get(b"jpeg", b"")
    region, label = (printable(text(fields.get(name)), 200) for name in (b"region", b"label"))
    try:
        pts_s, at_unix_s = float(fields.get(b"pts_s", 0)), float(fields.get(b"at", 0))
    except ValueError:
        return None
    if not is_jpeg(jpeg) or not (abs(pts_s) < 1e12 and abs(at_unix_s) < 1e12):
        return None
    kind = "enter" if fields.get(b"kind") == b"enter" else "regular"
    return Picture(entry, pts_s, at_unix_s, f"{region}:{label}" if region and label else label, kind, jpeg)
