"""What a video holds, found by a path that is not ours: PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av


def seconds(pts: int | None, time_base: Fraction | None, start: int = 0) -> Fraction:
    """Presentation time in exact seconds, of a frame or a packet that has one."""
    assert pts is not None
    assert time_base is not None
    return (pts - start) * time_base


def true_times(path: Path) -> list[Fraction]:
    """Presentation times by another path: PyAV's demuxer and decoder, from the stream's start."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        start = video.start_time or 0
        return [seconds(frame.pts, frame.time_base, start) for frame in container.decode(video)]


def expected_samples(times: list[Fraction], fps: int) -> list[int]:
    """First frame of each period, in exact arithmetic."""
    chosen, last = [], -1
    for index, pts in enumerate(times):
        period = (pts + Fraction(1, 10_000)) * fps // 1
        if period > last:
            chosen.append(index)
            last = period
    return chosen
