"""`make soak`: twenty minutes of flapping cameras, files, killed workers and a restarted Redis. What does it leak?

One worker is never killed: it is the one that is measured. Beside it runs another that is killed every 30 s, so that
jobs go to and fro. Without a network by default, since a worker that was killed is back in seconds then. The outcome
goes to ``RESULTS.md`` and ``soak.png`` beside this file, the series to ``build``.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import plan, write_clip

from tests.faults.soak_report import Moment, Verdict, write_report
from tests.support import RedisServer, RtspServer, Worker, eventually, redis_binaries, settings_for
from tests.support.invariants import (
    FenceWatch,
    assert_account_closes,
    assert_gaps_declared,
    assert_indices_once,
    assert_queue_empty,
    read_job,
)
from tests.support.job_flow import JobFlow
from tests.support.outcomes import is_over
from tests.support.process_tree import Footprint, assert_no_process_left

CAMERAS, FILES_AT_ONCE = 8, 4
KILL_S, RESTART_S, FLAP_S, CHANGE_S, SUBMIT_S, MEASURE_S = 30.0, 300.0, 4.0, 40.0, 10.0, 5.0
REDIS_AWAY_S = 3.0
READ_TIMEOUT_S = 3.0
LONGEST_SILENCE_S = 2 * READ_TIMEOUT_S + 1.5  # shorter ones a busy machine makes by itself
OPTIONS = (
    *("worker.slots=6", "lease.seconds=8", "lease.stop_after_s=6", "lease.renew_s=1", "lease.reclaim_s=0.5"),
    *(f"source.read_timeout_s={READ_TIMEOUT_S}", "source.open_timeout_s=10", "source.backoff_cap_s=2"),
    "worker.commit_s=0.05",
)


class Every:
    """True once a period."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_s = time.monotonic() + period_s

    def __bool__(self) -> bool:
        if time.monotonic() < self._next_s:
            return False
        self._next_s = time.monotonic() + self._period_s
        return True


class FlappingCamera:
    """A camera that is killed or stopped, and comes back after some seconds."""

    def __init__(self) -> None:
        self.server = RtspServer()
        self.server.start()
        self._back_s = 0.0
        self._again: Callable[[], None] | None = None

    def go(self, chance: random.Random) -> bool:
        """Begin to be away; False where it is."""
        if self._again is not None:
            return False
        self._back_s = time.monotonic() + chance.uniform(2, 12)
        if chance.random() < 0.5:
            self.server.stop()
            self._again = self.server.start
        else:
            self.server.signal(signal.SIGSTOP)
            self._again = lambda: self.server.signal(signal.SIGCONT)
        return True

    def come_back(self, now_s: float = float("inf")) -> None:
        """Be there again, if it is time."""
        if self._again is not None and now_s >= self._back_s:
            self._again()
            self._again = None


class Soak:
    """Everything that runs, and what is done to it."""

    def __init__(
        self, settings: Settings, engine: str, server: RedisServer, client: Client, sources: list[Path]
    ) -> None:
        self.chance = random.Random(seed := random.randrange(2**32))
        self.did: Counter[str] = Counter({"seed": seed})
        self.moments: list[Moment] = []
        self.settings = settings
        self._options = (*OPTIONS, f"engine.name={engine}")
        self._server = server
        self._client = client
        self._sources = sources
        self.files = JobFlow(client, sources, FILES_AT_ONCE)
        self.cameras = [FlappingCamera() for _ in range(CAMERAS)]
        self.jobs: list[str] = []  # of each camera, the present one
        self.earlier: list[str] = []  # jobs of cameras that were cancelled
        self.steady = Worker(settings, *self._options)
        self.victim = self.steady  # until there is one
        self.idle = Counter[str]()

    def prepare(self) -> None:
        """What an undisturbed run gives and holds; then all jobs and the other worker."""
        self.steady.ready()
        self.files.run_undisturbed(self._sources)
        time.sleep(5)
        self.idle = self.holds()
        self.victim = Worker(self.settings, *self._options).ready()
        self.jobs = [self._client.submit(camera.server.url("ball")).job_id for camera in self.cameras]

    def run(self, duration_s: float) -> None:
        """Disturb for so long."""
        began_s = time.monotonic()
        kill, restart, flap = Every(KILL_S), Every(RESTART_S), Every(FLAP_S)
        change, submit, measure = Every(CHANGE_S), Every(SUBMIT_S), Every(MEASURE_S)
        self.files.top_up()
        while (at_s := time.monotonic() - began_s) < duration_s:
            for camera in self.cameras:
                camera.come_back(time.monotonic())
            if flap:
                self.did["cameras gone"] += self.chance.choice(self.cameras).go(self.chance)
            if kill:
                self.kill_victim()
            if restart:
                self.restart_redis()
            if change:
                self.change_camera()
            if submit:
                self.files.top_up()
            if measure:
                self.moments.append(Moment.of(self.steady.process.pid, at_s))
            time.sleep(0.2)

    def kill_victim(self) -> None:
        ready = self.victim.said("ready")
        held = [view for view in self._client.jobs() if ready and view.worker == ready["worker"]]
        self.did["workers killed"] += 1
        self.did["of these with jobs"] += any(view.status is JobStatus.RUNNING for view in held)
        self.victim.kill()
        self.victim = Worker(self.settings, *self._options)

    def restart_redis(self) -> None:
        self._server.kill()
        time.sleep(REDIS_AWAY_S)
        self._server.start()
        self.did["Redis restarts"] += 1
        is_over(self._client, self.jobs[0])  # its connection is broken; this makes it anew

    def change_camera(self) -> None:
        """Cancel a camera and submit it anew, so that each worker has now cameras and now files."""
        number = self.chance.randrange(CAMERAS)
        self._client.cancel(self.jobs[number])
        self.earlier.append(self.jobs[number])
        self.jobs[number] = self._client.submit(self.cameras[number].server.url("ball")).job_id
        self.did["cameras submitted anew"] += 1

    def finish(self) -> None:
        """End all jobs, those of cameras by cancelling them."""
        for camera in self.cameras:
            camera.come_back()
        self.files.finish(300)
        for job in self.jobs:
            self._client.cancel(job)
        for job in (*self.jobs, *self.earlier):
            eventually(partial(is_over, self._client, job), f"{job} is cancelled", 120)
        self.did["files"] = len(self.files)

    def holds(self) -> Counter[str]:
        """Processes, and descriptors of each kind but pipes: two of each process that ended last are closed later."""
        footprint = Footprint.of(self.steady.process.pid)
        kinds = {kind: count for kind, count in footprint.descriptors.items() if kind != "pipe"}
        return Counter(kinds | {"processes": footprint.processes})

    def close(self) -> None:
        for worker in (self.steady, self.victim):
            worker.kill()
        for camera in self.cameras:
            camera.server.stop()


