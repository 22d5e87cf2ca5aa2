"""From the start of a worker's process until it is ready, with all caches warm; and that it compiles nothing later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamtag.client import Client
from streamtag.core.records import JobStatus
from streamtag.errors import StreamtagError
from streamtag.settings import Settings
from streamtag.tools.bench.turns import Spread
from streamtag.tools.bench.worker_process import worker_process
from streamtag.tools.embedded import EmbeddedRedis

JOB_S = 300.0
EVERY = (1, 2, 3, 5, 7)  # of a film's frames, at once: batches of every size
GOALS_S = {"mobilenetv2": 6.0, "inceptionv3": 10.0}


@dataclass(frozen=True, slots=True)
class StartRow:
    """Starts of one network."""

    model: str
    ready_s: Spread
    cpu_s: Spread  # processor time of the process until then, which others on the machine do not lengthen as much
    first_s: float  # of the start that warmed the caches, and is none of the others
    compiled_later: int  # while films ran
    samples: int  # of these
    goal_s: float  # of ready_s; 0 where none was set


def measure(
    settings: Settings, arguments: Sequence[str], film: Path, rounds: int, on_start: Callable[[str], None]
) -> StartRow:
    """Start a worker once so that caches are warm, and then so many times; the last one runs films.

    Args:
        settings: those that ``arguments`` of ``streamtag run`` make.

    Raises:
        StreamtagError: a worker does not start, or a job fails.
    """
    with EmbeddedRedis() as server:
        settings = server.in_place_of_theirs(settings)
        on_start("a start that warms the caches")
        with worker_process(arguments, server) as first:
            first_s = first.ready_s
        ready_s, cpu_s, later, samples = [], [], 0, 0
        for number in range(1, rounds + 1):
            on_start(f"start {number} of {rounds}")
            with worker_process(arguments, server) as worker:
                ready_s.append(worker.ready_s)
                cpu_s.append(worker.ready_cpu_s)
                if number == rounds:
                    on_start("films, during which nothing is to be compiled")
                    samples = _films(settings, film)
                    later = round(worker.metric("streamtag_engine_recompiles_total"))
    name = settings.model.name
    return StartRow(
        name, Spread.of(ready_s), Spread.of(cpu_s), round(first_s, 2), later, samples, GOALS_S.get(name.lower(), 0.0)
    )


def _films(settings: Settings, film: Path) -> int:
    """Samples of one film, read in several ways at once."""
    with Client(settings=settings) as client:
        jobs = [client.submit(str(film), every=every).job_id for every in EVERY]
        try:
            views = [client.wait(job, JOB_S) for job in jobs]
        except TimeoutError as error:
            raise StreamtagError(str(error)) from None
    for view in views:
        if view.status is not JobStatus.DONE:
            raise StreamtagError(f"{view.source}: {view.reason or view.status}")
    return sum(view.counters.published for view in views)
