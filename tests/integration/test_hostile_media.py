"""Sources that mean harm by their bytes: each ends with a clear reason, within limits, and no decoder dies of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamtag.core.job import Sampling
from streamtag.core.stream_state import OutcomeKind
from streamtag.settings import SourceSettings

from tests.support.stream_reading import Heard, PeakMemory, read
from tests.support.traps import Answer, Trap

FEW = Sampling(every=50)
QUICK = SourceSettings(backoff_s=0.05, attempts=1, open_timeout_s=3, read_timeout_s=2)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"


def ended(found: Heard) -> str:
    """That it ended, on one printable line, and that no decoder died of it."""
    assert found.outcome is not None
    told = [found.outcome.reason, *found.details, *(lost.detail for lost in found.unclassified)]
    assert all(text.isprintable() for text in told), told
    assert not any("process died" in text for text in told), told
    return found.outcome.reason


def test_every_odd_file_ends_with_what_is_wrong_about_it(shared_data: Path) -> None:
    for path in sorted((shared_data / "odd/video").iterdir()):
        found = read(path, FEW, QUICK)
        reason = ended(found)
        assert reason or found.outcome is None or found.outcome.kind is OutcomeKind.ENDED, path
    ended(read(f"{shared_data / 'odd/pngsuite'}/", settings=QUICK))


def huge_jpeg(side: int) -> bytes:
    """A small picture whose header says that it is side x side."""
    content = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = side.to_bytes(2, "big") * 2
    return bytes(content)


@pytest.mark.parametrize("name", ["film.mjpeg", "film.mp4", "picture.jpg"])
def test_giant_dimensions_are_refused_within_the_memory_limit(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(huge_jpeg(60_000) * 3)
    memory = PeakMemory()
    found = read(tmp_path / name, FEW, QUICK, meddle=memory)
    ended(found)
    assert found.samples == []
    assert memory.peak_bytes < 1024**3


def endless(part: bytes, pause_s: float = 0.0) -> Answer:
    """Send the same for ever."""

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(HEAD)
        while True:
            connection.sendall(part)
            time.sleep(pause_s)

    return answer


def trickle(content: Callable[[], Iterator[bytes]]) -> Answer:
    """Send a byte now and then, sooner than any single wait would end."""

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        for part in content():
            for byte in part:
                connection.sendall(bytes([byte]))
                time.sleep(0.3)

    return answer


def say_nothing(connection: socket.socket) -> None:
    """Keep the connection until the other end leaves."""
    while connection.recv(4096):
        pass


def say_nonsense(connection: socket.socket) -> None:
    """Answer in no language."""
    connection.recv(4096)
    connection.sendall(b"\0\xff\x1b[31m" * 1000)


HTTP_STREAMS = {
    "endless zeros": endless(bytes(65_536)),
    "endless text": endless(b"all work and no play " * 1000),
    "endless playlist": endless(b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n" + b"#EXTINF:1,\na.ts\n" * 1000),
    "endless header": endless(b"X: y\r\n" * 1000),
    "trickled header": trickle(lambda: iter([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000])),
    "trickled body": trickle(lambda: iter([HEAD, bytes(1000)])),
    "trickled playlist": trickle(lambda: iter([HEAD, b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n" * 100])),
    "nothing": say_nothing,
    "nonsense": say_nonsense,
}


@pytest.mark.parametrize("name", ["film.mp4", "picture.png", "list.m3u8"])
@pytest.mark.parametrize("stream", HTTP_STREAMS)
@pytest.mark.long
def test_a_server_that_never_comes_to_an_end_is_left_in_time(stream: str, name: str) -> None:
    began_s = time.monotonic()
    with Trap("127.0.0.1", HTTP_STREAMS[stream]) as server:
        found = read(f"http://{server.address}/{name}", FEW, QUICK)
    assert ended(found) or found.unclassified
    assert found.samples == []
    assert time.monotonic() - began_s < QUICK.watchdog_s
