"""Two workers, one after the other killed, again and again, on files and a camera: nothing is lost or told twice."""

from __future__ import annotations

import random
import signal

import pytest
from streamtag.client import Client
from streamtag.core.records import JobStatus, JobView
from streamtag.settings import Settings

from tests.support import NULL, RedisServer, RtspServer, Worker, eventually
from tests.support.invariants import (
    FenceWatch,
    assert_account_closes,
    assert_gaps_declared,
    assert_indices_once,
    assert_queue_empty,
    read_job,
)
from tests.support.job_flow import JobFlow
from tests.support.process_tree import assert_no_process_left

FPS = 10
READ_TIMEOUT_S = 1.0
LONGEST_SILENCE_S = 2 * READ_TIMEOUT_S + 0.5  # shorter ones a busy machine makes by itself
OPTIONS = (
    *NULL,
    *("engine.buckets=[1]", "worker.commit_results=4", "worker.slots=4"),
    *("lease.seconds=3", "lease.stop_after_s=2", "lease.renew_s=0.3", "lease.reclaim_s=0.2"),
    *(f"sampling.live_fps={FPS}", "source.slots=3", "source.backoff_s=0.1"),
    *(f"source.read_timeout_s={READ_TIMEOUT_S}", "source.open_timeout_s=8"),
)


class Pair:
    """Two workers. Who is killed is started again at once."""

    def __init__(self, settings: Settings, started: list[Worker], chance: random.Random) -> None:
        self._settings = settings
        self._started = started
        self._chance = chance
        self._workers = [self._start(), self._start()]
        self._before: dict[tuple[str, str], int] = {}  # worker and job to what was published when it had it first

    def _start(self) -> Worker:
        worker = Worker(self._settings, *OPTIONS)
        self._started.append(worker)
        return worker

    def kill_one(self, client: Client) -> None:
        """Once it has published some results of the jobs that it has, and none that it has is a suspect.

        A suspect would count one more crash. That is a promise too, which ``test_suspects.py`` tests.
        """
        wanted = self._chance.randrange(1, 60)
        victim = eventually(lambda: self._ripe(client, wanted), f"one of the two has published {wanted} results")
        victim.signal(signal.SIGKILL)
        victim.wait()
        self._workers[self._workers.index(victim)] = self._start()

    def _ripe(self, client: Client, wanted: int) -> Worker | None:
        running = [view for view in client.jobs() if view.status is JobStatus.RUNNING]
        for worker in self._chance.sample(self._workers, 2):
            ready = worker.said("ready")
            held = [view for view in running if ready and view.worker == ready["worker"]]
            if sum(map(self._grown, held)) >= wanted and all(view.crashes == 0 for view in held):
                return worker
        return None

    def _grown(self, view: JobView) -> int:
        published = view.counters.published
        return published - self._before.setdefault((view.worker, view.job_id), published)

    def end(self) -> None:
        for worker in self._workers:
            worker.ready().signal(signal.SIGTERM)
        assert [worker.wait() for worker in self._workers] == [0, 0]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("kills", "films"),
    [(4, ["clip"]), pytest.param(24, ["long_clip", "clip"], marks=pytest.mark.long)],
    ids=["4", "24"],
)
def test_workers_are_killed_again_and_again(
    kills: int,
    films: list[str],
    request: pytest.FixtureRequest,
    redis_server: RedisServer,
    client: Client,
    settings: Settings,
    workers: list[Worker],
    camera: RtspServer,
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it where the test fails
    pair = Pair(settings, workers, random.Random(seed))
    sources = [request.getfixturevalue(film) for film in films]
    flow = JobFlow(client, sources, at_once=4)
    flow.run_undisturbed(sources)
    live = client.submit(camera.url("ball")).job_id
    with redis_server.client() as raw:
        with FenceWatch(client, raw) as fences:
            for _ in range(kills):
                flow.top_up()
                pair.kill_one(client)
            flow.finish()
            seen = client.status(live).counters.published
            eventually(lambda: client.status(live).counters.published > seen, "the camera is tagged again")
            client.cancel(live)
            eventually(lambda: client.status(live).status is JobStatus.CANCELLED, "cancelled")
        compared = flow.assert_all_same()
        tagged = read_job(client, live)
        assert_indices_once(tagged)
        assert_account_closes(tagged.view)
        assert_gaps_declared(tagged, 1 / FPS, LONGEST_SILENCE_S)
        fences.assert_never_back()
        assert list(client.dead_letters()) == []
        assert_queue_empty(client, raw)
    pair.end()
    assert_no_process_left(settings)
    print(f"{kills} kills, {len(flow)} files, {compared} results compared, {len(tagged.gaps)} gaps")  # noqa: T201
