"""RTSP cameras of unusual but legitimate streams, over TCP, whose pictures show by their brightness which they are."""

from __future__ import annotations

import base64
import io
import itertools
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import av
import numpy as np
from av.video.stream import VideoStream

FPS = 10
FRAMES = 40  # of the film that is sent again and again
SIZE = (64, 64)
DARKEST, STEP = 20, 5
SQUARES = np.kron(np.random.default_rng(1).integers(0, 256, (8, 8, 1)), np.ones((8, 8, 3))).astype(np.uint8)
TS_BYTES = 188  # a packet of a transport stream
_PART_BYTES = 200  # of a picture, in one packet of RTP


@dataclass(frozen=True)
class Unit:
    """A packet of a film, as its encoder made it."""

    nals: list[bytes]
    shown: int  # number of its picture in the order of showing


def film(codec: str, options: dict[str, str]) -> list[Unit]:
    """Encode the film, a grey picture a frame.

    Args:
        codec: ``libx264`` or ``libx265``.
        options: of the encoder.
    """
    levels = (DARKEST + STEP * number for number in range(FRAMES))
    return _encoded(codec, options, (np.full((*SIZE, 3), level, np.uint8) for level in levels))


def film_of_squares(codec: str, options: dict[str, str], frames: int) -> list[Unit]:
    """Encode a film of squares that move to the right, so that a packet alone does not show all of them."""
    return _encoded(codec, options, (np.roll(SQUARES, number, 1) for number in range(frames)))


def transport_stream_of_squares(codec: str, frames: int) -> Iterator[bytes]:
    """The same as a transport stream, frame by frame."""
    begin = "keyint=20:min-keyint=20:scenecut=0:bframes=0:log-level=none"
    content = io.BytesIO()
    with av.open(content, "w", format="mpegts") as container:
        options = {"preset": "ultrafast", "tune": "zerolatency", f"{codec[3:]}-params": begin}
        stream = cast(VideoStream, container.add_stream(codec, rate=FPS, options=options))
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(SQUARES, number, 1), format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
            yield content.getvalue()
            content.seek(0)
            content.truncate()


def _encoded(codec: str, options: dict[str, str], pictures: Iterable[np.ndarray]) -> list[Unit]:
    packets = []
    with av.open("/dev/null", "w", format="h264" if codec == "libx264" else "hevc") as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=FPS, options={"preset": "ultrafast"} | options))
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            packets += stream.encode(frame)
        packets += stream.encode()
        return [Unit(split(bytes(packet)), packet.pts or 0) for packet in packets]


def split(content: bytes) -> list[bytes]:
    """The NAL units between start codes."""
    return [unit for unit in re.split(b"\0\0\0?\1", content) if unit]


def shown_number(picture: np.ndarray) -> int:
    """Which picture of the film it is."""
    return round((float(picture.mean()) - DARKEST) / STEP)


def damage(picture: np.ndarray) -> float:
    """How far a picture is from all that the squares show, 0 to 255."""
    return min(float(np.abs(picture - np.roll(SQUARES, shift, 1).astype(float)).mean()) for shift in range(SIZE[0]))


def age_s(picture: np.ndarray, unix_s: float) -> float:
    """How long before a moment a picture was sent, where it was shown at once; at most one turn of the film."""
    return (unix_s - shown_number(picture) / FPS) % (FRAMES / FPS)


