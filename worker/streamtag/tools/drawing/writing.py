"""Video files that others can play, written frame by frame. Runs beside the decoder, in its process."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np

from streamtag.errors import StreamtagError, in_words

# Milliseconds: fine enough for any camera, and what players and browsers expect of an MP4.
_TIME_BASE = Fraction(1, 1000)
_CANNOT = "cannot be written; use a name that ends in .mp4 or .webm, in a folder that is there"


class VideoWriter(Protocol):
    """A video file that grows by one frame at a time."""

    def write(self, frame: np.ndarray, pts_s: float) -> None: ...
    def close(self) -> None: ...


def open_video(path: Path, width: int, height: int, fps: float) -> VideoWriter:
    """Begin a video file: H.264 by PyAV; a .webm is VP8 by OpenCV.

    OpenCV's wheels have no encoder for H.264, and their VP9 took 30 times as long as PyAV's H.264 (164 against 7 ms of
    CPU a frame of 768 × 432 on a Zen 4 core; VP8 27 ms).

    Raises:
        StreamtagError: it cannot be written there.
    """
    if path.suffix.lower() != ".webm":
        return _H264(path, width, height, fps)
    return _VP8(path, width, height, fps)


class _H264:
    """By PyAV: each frame keeps its time, also where the source's rate varies."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        # Its colours are stored for two by two pixels, so a last odd row or column has no place.
        self._size = (width - width % 2, height - height % 2)
        try:
            # The index in front: a browser begins to play before it has the whole file.
            self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
            self._stream = self._container.add_stream("libx264", Fraction(fps).limit_denominator(1001))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise StreamtagError(f"{_CANNOT} ({in_words(error)})") from None
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"  # the only one that every browser decodes
        self._stream.codec_context.time_base = _TIME_BASE
        # Three times as fast as the default, for a file of about the same size.
        self._stream.options = {"preset": "veryfast", "crf": "23"}
        self._last = -1

    def write(self, frame: np.ndarray, pts_s: float) -> None:
        width, height = self._size
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="bgr24")
        self._last = max(self._last + 1, round(pts_s * 1000))  # an encoder takes no time twice
        picture.pts, picture.time_base = self._last, _TIME_BASE
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


class _VP8:
    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        fourcc = cv2.VideoWriter.fourcc(*"VP80")
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, (width, height))
        if not self._writer.isOpened():
            raise StreamtagError(_CANNOT)

    def write(self, frame: np.ndarray, pts_s: float) -> None:
        self._writer.write(frame)

    def close(self) -> None:
        self._writer.release()
