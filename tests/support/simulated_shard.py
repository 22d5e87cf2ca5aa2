"""A shard of a large fleet without its cameras: one real Redis, and many workers that claim, renew and are heard.

Each worker is the real claims thread over a connection of its own, with the real scripts. What its other threads would
ask of Redis, one thread asks for all workers of the shard: heartbeats and renewals at their own pace and in each one's
name. Hearing the others is done once for all of them; what it would cost each is measured apart
(``tests/bench/redis_costs.py``). Nothing is decoded, classified or committed.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from streamtag.core.job import Job, Sampling
from streamtag.core.records import Claim, WorkerView
from streamtag.core.track import Track
from streamtag.errors import QueueUnavailable
from streamtag.ingest.stream import Stream
from streamtag.metrics import Metrics
from streamtag.pipeline.claim_loop import ClaimLoop
from streamtag.pipeline.neighbours import Neighbours
from streamtag.pipeline.outage import Outage
from streamtag.pipeline.room import Room
from streamtag.pipeline.run import Run, Runs
from streamtag.pipeline.share_loop import HEAR_S, TELL_S
from streamtag.pipeline.slots import Slots
from streamtag.queue.connection import Connection
from streamtag.queue.keys import Keys
from streamtag.queue.producer import Producer
from streamtag.queue.session import QueueSession
from streamtag.settings import Settings

SUPPLY = 60.0  # samples a second that each could give; its jobs ask for one each


@dataclass(frozen=True)
class Taken:
    """A job that a worker came by."""

    job_id: str
    worker: str
    at_s: float
    fence: int


class SimulatedWorker:
    """A worker's claims thread, and what it would say of itself."""

    def __init__(self, name: str, settings: Settings, keys: Keys, metrics: Metrics, on_take: Callable[[Taken], None]):
        self.name = name
        self.runs = Runs()
        self.neighbours = Neighbours(Slots("auto"), self.runs)
        self._on_take = on_take
        self._connection = Connection(settings.redis, keys)
        session = QueueSession(self._connection, name, settings.lease)
        outage = Outage("claims", metrics)
        room = Room(session, metrics)
        self._loop = ClaimLoop(session, self.runs, metrics, self._begin, outage, room, Slots("auto"), self.neighbours)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._claim, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def kill(self) -> None:
        """Be gone without a word, as after SIGKILL: the kernel closes its connections."""
        self._stopping.set()
        self._connection.client.connection_pool.disconnect()

    def join(self) -> None:
        self._thread.join(20)
        self._connection.close()

    @property
    def dead(self) -> bool:
        return self._stopping.is_set()

    def view(self) -> WorkerView:
        streams = len(self.runs)
        return WorkerView(
            self.name, "simulated", "0", "demo", "null", 64, streams, float(streams), False, 0.0, round(time.time(), 3),
            streams=streams, asked=float(streams), supply=SUPPLY, room=64 - streams,
        )  # fmt: skip

    def _claim(self) -> None:
        try:
            while not self._stopping.is_set():
                self._loop.run_once(self._stopping)
        except Exception:
            if not self.dead:  # else redis-py's, in several kinds, of a socket that was closed while it read
                raise

    def _begin(self, claim: Claim) -> None:
        if self.dead:
            return
        # Neither is asked for anything here: there are no frames.
        run = Run(claim, cast(Track, None), cast(Stream, None), asked=1.0)
        self.runs.add(run)
        self._on_take(Taken(run.job_id, self.name, time.monotonic(), claim.fence))


@dataclass
class Commands:
    """What a server did between two looks."""

    calls: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0
    seconds: float = 0.0

    @property
    def per_s(self) -> float:
        return sum(self.calls.values()) / self.seconds if self.seconds else 0.0


