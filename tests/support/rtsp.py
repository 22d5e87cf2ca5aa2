"""Cameras: GStreamer's RTSP server as a process, with a moving test picture or with pictures that show the time."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.ports import free_port


class RtspServer:
    """GStreamer's RTSP server as a process. Its bindings belong to the system's Python, not to ours."""

    script = "gstreamer_server.py"

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str, user: str = "") -> str:
        return f"rtsp://{user}127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        command = [
            "/usr/bin/python3",
            str(Path(__file__).parent / self.script),
            str(self.port),
            *self._arguments,
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            assert self._process.stderr is not None
            raise AssertionError(f"no RTSP server; make setup installs it: {self._process.stderr.read()[-500:]}")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)
            self._process = None


class ClockCameras(RtspServer):
    """Cameras whose pictures show when they were made.

    Args:
        cameras: by path, what is not as usual (``clock_server.py``, ``DEFAULTS``).
    """

    script = "clock_server.py"

    def __init__(self, **cameras: dict[str, Any]) -> None:
        super().__init__(json.dumps(cameras))


@contextmanager
def clock_cameras(**cameras: dict[str, Any]) -> Iterator[ClockCameras]:
    """Cameras that run for so long."""
    server = ClockCameras(**cameras)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def shown_unix_s(picture: np.ndarray, taken_unix_s: float, loop_s: float = 0.0) -> float | None:
    """When a picture of a clock camera was made, Unix seconds; None where it cannot be read.

    Args:
        picture: all of the camera's picture, whatever its size: (h, w, channels).
        taken_unix_s: when it was here, at most 49 days or one turn of the loop later.
        loop_s: the length of the camera's film, where it sends one again and again.
    """
    height, width = picture.shape[:2]
    word = 0
    for row in range(5):
        for column in range(8):
            top, bottom = (int((row + part) * height / 5) for part in (0.3, 0.7))
            left, right = (int((column + part) * width / 8) for part in (0.3, 0.7))
            word = word << 1 | int(picture[top:bottom, left:right].mean() > 136)
    low, check = word >> 8, word & 0xFF
    if check != 0xA5 ^ (low & 0xFF) ^ (low >> 8 & 0xFF) ^ (low >> 16 & 0xFF) ^ (low >> 24):
        return None
    taken_ms, turn_ms = round(taken_unix_s * 1000), round(loop_s * 1000) or 1 << 32
    return (taken_ms - (taken_ms - low) % turn_ms) / 1000
