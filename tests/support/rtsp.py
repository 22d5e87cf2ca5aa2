"""A camera: GStreamer's RTSP server as a process."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from tests.support.ports import free_port


class RtspServer:
    """GStreamer's RTSP server as a process. Its bindings belong to the system's Python, not to ours."""

    def __init__(self, *arguments: str) -> None:
        self.port = free_port()
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str, user: str = "") -> str:
        return f"rtsp://{user}127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        command = [
            "/usr/bin/python3",
            str(Path(__file__).parent / "gstreamer_server.py"),
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
