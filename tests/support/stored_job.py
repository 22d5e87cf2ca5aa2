"""A job whose results and events a test chooses, written as a worker writes them: by the scripts, on a real Redis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from streamtag.core.records import Checkpoint, Counters, JobStatus, StreamState
from streamtag.core.track import Commit
from streamtag.settings import Settings

from tests.contract.sides import Queue


class StoredJob:
    """A job that a worker of the test's own has taken.

    Args:
        source: of the job; one of a camera makes it a live one.
    """

    def __init__(self, settings: Settings, job_id: str = "film-1", source: str = "/films/film 1.mp4") -> None:
        redis = {f"redis.{name}": value for name, value in settings.redis.model_dump(exclude_defaults=True).items()}
        self._queue = Queue(settings.redis.url.get_secret_value(), **redis | {"model.name": settings.model.name})
        self.job_id = job_id
        self._queue.submit(job_id, source)
        self._side = self._queue.worker(f"worker of {job_id}")
        self._claim = self._side.take()
        self._seq = 0
        self._published = 0
        self._last_id = "0-0"

    def publish(
        self, results: Iterable[dict[str, Any]] = (), events: Iterable[dict[str, Any]] = (), active: Sequence[str] = ()
    ) -> None:
        """Commit results, each with the fields that differ from those of an empty one, and events, likewise."""
        written = []
        for result in results:
            self._published += 1
            defaults: dict[str, Any] = {"index": self._published - 1, "pts_s": 0.0, "labels": [], "active": []}
            content = defaults | result
            self._last_id = f"{int(content['pts_s'] * 1000) + 1}-{self._published}"
            written.append((self._last_id, orjson.dumps(content)))
        told = [orjson.dumps({"job_id": self.job_id, "stream": self.job_id, "pts_s": 0.0} | event) for event in events]
        counters = Counters(self._published, self._published, self._published)
        checkpoint = Checkpoint(self._seq + 1, self._published - 1, 0.0, self._last_id, 1.0, counters)
        commit = Commit(self._seq, written, told, checkpoint, active=tuple(active))
        self._side.commits.commit(self._claim, commit, StreamState.LIVE, 0.5)
        self._seq += 1

    def trim(self, left: int) -> None:
        """Leave so many results, as Redis does to a live job's; none is as after it has expired."""
        self._queue.connection.client.xtrim(self._queue.keys.results(self.job_id), maxlen=left, approximate=False)

    def trim_events(self, left: int) -> None:
        """Leave so many events of the queue."""
        self._queue.connection.client.xtrim(self._queue.keys.events, maxlen=left, approximate=False)

    def raw_event(self, content: bytes) -> None:
        """Write an event as no worker does."""
        self._queue.connection.client.xadd(self._queue.keys.events, {"event": content})

    def finish(self) -> None:
        """End the job well."""
        self._side.commits.finish(self._claim, JobStatus.DONE, "", StreamState.ENDED, 1.0)


def label(name: str, score: float = 0.9, class_id: int = 1) -> dict[str, Any]:
    """A label as a result holds it."""
    return {"class_id": class_id, "name": name, "score": score, "smoothed": score}


def steps(*active: Sequence[str], step_s: float = 0.5) -> list[dict[str, Any]]:
    """A sample each ``step_s`` with these labels active, which are its best ones."""
    return [
        {"pts_s": number * step_s, "labels": [label(name) for name in names], "active": list(names)}
        for number, names in enumerate(active)
    ]
