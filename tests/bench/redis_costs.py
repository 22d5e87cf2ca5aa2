"""What single doings of a fleet cost Redis: hearing the others, and committing a sample. Measured on one of its own."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from streamtag.core.job import Job, Sampling
from streamtag.core.recording import record_batch
from streamtag.core.records import Sample, StreamState, WorkerView
from streamtag.core.track import Track
from streamtag.networks.registry import resolve
from streamtag.pipeline.share_loop import FIND_S, HEAR_EACH_S, HEAR_S
from streamtag.queue.commits import Step
from streamtag.queue.connection import Connection
from streamtag.queue.keys import GROUP
from streamtag.queue.producer import Producer
from streamtag.queue.session import QueueSession
from streamtag.settings import Settings

from tests.support import RedisServer, redis_binaries, settings_for
from tests.support.configuration import keys_of
from tests.support.simulated_shard import SUPPLY, Gauge

WARM_UP = 5  # rounds of commits before the first that counts
# As long as real ones are.
VIEW = WorkerView(
    worker="",
    host="host.example.internal",
    version="0.1.0",
    model="xception",
    engine="tf_graph",
    slots=64,
    running=20,
    samples_per_s=20.0,
    draining=False,
    started_unix_s=1_750_000_000.125,
    seen_unix_s=1_750_000_000.125,
    streams=20,
    asked=20.0,
    supply=SUPPLY,
    busy=0.512,
    lag_s=0.212,
    room=44,
)


@contextmanager
def _queue(*options: str, model: str = "demo") -> Iterator[tuple[Settings, QueueSession]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(redis_binaries()[0], Path(folder), *options) as server,
    ):
        settings = settings_for(server, model__name=model)
        connection = Connection(settings.redis, keys_of(settings))
        session = QueueSession(connection, "w0", settings.lease)
        session.claims().ensure_group()
        yield settings, session
        connection.close()


def hearing_cost(workers: int, seconds: float = 20.0) -> tuple[float, float]:
    """Shares of a core that hearing takes in a shard of so many workers: of Redis for all, of each for itself.

    What the looks of one worker in some seconds take is measured, one look after another.
    """
    finds, looks = round(seconds / FIND_S), round(seconds / (HEAR_S + HEAR_EACH_S * workers))
    with _queue("--appendonly", "no") as (_, session):
        connection = session.connection
        for number in range(workers):
            name = f"host-{number}-12345-abcdef"
            connection.client.xgroup_createconsumer(connection.keys.jobs, GROUP, name)
            replace(session, consumer=name).heartbeats().beat(replace(VIEW, worker=name))
        gauge, heartbeats = Gauge(connection.client), session.heartbeats()
        began_s = time.thread_time()
        for _ in range(finds):
            heartbeats.find()
        for _ in range(looks):
            assert len(heartbeats.others()) == workers
        own_s, spent = time.thread_time() - began_s, gauge.since()
    return workers * spent.cpu_s / seconds, own_s / seconds


def commit_cost(streams: int, rounds: int) -> tuple[float, float]:
    """Microseconds of Redis's CPU for a sample of a thousand classes, and the bytes that it keeps of it.

    Each stream commits one sample at a time, and all of them together, as cameras at a low rate do. Redis writes its
    append-only file each second.
    """
    with _queue("--appendfsync", "everysec", model="efficientnet-lite0") as (settings, session):
        connection = session.connection
        bundle, claims, producer = resolve(settings.model), session.claims(), Producer(connection)
        for number in range(streams):
            producer.submit(Job(f"camera-{number}", f"rtsp://camera-{number}.lan/1", sampling=Sampling(fps=1)))
        claimed = [claim for entry in claims.fetch(streams, None) if (claim := claims.acquire(entry)) is not None]
        tracks = [Track(claim, bundle, settings.smoothing, 1.0) for claim in claimed]
        draw, commits, unix_s = np.random.default_rng(1), session.commits(), time.time()

        def commit(number: int) -> None:
            scores = draw.dirichlet(np.full(bundle.classes, 0.02), streams).astype(np.float32)
            sample = Sample(number, float(number), unix_s + number, 0, 0.0, number + 1, number + 1)
            record_batch(tracks, [sample] * streams, scores, settings.worker.top_k)
            pairs = zip(claimed, tracks, strict=True)
            steps = [Step(claim, track.commit(), StreamState.LIVE, None) for claim, track in pairs]
            assert commits.commit_each(steps) == [None] * streams
            for track in tracks:
                track.committed()

        for number in range(WARM_UP):
            commit(number)
        gauge, before = Gauge(connection.client), _used(connection)
        for number in range(WARM_UP, WARM_UP + rounds):
            commit(number)
        spent, grown = gauge.since(), _used(connection) - before
    return 1e6 * spent.cpu_s / (streams * rounds), grown / (streams * rounds)


def _used(connection: Connection) -> int:
    return int(connection.client.info("memory")["used_memory"])
