"""Drawn films in several containers, written by PyAV."""

from __future__ import annotations

from pathlib import Path

import av
from streamtag.tools.demo.drawing import CLIP_FPS, frames, plan

SIZE = (160, 90)


def write_film(path: Path, seconds: float, container: str, **options: str) -> Path:
    """H.264 with a key frame each second.

    Args:
        container: FFmpeg's name of the muxer: ``mp4``, ``mpegts``, ``matroska``, ``hls``.
        options: of the muxer.
    """
    coding = {"g": str(round(CLIP_FPS)), "preset": "ultrafast"}
    with av.open(str(path), "w", format=container, options=options) as film:
        stream = film.add_stream("libx264", rate=round(CLIP_FPS), options=coding)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(frames(plan(seconds, 1), 1, SIZE)):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path
