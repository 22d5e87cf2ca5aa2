"""Eight cameras at 1080p25 on half a core. Its outcome is in ``RESULTS.md``.

All decoders share one core, and a process that goes before them takes half of it. What the cameras send was encoded
beforehand, so that sending it costs next to nothing; each picture shows when it was sent.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal

import psutil
from streamtag.core.job import Sampling
from streamtag.settings import SourceSettings

from tests.support.rtsp import clock_cameras
from tests.support.stream_reading import Heard
from tests.support.watching import seen, watch

CAMERAS, SECONDS = 8, 40
LOOP_S = 60.0
TURN_S = 0.05  # of the process that takes half of the core: this long it does, and this long it does not
CAMERA = {"fps": 25, "width": 1920, "height": 1080, "loop_s": LOOP_S}


def _take_half(core: int) -> None:
    os.sched_setaffinity(0, {core})
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    while True:
        until_s = time.monotonic() + TURN_S
        while time.monotonic() < until_s:
            pass
        time.sleep(TURN_S)


@contextmanager
def half_a_core() -> Iterator[None]:
    """What this process starts meanwhile has one core, and of that one half."""
    cores = os.sched_getaffinity(0)
    taker = multiprocessing.get_context("spawn").Process(target=_take_half, args=(max(cores),), daemon=True)
    taker.start()
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        taker.kill()
        taker.join()


def _enough(heard: Heard) -> bool:
    return bool(heard.samples) and heard.taken_unix_s[-1] - heard.taken_unix_s[0] >= SECONDS


def _row(url: str, decode: Literal["auto", "all"]) -> str:
    """What the streams of a camera got."""

    def one(_: int) -> Heard:
        return watch(url, Sampling(fps=1, decode=decode), _enough, SourceSettings())

    with half_a_core(), ThreadPoolExecutor(CAMERAS) as threads:
        heard = list(threads.map(one, range(CAMERAS)))
    streams = [seen(each, LOOP_S) for each in heard]
    late = [sample.lag_s for stream in streams for sample in stream]
    # A lag that grows is largest at the end.
    last = [sample.lag_s for stream in streams for sample in stream[-5:]]
    error_s = max(sample.error_s for stream in streams for sample in stream)
    wall_s = max(each.taken_unix_s[-1] - each.taken_unix_s[0] for each in heard)
    cpu = sum(sum(each.decode_s) for each in heard) / wall_s
    lost = Counter(f"{sample.reason} samples" for each in heard for sample in each.unclassified)
    gaps = Counter(f"{gap} gaps" for each in heard for gap in each.gaps)
    told = ", ".join(f"{count} {name}" for name, count in sorted((lost + gaps).items()))
    lag = f"true lag p50 {statistics.median(late):.2f} s, most {max(late):.2f} s, at the end {max(last):.2f} s"
    said = f"said to be later by {error_s:.2f} s at most"
    return f"{len(late)} samples in {wall_s:.0f} s; {lag}; {said}; {cpu:.0%} of a core; dropped: {told or 'none'}"


def main() -> None:
    load = f"{psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores"
    sys.stdout.write(f"Load of this machine at the start: {load}.\n\n| what | measured |\n|---|---|\n")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # the server's, which inherits it
    with clock_cameras(cam=CAMERA) as cameras:
        os.sched_setaffinity(0, cores)
        ways: tuple[Literal["auto", "all"], ...] = ("auto", "all")
        for decode in ways:
            what = f"{CAMERAS} cameras at 1080p25, 1 sample/s, half a core, `sampling.decode` {decode}"
            sys.stdout.write(f"| {what} | {_row(cameras.url('cam'), decode)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
