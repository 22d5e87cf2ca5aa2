"""The cameras that are drawn, as a process, seen by FFmpeg and by viewers who do not keep to the rules."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import av
import numpy as np
import pytest
from streamtag.tools.demo.camera import FPS, SIZE
from streamtag.tools.demo.drawing import frames, plan

from tests.support.ports import free_port

SECONDS = 2.0
SETUP = "SETUP rtsp://here/gate/video RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5\r\n\r\n"
PLAY = "PLAY rtsp://here/gate/ RTSP/1.0\r\nCSeq: 2\r\n\r\n"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where two cameras are."""
    chosen = free_port()
    command = [sys.executable, "-m", "streamtag.tools.demo.camera", "lobby", "gate", f"--port={chosen}"]
    with subprocess.Popen([*command, f"--seconds={SECONDS}"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "cameras: lobby, gate\n"
        yield chosen
        process.terminate()
        process.wait(10)


class Viewer:
    """A connection on which anything may be said."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._socket.close()

    def say(self, text: str | bytes) -> None:
        self._socket.sendall(text.encode() if isinstance(text, str) else text)

    def answer(self) -> str:
        """The next answer; packets before it are passed over. Nothing where the connection has ended."""
        while (first := self._file.read(1)) == b"$":
            self.packet(b"$")
        lines = first + self._file.readline()
        while lines and not lines.endswith(b"\r\n\r\n"):
            lines += self._file.readline()
        return lines.decode()

    def packet(self, first: bytes = b"") -> tuple[int, bytes]:
        """A packet, with its channel."""
        assert (first or self._file.read(1)) == b"$"
        channel = self._file.read(1)[0]
        return channel, self._file.read(int.from_bytes(self._file.read(2)))

    def asks(self, text: str) -> int:
        """The code of the answer; 0 where the connection has ended."""
        self.say(text)
        found = re.match(r"RTSP/1\.0 (\d{3})", self.answer())
        return int(found[1]) if found else 0


def test_ffmpeg_sees_the_loop_at_its_pace_and_over_its_end(port: int) -> None:
    drawn = np.stack(list(frames(plan(SECONDS, 1), 1, SIZE, FPS))).astype(np.int16)
    count = len(drawn)
    options = {"rtsp_transport": "tcp"}
    shown, times = [], []
    with av.open(f"rtsp://127.0.0.1:{port}/gate", options=options, timeout=30) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="bgr24").astype(np.int16)
            shown.append(int(np.abs(drawn - picture).mean(axis=(1, 2, 3)).argmin()))
            if shown[1:]:  # FFmpeg gives the first none
                assert frame.time is not None
                times.append(frame.time)
            if len(shown) == count + FPS:
                break
    assert shown == [(shown[0] + number) % count for number in range(len(shown))]
    assert shown[0] % FPS == 0  # a key frame
    assert np.allclose(np.diff(times), 1 / FPS, atol=1e-3)


def test_a_viewer_that_plays_is_answered_between_the_pictures(port: int) -> None:
    with Viewer(port) as viewer:
        assert (viewer.asks(SETUP), viewer.asks(PLAY)) == (200, 200)
        assert viewer.packet()[0] == 4
        viewer.say(b"$\x05\x00\x08\x80\xc9\x00\x01\x00\x00\x00\x01")  # how it fares, which nobody reads
        assert viewer.asks("GET_PARAMETER rtsp://here/gate/ RTSP/1.0\r\nCSeq: 3\r\n\r\n") == 200
        assert viewer.packet()[0] == 4
        assert viewer.asks("TEARDOWN rtsp://here/gate/ RTSP/1.0\r\nCSeq: 4\r\n\r\n") == 200
        assert viewer.answer() == ""


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("DESCRIBE rtsp://here/attic RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404),
        (SETUP.replace("RTP/AVP/TCP;unicast;interleaved=4-5", "RTP/AVP;unicast;client_port=5000-5001"), 461),
        (SETUP.replace("4-5", "999-5"), 461),
        ("RECORD rtsp://here/gate RTSP/1.0\r\nCSeq: 1\r\n\r\n", 405),
        (PLAY, 400),  # of nothing that was set up
        ("DESCRIBE rtsp://[here/gate RTSP/1.0\r\n\r\n", 400),
        ("\x00\x01\x02\r\n\r\n", 400),
        ("x" * 20_000, 0),
    ],
)
def test_what_cannot_be_is_refused_and_others_go_on(port: int, said: str, code: int) -> None:
    with Viewer(port) as viewer:
        assert viewer.asks(said) == code
    with Viewer(port) as other:
        assert other.asks(SETUP) == 200
