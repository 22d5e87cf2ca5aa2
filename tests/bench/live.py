"""What live cameras get, measured: ``make bench-live``. Rows for ``RESULTS.md``; the pictures show when they were made.

Each row is of decoder processes as a worker starts them, on cameras of this machine: no row needs Redis or a network.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import av
import psutil
from streamtag.core.gaps import GapReason
from streamtag.core.job import Sampling
from streamtag.settings import Settings, SourceSettings
from streamtag.tools.bench import plumbing

from tests.support.rtsp import ClockCameras, clock_cameras
from tests.support.stream_reading import Heard
from tests.support.watching import SLOW_S, Seen, decode_slowly, seen, watch

SECONDS = 12
SETTINGS = SourceSettings()
CAMERAS: dict[str, dict[str, Any]] = {
    "usual": {"fps": 25},
    "few": {"fps": 5},
    "kept": {"fps": 25, "old_frames": 6},
    "large": {"fps": 25, "width": 1920, "height": 1080},
    "half": {"fps": 25, "speed": 0.5},
    "double": {"fps": 25, "speed": 2.0},
    "set": {"fps": 25, "jump_after_s": 4.0, "jump_s": 1000.0},
}


def _for(seconds: float) -> Callable[[Heard], bool]:
    """Enough is so much time from the first sample on."""
    return lambda heard: bool(heard.samples) and heard.taken_unix_s[-1] - heard.taken_unix_s[0] >= seconds


def _ages(found: list[Seen]) -> str:
    late, error = [one.lag_s for one in found], [one.error_s for one in found]
    lag = f"true lag p50 {statistics.median(late):.2f} s, most {max(late):.2f} s"
    return f"{lag}; said to be later by {max(error):.2f} s at most"


def _slow(cameras: ClockCameras) -> str:
    heard = watch(cameras.url("usual"), Sampling(fps=25), _for(2 * SECONDS), SETTINGS, decode_slowly)
    lagging = sum(lost.reason == "lagging" for lost in heard.unclassified)
    gaps = heard.gaps.count(GapReason.LAGGING)
    return f"{_ages(seen(heard))}; {lagging} of {lagging + len(heard.samples)} samples dropped as lagging, {gaps} gaps"


def _first(cameras: ClockCameras, name: str) -> str:
    first = seen(watch(cameras.url(name), Sampling(fps=25), lambda heard: len(heard.samples) >= 8))[0]
    said_s = first.lag_s - first.error_s
    return f"the first sample is frame {first.sample.index}, truly {first.lag_s:.2f} s old and said to be {said_s:.2f}"


def _key_frames_alone(url: str) -> float:
    """The share of a core that it takes to read a camera's packets and to decode its key frames; they are not used."""
    with av.open(url, options={"rtsp_transport": "tcp"}) as opened:
        video = opened.streams.video[0]
        video.codec_context.skip_frame = "NONKEY"
        video.codec_context.thread_count = 1
        frames = opened.decode(video)
        next(frames)
        began_s, cpu_s = time.monotonic(), time.thread_time()
        for _ in frames:
            if time.monotonic() - began_s >= SECONDS:
                break
        return (time.thread_time() - cpu_s) / (time.monotonic() - began_s)


def _processor(cameras: ClockCameras) -> str:
    """Of one core, of the same camera in the same run."""
    shares = []
    for decode in ("auto", "all"):
        heard = watch(cameras.url("large"), Sampling(fps=1, decode=decode), _for(SECONDS))
        wall_s = heard.taken_unix_s[-1] - heard.taken_unix_s[2]
        shares.append(sum(heard.decode_s[3:]) / wall_s)
    alone = _key_frames_alone(cameras.url("large"))
    ours = f"auto {shares[0]:.1%} of a core, all {shares[1]:.1%}: a ratio of {shares[0] / shares[1]:.2f}"
    return f"{ours}; packets read and key frames decoded by PyAV, and nothing made of them: {alone:.1%}"


def _plumbing() -> str:
    figures = plumbing.measure(Settings(log={"level": "error"}), 48, SECONDS, 1.0, lambda done: None)
    return (
        f"{figures['cpu_us_per_sample'] / 1000:.2f} ms a sample, batches of {figures['mean_batch_size']}, "
        f"results after {figures['latency_ms']:.0f} ms"
    )


def _clock(cameras: ClockCameras, name: str) -> str:
    later = [one.sample for one in seen(watch(cameras.url(name), Sampling(fps=2), _for(SECONDS)))][6:]
    wall_s = later[-1].captured_unix_s - later[0].captured_unix_s
    shown_s = later[-1].pts_s - later[0].pts_s
    rate = (len(later) - 1) / wall_s
    return f"{rate:.2f} samples a second for 2 asked; {shown_s / wall_s:.3f} s of presentation a second"


def rows(cameras: ClockCameras) -> Iterator[tuple[str, str]]:
    """What is measured, and what came out."""
    yield f"25 samples/s of a camera, a decoder that takes {SLOW_S} s over each", _slow(cameras)
    yield "a camera at 25 frames/s is opened", _first(cameras, "usual")
    yield "a camera at 5 frames/s is opened", _first(cameras, "few")
    yield "a camera that sends six old frames at first", _first(cameras, "kept")
    yield "1 sample/s at 1080p25, a key frame a second", _processor(cameras)
    yield "CPU of the worker's own process, 48 cameras at 1 sample/s", _plumbing()
    yield "a camera's clock at half speed", _clock(cameras, "half")
    yield "a camera's clock at double speed", _clock(cameras, "double")
    yield "a camera's clock that jumps by 1,000 s", _clock(cameras, "set")


def main() -> None:
    load = f"{psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores"
    sys.stdout.write(f"Load of this machine at the start: {load}.\n\n")
    sys.stdout.write("| what | measured |\n|---|---|\n")
    with clock_cameras(**CAMERAS) as cameras:
        for what, measured in rows(cameras):
            sys.stdout.write(f"| {what} | {measured} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
