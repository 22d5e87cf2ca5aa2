"""Streams that nobody decodes: what workers would have written of them, planted in Redis for the page to show."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import cv2
import orjson
import redis
from streamtag.core.job import Job
from streamtag.core.records import JobStatus, WorkerView
from streamtag.queue.job_hash import shown_json
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import LABELS, Scene

from tests.support.configuration import keys_of

PICTURE_PX = 160
Values = dict[str | bytes | bytearray | memoryview | int | float, str | bytes | bytearray | memoryview | int | float]


@dataclass
class Planted:
    """One stream as its worker would have left it."""

    job_id: str
    stream: str = ""
    source: str = "rtsp://camera.lan/1"
    status: str = "running"
    state: str = "live"
    reason: str = ""
    worker: str = "worker-1"
    labels: Mapping[str, float] = field(default_factory=lambda: {"star": 0.91, "disc": 0.06, "ring": 0.02})
    active: Sequence[str] = ("star",)
    published: int = 40
    dropped: int = 0
    lag_s: float | None = 0.3
    age_s: float = 0.5
    progress: float | None = None  # of what has an end
    thumb: bytes = b""


@dataclass(frozen=True)
class Act:
    """Some seconds of a past: what was active in them, and how sure the network was."""

    begin_s: float
    end_s: float
    active: tuple[str, ...] = ()
    score: float = 0.85

    def labels(self, pts_s: float) -> list[dict[str, object]]:
        """The labels of a sample in it, raw ones less steady than smoothed ones."""
        known = [*self.active, *(name for name in ("star", "ring", "cross") if name not in self.active)]
        rise = min(1.0, 0.4 + (pts_s - self.begin_s) / 2)
        shaken = 0.12 * ((int(13 * pts_s) * 5) % 7 - 3) / 3
        scores = [self.score * rise] * len(self.active) + [0.12, 0.06, 0.03]
        return [
            {"class_id": place, "name": name, "score": min(1.0, max(0.0, score + shaken)), "smoothed": score}
            for place, (name, score) in enumerate(zip(known, scores, strict=False))
        ]


class Plot:
    """Where they are planted: the queue of some settings."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self.keys = keys_of(settings)
        self.client = client

    def plant(self, *streams: Planted) -> None:
        """Write them, or write them anew as they are by now."""
        pipeline = self.client.pipeline(transaction=False)
        for stream in streams:
            self._write(pipeline, stream, time.time())
        pipeline.execute()

    def worker(self, name: str = "worker-1", running: int = 1) -> None:
        """A worker that says something of itself."""
        now_unix_s = time.time()
        view = WorkerView(name, "host-1", "1.0", "demo", "openvino", 12, running, 24.0, False, now_unix_s, now_unix_s)
        load = {"streams": running, "asked": 24.0, "supply": 60.0, "busy": 0.4, "lag_s": 0.3, "room": 8}
        self.client.set(self.keys.worker(name), orjson.dumps(view.to_dict() | load), ex=600)

    def event(
        self, job_id: str, kind: str, pts_s: float = 0.0, at_unix_s: float | None = None, **content: object
    ) -> str:
        """An event of a job; its id. One of another time than now must come before any later one of the queue."""
        event = {"job_id": job_id, "stream": job_id, "kind": kind, "pts_s": pts_s} | content
        entry_id = "*" if at_unix_s is None else f"{int(1000 * at_unix_s)}-*"
        return str(self.client.xadd(self.keys.events, {"event": orjson.dumps(event)}, id=entry_id))

    def past(self, job_id: str, *acts: Act, live: bool = True, per_s: float = 2.0) -> None:
        """What was seen of a job before: a result for each sample, events, and a picture of each label that entered."""
        length_s = acts[-1].end_s
        began_unix_s = time.time() - length_s if live else 0.0
        pipeline = self.client.pipeline(transaction=False)
        pipeline.delete(self.keys.results(job_id))
        for index in range(int(length_s * per_s)):
            pts_s = index / per_s
            act = next(act for act in acts if pts_s < act.end_s)
            result = {"index": index, "pts_s": pts_s, "labels": act.labels(pts_s), "active": list(act.active)}
            entry_id = f"{int(1000 * (began_unix_s + pts_s))}-{index + 1}"
            pipeline.xadd(self.keys.results(job_id), {"result": orjson.dumps(result)}, id=entry_id)
        pipeline.execute()
        news: list[tuple[float, str, dict[str, object]]] = [(0.0, "state", {"state": "live", "detail": ""})]
        for place, act in enumerate(acts):
            for name in act.active:
                label = {"class_id": place, "name": name}
                news.append((act.begin_s, "enter", {"label": label, "since_pts_s": act.begin_s, "score": act.score}))
                news.append((act.end_s, "exit", {"label": label, "since_pts_s": act.end_s, "score": 0.1}))
                self.picture(job_id, act.begin_s, began_unix_s + act.begin_s, place, label=name, kind="enter")
        for pts_s, kind, content in sorted(news, key=lambda one: one[0]):
            if pts_s < length_s:
                self.event(job_id, kind, pts_s, began_unix_s + pts_s if live else None, **content)

    def picture(self, job_id: str, pts_s: float, at_unix_s: float, number: int, **fields: str) -> str:
        """A picture that was kept; its id."""
        told: Values = {"pts_s": pts_s, "at": at_unix_s, "jpeg": picture(number)}
        told.update(fields.items())
        return str(self.client.xadd(self.keys.pictures(job_id), told))

    def _write(self, pipeline: redis.client.Pipeline, stream: Planted, now_unix_s: float) -> None:
        keys, job_id = self.keys, stream.job_id
        counters = {
            "decoded": 10 * (stream.published + stream.dropped),
            "sampled": stream.published + stream.dropped,
            "published": stream.published,
            "dropped_by_reason": {"stale": stream.dropped} if stream.dropped else {},
        }
        running = stream.status == JobStatus.RUNNING
        captured_unix_s = now_unix_s - stream.age_s
        result_id = f"{int(captured_unix_s * 1000)}-{stream.published + 1}"
        values: Values = {
            "status": stream.status,
            "state": stream.state,
            "reason": stream.reason,
            "owner": stream.worker,
            "counters": orjson.dumps(counters),
            "last_captured": captured_unix_s,
            "active": orjson.dumps(list(stream.active)),
            "submitted": now_unix_s - 3600,
            "shown": shown_json(Job(job_id, stream.source, stream.stream)),
            "last_id": result_id,
        }
        if running and stream.lag_s is not None:
            values["lag"] = stream.lag_s
        if stream.progress is not None:
            values["progress"] = stream.progress
        if stream.thumb:
            values["thumb"] = f"{captured_unix_s:.3f}"
            thumb: Values = {"jpeg": stream.thumb, "at": captured_unix_s, "pts_s": 1.0}
            pipeline.hset(keys.thumb(job_id), mapping=thumb)
        pipeline.hsetnx(keys.job(job_id), "submitted", str(now_unix_s - 3600))
        del values["submitted"]
        pipeline.hset(keys.job(job_id), mapping=values)
        labels = [
            {"class_id": place, "name": name, "score": score, "smoothed": score}
            for place, (name, score) in enumerate(stream.labels.items())
        ]
        result = {"index": stream.published, "pts_s": 0.5 * stream.published, "labels": labels, "active": stream.active}
        if running:
            pipeline.xadd(keys.results(job_id), {"result": orjson.dumps(result)}, id=result_id, maxlen=10_000)