class OddCamera:
    """Sends a film, each packet when the time of day says so.

    Args:
        codec: ``H264`` or ``H265``.
        without: types of NAL units that are never sent.
        begin: the packet that is the first for whoever connects; None for that of the time of day.
        described: its description holds its parameters, which tell the size of its pictures.
        speed: of its clock.
        lose: of each so many packets of RTP one never comes, whatever it holds.
        marks_all: also packets of RTP that are the last of a NAL unit, and not of a picture.
        pause_s: within each picture.
    """

    def __init__(
        self,
        units: list[Unit],
        codec: str = "H264",
        without: Sequence[int] = (),
        begin: int | None = None,
        described: bool = True,
        speed: float = 1.0,
        lose: int | None = None,
        marks_all: bool = False,
        pause_s: float = 0.0,
    ) -> None:
        self._begin, self._speed, self._lose = begin, speed, lose
        self._marks_all, self._pause_s = marks_all, pause_s
        self._h265 = codec == "H265"
        self._kept = [[nal for nal in unit.nals if self._type(nal) not in without] for unit in units]
        parameters = [nal for nal in units[0].nals if self._type(nal) in ((32, 33, 34) if self._h265 else (7, 8))]
        texts = [base64.b64encode(nal).decode() for nal in parameters]
        names = ";sprop-vps={};sprop-sps={};sprop-pps={}" if self._h265 else ";sprop-parameter-sets={},{}"
        told = names.format(*texts) if described else ""
        self._sdp = (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=odd\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n"
            f"a=rtpmap:96 {codec}/90000\r\na=fmtp:96 packetization-mode=1{told}\r\n"
            "a=control:track1\r\n"
        )
        # A packet is sent when all pictures that it needs are made.
        self._shown = [unit.shown for unit in units]
        self._delay = max(unit.shown - place for place, unit in enumerate(units))
        camera = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    camera._serve(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"rtsp://127.0.0.1:{self._server.server_address[1]}/odd"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _type(self, nal: bytes) -> int:
        return nal[0] >> 1 & 63 if self._h265 else nal[0] & 31

    def _serve(self, handler: socketserver.StreamRequestHandler) -> None:
        plays = False
        while first := handler.rfile.read(1):
            if first == b"$":  # a report
                header = handler.rfile.read(3)
                handler.rfile.read(int.from_bytes(header[1:], "big"))
                continue
            lines = [(first + handler.rfile.readline()).decode()]
            while line := handler.rfile.readline().decode().strip():
                lines.append(line)
            method = lines[0].split(" ")[0]
            sequence = next(line for line in lines if line.lower().startswith("cseq:"))
            handler.wfile.write(f"RTSP/1.0 200 OK\r\n{sequence}\r\n{self._answer(method)}".encode())
            if method == "PLAY" and not plays:
                plays = True
                threading.Thread(target=self._send, args=(handler.connection,), daemon=True).start()

    def _answer(self, method: str) -> str:
        if method == "DESCRIBE":
            return f"Content-Type: application/sdp\r\nContent-Length: {len(self._sdp)}\r\n\r\n{self._sdp}"
        if method == "SETUP":
            return "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n\r\n"
        return "Session: 1\r\n\r\n" if method != "OPTIONS" else "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n"

    def _send(self, connection: socket.socket) -> None:
        numbers, now = itertools.count(), int(time.time() * FPS)
        first = now if self._begin is None else self._begin
        with suppress(OSError):
            for number in itertools.count(first):
                time.sleep(max(0.0, (now + number - first + self._delay) / FPS - time.time()))
                turn, place = divmod(number, len(self._kept))
                shown = turn * len(self._kept) + self._shown[place]
                stamp = round(shown * self._speed * 90_000 / FPS) & 0xFFFFFFFF
                nals = [list(self._parts(nal)) for nal in self._kept[place]]
                sent = b""
                for parts in nals:
                    for part in parts:
                        last = part is parts[-1] and (self._marks_all or parts is nals[-1])
                        count = next(numbers)
                        packet = struct.pack(">BBHII", 0x80, last << 7 | 96, count & 0xFFFF, stamp, 1) + part
                        if self._lose is None or (count + 1) % self._lose:
                            sent += b"$\0" + len(packet).to_bytes(2, "big") + packet
                    if self._pause_s and parts is nals[-2]:
                        connection.sendall(sent)
                        time.sleep(self._pause_s)
                        sent = b""
                connection.sendall(sent)

    def _parts(self, nal: bytes) -> Iterator[bytes]:
        """A NAL unit as the payloads of RTP packets (RFC 6184, RFC 7798)."""
        if len(nal) <= _PART_BYTES:
            yield nal
            return
        head = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]) if self._h265 else bytes([nal[0] & 0xE0 | 28])
        body = nal[len(head) :]
        for begin in range(0, len(body), _PART_BYTES):
            place = (0x80 if begin == 0 else 0) | (0x40 if begin + _PART_BYTES >= len(body) else 0)
            yield head + bytes([place | self._type(nal)]) + body[begin : begin + _PART_BYTES]


@contextmanager
def odd_camera(units: list[Unit], codec: str = "H264", **more: Any) -> Iterator[OddCamera]:
    """A camera that is there for so long.

    Args:
        more: see ``OddCamera``.
    """
    camera = OddCamera(units, codec, **more)
    try:
        yield camera
    finally:
        camera.close()
