"""What jobs cost Redis: bytes of one that waits, runs and is over, of a result and of an event.

Everything is written as workers and producers write it, to a server of the benchmark's own; only the scores are drawn,
and the pictures are the demo's drawings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from streamtag.core.album import Picture, PictureKind
from streamtag.core.job import Job
from streamtag.core.recording import record_batch
from streamtag.core.records import Claim, JobStatus, Sample, StreamState
from streamtag.core.track import Track
from streamtag.ingest.thumbs import to_jpeg
from streamtag.networks.registry import resolve
from streamtag.queue.claims import Claims
from streamtag.queue.commits import Commits
from streamtag.queue.connection import Connection
from streamtag.queue.keys import Keys
from streamtag.queue.pictures import MAX_JPEG_BYTES, Pictures, PictureStep
from streamtag.queue.producer import Producer
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import LABELS, Scene
from streamtag.tools.embedded import EmbeddedRedis

WORKER = "bench"
SCENE_SAMPLES = 50  # for which one label is the best: ten seconds at 5 a second


@dataclass(frozen=True, slots=True)
class Costs:
    """Bytes in Redis, means over the jobs of the run."""

    job_waiting: int  # its entry in the queue and its hash
    job_running: int  # the same with its checkpoint, smoothing state included; without results
    job_over: int  # its hash until it expires; without results
    result: int
    event: int
    picture: int  # of an album
    picture_file: int  # of it, the file alone
    jobs: int
    samples: int  # of each job
    classes: int
    labels: int  # in each result
    redis: str  # its version

    def per_hour(self, fps: float) -> float:
        """Bytes of the results of an hour of film."""
        return 3600 * fps * self.result

    def camera(self, results: int) -> float:
        """Bytes of a live job that has published as many results as are kept."""
        return self.job_running + results * self.result


def measure(settings: Settings, jobs: int, samples: int, progress: Callable[[int], None]) -> Costs:
    """Queue ``jobs`` finite jobs, publish ``samples`` results of each, and end them, measuring between the steps."""
    with EmbeddedRedis() as server:
        settings = server.in_place_of_theirs(settings)
        connection = Connection(settings.redis, Keys(settings.redis.prefix, settings.model.name, settings.redis.shard))
        try:
            return _Jobs(connection, settings, jobs, samples).measure(progress)
        finally:
            connection.close()


class _Jobs:
    """The jobs of one run, taken from submit to their end."""

    def __init__(self, connection: Connection, settings: Settings, jobs: int, samples: int) -> None:
        self._connection = connection
        self._client, self._keys = connection.client, connection.keys
        self._settings = settings
        self._count, self._samples = jobs, samples
        self._bundle = resolve(settings.model)
        self._producer = Producer(connection)
        self._claims = Claims(connection, WORKER, settings.lease)
        self._commits = Commits(connection, WORKER, settings.lease.seconds)
        self._draw = np.random.default_rng(1)

    def measure(self, progress: Callable[[int], None]) -> Costs:
        """Bytes at each step of a job's life."""
        names = [f"film-{number}-3fa2c1" for number in range(self._count)]
        self._claims.ensure_group()
        self._submit("first-3fa2c1")  # the first makes what all share, and loads the scripts
        self._take(1)
        empty_bytes, queue_bytes = self._used(), self._size(self._keys.jobs)
        for name in names:
            self._submit(name)
        waiting = self._size(self._keys.jobs) - queue_bytes + self._hashes(names)
        runs = [(claim, self._publish(claim, progress)) for claim in self._take(self._count)]
        running = self._size(self._keys.jobs) - queue_bytes + self._hashes(names)
        events, told = self._size(self._keys.events), int(self._client.xlen(self._keys.events))
        # By what the server grew: MEMORY USAGE guesses at the inner nodes of a stream and told 10 % too much here.
        results = self._used() - empty_bytes - running - events
        files = self._keep_pictures([claim for claim, _ in runs])
        kept = sum(self._size(self._keys.pictures(name)) for name in names)
        for claim, track in runs:
            self._commits.finish(claim, JobStatus.DONE, "", StreamState.ENDED, track.last_pts_s)
        return Costs(
            job_waiting=round(waiting / self._count),
            job_running=round(running / self._count),
            job_over=round(self._hashes(names) / self._count),
            result=round(results / (self._count * self._samples)),
            event=round(events / told),
            picture=round(kept / (self._count * len(files))),
            picture_file=round(sum(map(len, files)) / len(files)),
            jobs=self._count,
            samples=self._samples,
            classes=self._bundle.classes,
            labels=min(self._settings.worker.top_k, self._bundle.classes),
            redis=str(self._client.info("server")["redis_version"]),
        )

    def _submit(self, name: str) -> None:
        self._producer.submit(Job(name, f"/srv/films/{name}.mp4", stream=name, submitted_unix_s=time.time()))

    def _take(self, count: int) -> list[Claim]:
        return [claim for entry in self._claims.fetch(count) if (claim := self._claims.acquire(entry)) is not None]

    def _publish(self, claim: Claim, progress: Callable[[int], None]) -> Track:
        """Results and events of one job as a worker's commits thread would write them."""
        track = Track(claim, self._bundle, self._settings.smoothing, 1.0 / self._settings.sampling.finite_fps)
        size = self._settings.worker.commit_results
        for first in range(0, self._samples, size):
            numbers = range(first, min(first + size, self._samples))
            samples = [Sample(5 * n, n / 5, time.time(), 0, 0.0, 5 * n + 1, n + 1) for n in numbers]
            record_batch([track] * len(samples), samples, self._scores(numbers), self._settings.worker.top_k)
            self._commits.commit(claim, track.commit(), StreamState.LIVE, 0.5)
            track.committed()
            progress(len(samples))
        return track

    def _keep_pictures(self, claims: Sequence[Claim]) -> list[bytes]:
        """The same album for each job; returns its files."""
        px, size = self._settings.view.thumbnail_px, self._bundle.preprocessing.size
        drawn = [Scene(label, number, (size, size)).frame(0.0) for number, label in enumerate(LABELS)]
        files = [to_jpeg(np.ascontiguousarray(one[:, :, ::-1]), px, MAX_JPEG_BYTES) for one in drawn]
        pictures = Pictures(self._connection, WORKER, len(files))
        album = [Picture(time.time(), 1.0, kind=PictureKind.REGULAR, jpeg=jpeg) for jpeg in files]
        for claim in claims:
            pictures.write_each([PictureStep(claim, album[0], album, [])])
        return files

    def _scores(self, numbers: range) -> np.ndarray:
        """(len(numbers), classes) float32 probabilities, one of them the best for as long as a scene lasts."""
        scores = self._draw.exponential(size=(len(numbers), self._bundle.classes))
        best = [number // SCENE_SAMPLES * 7919 % self._bundle.classes for number in numbers]
        scores[range(len(numbers)), best] += scores.sum(axis=1)
        probabilities: np.ndarray = scores / scores.sum(axis=1, keepdims=True)
        return probabilities.astype(np.float32)

    def _hashes(self, names: Sequence[str]) -> int:
        return sum(self._size(self._keys.job(name)) for name in names)

    def _size(self, key: str) -> int:
        """Bytes of a key, all its elements counted."""
        return int(self._client.memory_usage(key, samples=0) or 0)

    def _used(self) -> int:
        return int(self._client.info("memory")["used_memory"])