@cache
def picture(number: int) -> bytes:
    """A drawn picture of one of the demo's shapes, as a JPEG."""
    frame = Scene(LABELS[number % len(LABELS)], 9000 + number).frame(0.4)
    small = cv2.resize(frame, (PICTURE_PX, PICTURE_PX * frame.shape[0] // frame.shape[1]), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])


def fleet(count: int, seed: int = 0) -> list[Planted]:
    """Streams of all kinds, a third of them not as they should be; each with a drawn picture."""
    states = ("live", "live", "live", "live", "frozen", "reconnecting", "black", "live", "stalled")
    streams = []
    for number in range(count):
        shape = LABELS[(number + seed) % len(LABELS)]
        other = LABELS[(number + seed + 1) % len(LABELS)]
        score = 0.55 + 0.04 * ((number * 7 + seed) % 11)
        streams.append(
            Planted(
                f"camera-{number}",
                stream=("gate", "yard", "lobby", "dock", "roof")[number % 5] + f" {number}",
                state=states[number % len(states)],
                worker=f"worker-{1 + number % 4}",
                labels={shape: score, other: 0.95 - score, "nothing": 0.02},
                active=(shape,),
                lag_s=0.2 + 0.1 * (number % 5),
                thumb=picture(number % 24),
            )
        )
    return streams
