"""What live streams take of a machine's memory: private bytes of their decoders, and the worker's own process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamtag.client import Client
from streamtag.errors import StreamtagError
from streamtag.settings import Settings
from streamtag.tools.bench.cameras import cameras
from streamtag.tools.bench.worker_process import descendants, memory, worker_process
from streamtag.tools.embedded import EmbeddedRedis

SIZE, FPS = (
    (1280, 720),
    5,
)  # few frames: what a stream takes does not depend on them, and 64 streams of 25 need many cores
RATE = 1.0  # samples a second
RESULTS = 3  # of each stream, before anything is looked at
START_S = 15.0  # at most, for each stream
LOOK_S = 0.5
GOAL_STREAM_MB, GOAL_PARENT_GB = 35.0, 1.5


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Of one worker with so many streams of 720p. A megabyte has a million bytes."""

    model: str
    streams: int
    stream_mb: float  # private bytes of all processes but the worker's own, for each stream
    stream_most_mb: float  # of the largest of these processes
    processes: int  # these
    parent_mb: float  # of the worker's own process, all that is resident
    parent_private_mb: float
    parent_idle_mb: float  # before the first stream, all that is resident
    goal_stream_mb: float = GOAL_STREAM_MB
    goal_parent_mb: float = 1000 * GOAL_PARENT_GB


def measure(
    settings: Settings, arguments: Sequence[str], streams: int, on_start: Callable[[str], None]
) -> ProcessMemory:
    """Run drawn cameras through a worker, and look at its processes.

    Args:
        settings: those that ``arguments`` of ``streamtag run`` make.

    Raises:
        StreamtagError: the worker or a stream does not start.
    """
    on_start("drawing what the cameras see")
    with cameras(SIZE, FPS) as url, EmbeddedRedis() as server:
        settings = server.in_place_of_theirs(settings)
        on_start("starting a worker")
        with worker_process([*arguments, "--slots", str(streams)], server) as worker:
            idle = memory(worker.pid)
            with Client(settings=settings) as client:
                _start(client, url, streams, on_start)
                parent = memory(worker.pid)
                others = [memory(pid).private for pid in descendants(worker.pid)]
    return ProcessMemory(
        model=settings.model.name,
        streams=streams,
        stream_mb=round(sum(others) / streams / 1e6, 1),
        stream_most_mb=round(max(others) / 1e6, 1),
        processes=len(others),
        parent_mb=round(parent.resident / 1e6),
        parent_private_mb=round(parent.private / 1e6),
        parent_idle_mb=round(idle.resident / 1e6),
    )


def _start(client: Client, url: str, streams: int, on_start: Callable[[str], None]) -> None:
    """Wait until all give results: only then have they all that they need."""
    jobs = [client.submit(url, fps=RATE, live=True).job_id for _ in range(streams)]
    until_s = time.monotonic() + START_S * (2 + streams)
    while True:
        running = sum(client.status(job).counters.published >= RESULTS for job in jobs)
        on_start(f"{running} of {streams} streams give results")
        if running == streams:
            return
        if time.monotonic() > until_s:
            raise StreamtagError(f"only {running} of {streams} streams give results; try fewer with --streams")
        time.sleep(LOOK_S)
