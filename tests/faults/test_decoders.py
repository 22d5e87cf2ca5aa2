"""Decoders killed, stopped and crashing: their film is read on where it was, or ends with a reason; no other harm."""

from __future__ import annotations

import shutil
import signal
from functools import partial
from pathlib import Path

import psutil
import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.pipeline.service import Service
from streamtag.settings import Settings

from tests.support import NULL, RedisServer, Worker, eventually, settings_for, start_worker
from tests.support.crashing import LAST_SAMPLE, POISON
from tests.support.crashing import main as crashing_decoder
from tests.support.invariants import LeftByJob, assert_queue_empty, assert_same, read_job
from tests.support.process_tree import Footprint, decoders_of

# Small steps, so that a job lasts long enough to be shot at.
STEPS = (*NULL, "engine.buckets=[1]", "worker.commit_results=4", "source.slots=3")
QUICK = (*STEPS, "source.backoff_s=0.1")
KILLS = 6


@pytest.fixture
def films(tmp_path: Path, clip: Path) -> list[Path]:
    """The same film under two names: to tell whose a decoder is, and to compare one with the other."""
    found = [tmp_path / "target.mp4", tmp_path / "neighbour.mp4"]
    for film in found:
        shutil.copy(clip, film)
    return found


def decoder_of(worker: Worker, film: Path) -> psutil.Process | None:
    for process in decoders_of(worker.process.pid):
        try:
            if str(film) in {file.path for file in process.open_files()}:
                return process
        except psutil.Error:  # it went while we looked
            continue
    return None


def submit_both(client: Client, films: list[Path]) -> tuple[str, str]:
    target, neighbour = (client.submit(str(film), every=1).job_id for film in films)
    return target, neighbour


def assert_as_if_nothing_had_been(
    client: Client, redis_server: RedisServer, worker: Worker, undisturbed: LeftByJob, jobs: tuple[str, str]
) -> None:
    for job in jobs:
        client.wait(job, 120)
        assert_same(read_job(client, job), undisturbed)
    assert read_job(client, jobs[1]).states == ["live", "ended"], "its neighbour noticed nothing"
    assert worker.process.poll() is None
    with redis_server.client() as raw:
        assert_queue_empty(client, raw)


def test_a_decoder_is_killed_again_and_again(
    redis_server: RedisServer, client: Client, settings: Settings, workers: list[Worker], films: list[Path]
) -> None:
    worker = start_worker(workers, settings, *QUICK)
    client.wait(whole := client.submit(str(films[0]), every=1).job_id, 60)
    idle = Footprint.of(worker.process.pid)
    jobs = submit_both(client, films)
    killed: set[int] = set()

    def has_another_that_has_told(than: int) -> psutil.Process | None:
        decoder = decoder_of(worker, films[0])
        told = client.status(jobs[0]).counters.published > than
        return decoder if told and decoder is not None and decoder.pid not in killed else None

    for _ in range(KILLS):
        told = client.status(jobs[0]).counters.published
        decoder = eventually(partial(has_another_that_has_told, told), "its next decoder has told of a sample")
        killed.add(decoder.pid)
        decoder.send_signal(signal.SIGKILL)
    assert_as_if_nothing_had_been(client, redis_server, worker, read_job(client, whole), jobs)
    assert read_job(client, jobs[0]).states.count("reconnecting") == KILLS
    assert worker.metric("streamtag_decoder_restarts_total", cause="died") == KILLS

    def as_before() -> bool:
        now = Footprint.of(worker.process.pid)
        same = (now.processes, now.descriptors) == (idle.processes, idle.descriptors)
        return same and not now.shared_memory

    eventually(as_before, "the worker holds what it held before", 20)


@pytest.mark.long
def test_a_stopped_decoder_is_killed_by_the_watchdog_and_its_film_read_on(
    redis_server: RedisServer, client: Client, settings: Settings, workers: list[Worker], films: list[Path]
) -> None:
    worker = start_worker(workers, settings, *QUICK, "source.watchdog_s=5")
    client.wait(whole := client.submit(str(films[0]), every=1).job_id, 60)
    jobs = submit_both(client, films)
    eventually(lambda: client.status(jobs[0]).counters.published > 20, "some of it is published")
    decoder = decoder_of(worker, films[0])
    assert decoder is not None
    decoder.send_signal(signal.SIGSTOP)
    eventually(lambda: worker.said("stream state", job_id=jobs[0], state="reconnecting"), "the watchdog saw it")
    assert_as_if_nothing_had_been(client, redis_server, worker, read_job(client, whole), jobs)
    assert not decoder.is_running()


def test_a_film_that_crashes_its_decoder_ends_with_the_reason_and_its_neighbour_whole(
    redis_server: RedisServer, clip: Path, tmp_path: Path
) -> None:
    """Its samples up to the crash are published, once, however often they were read."""
    overrides = dict(option.split("=") for option in QUICK)
    settings = settings_for(redis_server, **{**overrides, "engine.buckets": [1]})
    poison = shutil.copy(clip, tmp_path / f"{POISON}.mp4")
    service = Service(settings, decode=crashing_decoder)
    with Client(settings=settings) as client, redis_server.client() as raw:
        service.start()
        try:
            job = client.submit(str(poison), every=1).job_id
            neighbour = client.submit(str(clip), every=1).job_id
            bad = client.wait(job, 60)
            client.wait(neighbour, 60)
        finally:
            service.drain()
        assert bad.status is JobStatus.FAILED
        assert "the decoder process died (signal 11) at frame" in bad.reason
        assert [letter.job_id for letter in client.dead_letters()] == [job]
        indices = [result.index for result in client.results(job)]
        assert indices == list(range(len(indices)))
        assert LAST_SAMPLE - 5 <= indices[-1] <= LAST_SAMPLE
        good = read_job(client, neighbour)
        assert (good.view.status, good.view.counters.published) == (JobStatus.DONE, 200)
        assert good.states == ["live", "ended"]
        assert_queue_empty(client, raw)
