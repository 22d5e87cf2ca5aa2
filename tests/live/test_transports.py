"""How a camera sends: over TCP, over UDP, and what becomes of one that will have the other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from streamtag.core.job import Sampling
from streamtag.core.records import StreamState
from streamtag.ingest.rtsp_relay import RtspRelay
from streamtag.ingest.stream import Stream
from streamtag.settings import SourceSettings

from tests.support import RtspServer
from tests.support.stream_reading import Heard, read


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspServer]:
    server = RtspServer()
    server.start()
    yield server
    server.stop()


def enough(stream: Stream, heard: Heard) -> None:
    if len(heard.samples) >= 15 or heard.states.count(StreamState.RECONNECTING) >= 2:
        stream.stop()


@pytest.mark.parametrize(("path", "transport"), [("udp", "auto"), ("ball", "udp"), ("ball", "auto")])
def test_a_camera_is_read_as_it_sends(camera: RtspServer, path: str, transport: str) -> None:
    settings = SourceSettings(rtsp_transport=transport)
    heard = read(camera.url(path), Sampling(fps=5), settings, meddle=enough)
    assert heard.states == [StreamState.LIVE]
    assert len(heard.samples) >= 15
    assert heard.unclassified == []
    assert len({picture.tobytes() for picture in heard.pictures}) > 5, "it moves"


def test_a_camera_that_sends_over_udp_only_says_so_to_a_worker_that_wants_tcp(camera: RtspServer) -> None:
    settings = SourceSettings(rtsp_transport="tcp", backoff_s=0.05)
    heard = read(camera.url("udp"), Sampling(fps=5), settings, meddle=enough)
    assert heard.samples == []
    assert "461" in heard.details[0]
    assert "source.rtsp_transport" in heard.details[0]


WORDS = "p@ss:w/rd #%41?"


@pytest.fixture(params=["basic", "digest"])
def protected(request: pytest.FixtureRequest) -> Iterator[RtspServer]:
    server = RtspServer("admin", WORDS, *(["--digest"] if request.param == "digest" else []))
    server.start()
    yield server
    server.stop()


def test_a_camera_that_wants_a_password_is_read_by_url_and_by_credential(protected: RtspServer, tmp_path: Path) -> None:
    """Put right while the camera is tried, it is taken at the next connection."""
    heard = read(protected.url("secret", f"admin:{quote(WORDS, safe='')}@"), Sampling(fps=5), meddle=enough)
    assert heard.states == [StreamState.LIVE]
    settings = SourceSettings(credentials=tmp_path, backoff_s=0.05, auth_retry_s=0.2)
    (tmp_path / "lobby").write_text(f"admin:old@127.0.0.1:{protected.port}")

    def rotate(stream: Stream, heard: Heard) -> None:
        if heard.states.count(StreamState.AUTH_FAILED) == 2:
            (tmp_path / "lobby").write_text(f"admin:{WORDS}@127.0.0.1:{protected.port}")
        enough(stream, heard)

    heard = read(protected.url("secret"), Sampling(fps=5), settings, meddle=rotate, credential="lobby")
    assert heard.states[0] is StreamState.AUTH_FAILED
    assert heard.states[-1] is StreamState.LIVE
    assert len(heard.samples) >= 15
    assert "refuses credential 'lobby' (source.credentials)" in heard.details[0]


SETUP = b"SETUP rtsp://camera/track1 RTSP/1.0\r\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5\r\nCSeq: 3\r\n\r\n"
OF_A_STRANGER, OF_THE_CAMERA = b"stranger", b"camera"


async def relayed() -> tuple[bytes, bytes, bytes]:
    """What a camera is asked, what FFmpeg is answered, and what comes to it of two that send to the gate's port."""
    near, ffmpeg = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    far = socket.create_connection(listener.getsockname())
    camera_side, _ = listener.accept()
    connections = [await asyncio.open_connection(sock=one) for one in (near, far, ffmpeg, camera_side)]
    to_ffmpeg, to_camera, (from_gate, _), (from_relay, answer) = connections
    running = asyncio.ensure_future(RtspRelay(to_ffmpeg, to_camera, "auto").run(SETUP))
    await from_relay.readuntil(b"\r\n\r\n")
    answer.write(b"RTSP/1.0 461 Unsupported Transport\r\nCSeq: 3\r\n\r\n")
    asked = await from_relay.readuntil(b"\r\n\r\n")
    port = int(asked.partition(b"client_port=")[2].partition(b"-")[0])
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera,
    ):
        stranger.bind(("127.0.0.2", 0))
        camera.bind(("127.0.0.1", 0))
        number = camera.getsockname()[1]
        transport = b"Transport: RTP/AVP;unicast;client_port=%d-%d;server_port=%d-%d" % (port, port + 1, number, number)
        answer.write(b"RTSP/1.0 200 OK\r\n" + transport + b"\r\nCSeq: 3\r\n\r\n")
        answered = await from_gate.readuntil(b"\r\n\r\n")
        stranger.sendto(OF_A_STRANGER, ("127.0.0.1", port))
        camera.sendto(OF_THE_CAMERA, ("127.0.0.1", port))
        came = await from_gate.readexactly(4 + len(OF_THE_CAMERA))
    running.cancel()
    for _, writer in connections:
        writer.close()
    listener.close()
    return asked, answered, came


def test_a_refused_transport_is_asked_for_as_udp_and_only_the_camera_is_heard() -> None:
    asked, answered, came = asyncio.run(asyncio.wait_for(relayed(), 20))
    assert asked.startswith(b"SETUP rtsp://camera/track1 RTSP/1.0\r\nTransport: RTP/AVP;unicast;client_port=")
    assert asked.endswith(b"\r\nCSeq: 3\r\n\r\n")
    assert answered == (b"RTSP/1.0 200 OK\r\nTransport: RTP/AVP/TCP;unicast;interleaved=4-5\r\nCSeq: 3\r\n\r\n")
    assert came == b"$\x04\x00\x06" + OF_THE_CAMERA