class Gauge:
    """Looks at the counters of a server. A script and each command in it count as one."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._calls, self._cpu_s, self._at_s = self._look()

    def since(self) -> Commands:
        """What it did since the last look."""
        before, cpu_s, at_s = self._calls, self._cpu_s, self._at_s
        self._calls, self._cpu_s, self._at_s = self._look()
        return Commands(self._calls - before, self._cpu_s - cpu_s, self._at_s - at_s)

    def _look(self) -> tuple[Counter[str], float, float]:
        stats, cpu = self._client.info("commandstats"), self._client.info("cpu")
        calls = Counter({name.removeprefix("cmdstat_"): int(one["calls"]) for name, one in stats.items()})
        return calls, cpu["used_cpu_user"] + cpu["used_cpu_sys"], time.monotonic()


class Shard:
    """The workers of one Redis."""

    def __init__(self, settings: Settings, workers: int) -> None:
        self.taken: list[Taken] = []
        self.submitted_s: dict[str, float] = {}
        self._settings = settings
        keys = Keys(settings.redis.prefix, settings.model.name, settings.redis.shard)
        self._connection = Connection(settings.redis, keys)
        self.gauge = Gauge(self._connection.client)
        metrics = Metrics()
        self.workers = [
            SimulatedWorker(f"w{number}", settings, keys, metrics, self.taken.append) for number in range(workers)
        ]
        self._stopping = threading.Event()
        self._chores = threading.Thread(target=self._do_chores, daemon=True)

    def __enter__(self) -> Shard:
        self._chores.start()
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        for worker in self.workers:
            worker.kill()
        for worker in self.workers:
            worker.join()
        self._chores.join(20)
        self._connection.close()

    @property
    def living(self) -> list[SimulatedWorker]:
        return [worker for worker in self.workers if not worker.dead]

    @property
    def running(self) -> int:
        return sum(len(worker.runs) for worker in self.living)

    def loads(self) -> list[int]:
        return sorted(len(worker.runs) for worker in self.living)

    def submit(self, count: int) -> None:
        """So many cameras."""
        connection = Connection(self._settings.redis, self._connection.keys)
        producer = Producer(connection)
        for number in range(count):
            job = Job(
                f"camera-{number}", f"rtsp://camera-{number}.lan/1", stream=f"c{number}", sampling=Sampling(fps=1)
            )
            producer.submit(job)
            self.submitted_s[job.job_id] = time.monotonic()
        connection.close()

    def wait_until_all_run(self, count: int, limit_s: float) -> float:
        """How long it took."""
        began_s = time.monotonic()
        while self.running < count:
            assert time.monotonic() - began_s < limit_s, f"{self.running} of {count} jobs run after {limit_s} s"
            time.sleep(0.1)
        return time.monotonic() - began_s

    def kill(self, count: int) -> set[str]:
        """Kill so many workers at once; the jobs that they leave are returned."""
        left: set[str] = set()
        for worker in self.living[:count]:
            worker.kill()
            left |= {run.job_id for run in worker.runs.all()}
        return left

    def _do_chores(self) -> None:
        """Beats and renewals of all workers, each at its own time, and one pair of ears for all."""
        began_s = time.monotonic()
        due: list[tuple[float, int, str]] = [(began_s, -1, "hear")]
        for number in range(len(self.workers)):
            spread = number / len(self.workers)
            due += [(began_s + spread * TELL_S, number, "beat")]
            due += [(began_s + spread * self._settings.lease.renew_s, number, "renew")]
        heapq.heapify(due)
        while not self._stopping.wait(max(0.0, due[0][0] - time.monotonic())):
            at_s, number, chore = heapq.heappop(due)
            if number >= 0 and self.workers[number].dead:
                continue
            try:
                period_s = self._do(number, chore)
            except QueueUnavailable:
                period_s = 1.0
            # Of a machine that cannot keep up the next one is late, and not two at once.
            heapq.heappush(due, (max(at_s + period_s, time.monotonic() - period_s), number, chore))

    def _do(self, number: int, chore: str) -> float:
        if chore == "hear":
            ears = QueueSession(self._connection, "ears", self._settings.lease).heartbeats()
            ears.find()
            views = ears.others()
            for worker in self.living:
                worker.neighbours.hear([view for view in views if view.worker != worker.name])
            return HEAR_S + 0.3
        worker = self.workers[number]
        session = QueueSession(self._connection, worker.name, self._settings.lease)
        if chore == "beat":
            worker.neighbours.know_me(worker.view())
            session.heartbeats().beat(worker.view())
            return TELL_S
        runs = worker.runs.all()
        for run, answer in zip(runs, session.leases().renew([run.claim for run in runs]), strict=True):
            if answer == "LOST":
                worker.runs.remove(run)
        return self._settings.lease.renew_s