def check(soak: Soak, client: Client, server: RedisServer, fences: FenceWatch) -> Iterator[Verdict]:
    """What must hold afterwards, each as it is found."""

    def same() -> str:
        return f"{soak.files.assert_all_same()} results compared"

    def cameras() -> str:
        told: Counter[str] = Counter()
        for job in (*soak.jobs, *soak.earlier):
            left = read_job(client, job)
            assert_indices_once(left)
            assert_account_closes(left.view)
            assert_gaps_declared(left, 0.5, LONGEST_SILENCE_S)
            told += Counter(results=len(left.results), gaps=len(left.gaps))
            told += Counter(dropped=sum(left.view.counters.dropped.values()))
        return ", ".join(f"{count} {what}" for what, count in told.items())

    def queue() -> str:
        with server.client() as raw:
            assert_queue_empty(client, raw)
        letters = list(client.dead_letters())
        assert letters == []
        return "nothing waits, nothing is pending, no dead letter"

    def holds() -> str:
        eventually(lambda: soak.holds() == soak.idle, "it holds what it held before the first job", 30)
        return ", ".join(f"{count} {kind}" for kind, count in sorted(soak.idle.items()))

    def ends() -> str:
        for worker in (soak.steady, soak.victim):
            worker.ready().signal(signal.SIGTERM)
        assert [worker.wait() for worker in (soak.steady, soak.victim)] == [0, 0]
        assert_no_process_left(soak.settings)
        return "no process of any worker is left"

    def never_back() -> str:
        fences.assert_never_back()
        owners = sum(len(fences.owners(job)) for job in (*soak.jobs, *soak.earlier))
        return f"{owners} owners of the cameras seen"

    yield _verdict("Files gave what an undisturbed run gives", same)
    yield _verdict("Cameras: no result twice, accounts close, gaps declared", cameras)
    yield _verdict("Fences and commits never went back", never_back)
    yield _verdict("The queue is empty", queue)
    yield _verdict("Idle, the worker holds what it held before the first job", holds)
    yield _verdict("Told to end, everything ends", ends)


def _verdict(what: str, promise: Callable[[], str]) -> Verdict:
    try:
        return Verdict(what, True, promise())
    except AssertionError as error:
        return Verdict(what, False, str(error).partition("\n")[0][:300])


@contextmanager
def soaking(folder: Path, engine: str) -> Iterator[tuple[Soak, Client, RedisServer]]:
    """A Redis, two clips and all that runs; gone afterwards."""
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(redis_binaries()[0], folder))
        settings = settings_for(server)
        client = stack.enter_context(Client(settings=settings))
        sources = [folder / "eight.mp4", folder / "four.mp4"]
        for number, source in enumerate(sources, 3):
            write_clip(source, plan(8.0 if number == 3 else 4.0, number), number)
        soak = Soak(settings, engine, server, client, sources)
        stack.callback(soak.close)
        yield soak, client, server


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--engine", default="null", help="null, or auto for the trained network")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, soaking(Path(folder), options.engine) as (soak, client, server):
        soak.prepare()
        with server.client() as raw, FenceWatch(client, raw) as fences:
            soak.run(options.seconds)
            soak.finish()
        verdicts = list(check(soak, client, server, fences))
    return write_report(options.seconds, options.engine, soak.moments, soak.did, verdicts)


if __name__ == "__main__":
    sys.exit(main())
