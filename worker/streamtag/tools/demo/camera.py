"""Cameras that play drawn shapes in a loop over RTSP: ``python -m streamtag.tools.demo.camera lobby gate``.

For a first look where there is no camera. H.264, 10 pictures and a key frame a second, by TCP alone, to whoever can
reach the port: there are no passwords, since there is nothing to see but shapes.
"""

from __future__ import annotations

import argparse
import re
import select
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from urllib.parse import urlsplit

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from streamtag.tools.demo.drawing import frames, plan
from streamtag.tools.demo.rtp import CLOCK_HZ, PAYLOAD_TYPE, Packets

FPS = 10
SIZE = (640, 360)
MOST_VIEWERS = 64
SILENT_S = 60.0  # who says nothing for so long, and is sent nothing, has gone
REQUEST_BYTES = 16 * 1024  # the longest request
_INTERLEAVED = re.compile(r"RTP/AVP/TCP;.*interleaved=(\d{1,3})-(\d{1,3})", re.IGNORECASE)
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 461: "Unsupported Transport"}
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
_SESSION = "1"  # one a connection
_DESCRIPTION = f"""v=0
o=- 0 0 IN IP4 0.0.0.0
s=streamtag
c=IN IP4 0.0.0.0
t=0 0
m=video 0 RTP/AVP {PAYLOAD_TYPE}
a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK_HZ}
a=fmtp:{PAYLOAD_TYPE} packetization-mode=1
a=control:video
""".replace("\n", "\r\n")


def encoded(seconds: float, seed: int) -> list[bytes]:
    """A drawn clip of ``FPS`` pictures a second, each encoded; every ``FPS``th needs no other."""
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, VideoCodecContext)
    codec.width, codec.height = SIZE
    codec.pix_fmt, codec.time_base, codec.framerate = "yuv420p", Fraction(1, FPS), Fraction(FPS)
    codec.gop_size, codec.bit_rate = FPS, 600_000
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "scenecut=0"}
    found = []
    for index, pixels in enumerate(frames(plan(seconds, seed), seed, SIZE, FPS)):
        frame = VideoFrame.from_ndarray(pixels, format="bgr24")
        frame.pts = index
        found += codec.encode(frame)
    found += codec.encode(None)
    return [bytes(packet) for packet in found]


class Cameras(socketserver.ThreadingTCPServer):
    """The server; each connection has a thread of its own.

    Args:
        address: where to listen.
        loops: the pictures of each camera, by its name in the URL.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], loops: Mapping[str, Sequence[bytes]]) -> None:
        super().__init__(address, Viewer)
        self.loops = loops
        self.began_s = time.monotonic()

    def verify_request(self, request: object, client_address: object) -> bool:
        """Whether there is room for another viewer."""
        return threading.active_count() <= MOST_VIEWERS


class Viewer(socketserver.BaseRequestHandler):
    """One connection: requests are answered, and once it plays, each picture is sent when its time has come."""

    server: Cameras
    request: socket.socket

    def setup(self) -> None:
        """Before anything is read."""
        self.request.settimeout(SILENT_S)
        self._read = b""
        self._channel = 0
        self._loop: Sequence[bytes] = ()
        self._next: int | None = (
            None  # the picture to send, counted since the server began; None while it does not play
        )
        self._packets = Packets(id(self) % (1 << 32))

    def handle(self) -> None:
        """Until the viewer goes."""
        try:
            while self._turn():
                pass
        except OSError:
            return

    def _turn(self) -> bool:
        """Send what is due, or read what has come. Returns whether the connection goes on."""
        wait_s = SILENT_S
        if self._next is not None:
            wait_s = self.server.began_s + self._next / FPS - time.monotonic()
            if wait_s <= 0:
                self._send_picture(self._next)
                self._next += 1
                return True
        if not select.select([self.request], [], [], wait_s)[0]:
            return self._next is not None
        received = self.request.recv(REQUEST_BYTES)
        self._read += received
        return bool(received) and self._answer_all()

    def _send_picture(self, number: int) -> None:
        picture = self._loop[number % len(self._loop)]
        for packet in self._packets.of(picture, number / FPS):
            self.request.sendall(b"$" + bytes((self._channel,)) + len(packet).to_bytes(2) + packet)

    def _answer_all(self) -> bool:
        """Answer the requests that are whole; what a viewer reports of its packets is passed over."""
        while self._read:
            if self._read.startswith(b"$"):
                length = 4 + int.from_bytes(self._read[2:4]) if len(self._read) >= 4 else REQUEST_BYTES
            else:
                length = self._read.find(b"\r\n\r\n") + 4
                if length < 4:
                    return len(self._read) < REQUEST_BYTES
            if len(self._read) < length:
                return True
            message, self._read = self._read[:length], self._read[length:]
            if not message.startswith(b"$") and not self._answer(message.decode("latin-1")):
                return False
        return True

    def _answer(self, message: str) -> bool:
        """Returns whether the connection goes on."""
        first, *lines = message.split("\r\n")
        method, _, rest = first.partition(" ")
        url = rest.partition(" ")[0]
        pairs = (line.partition(":")[::2] for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        code, answer, body = self._reply(method, url, headers)
        said = {"CSeq": headers.get("cseq", "0")[:20], **answer}
        if body:
            said |= {"Content-Type": "application/sdp", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in said.items())
        self.request.sendall(f"RTSP/1.0 {code} {_REASONS[code]}\r\n{head}\r\n{body}".encode("latin-1", "replace"))
        if method == "PLAY" and code == 200:
            elapsed = time.monotonic() - self.server.began_s
            self._next = (int(elapsed * FPS) // FPS + 1) * FPS  # the next key frame
        return method != "TEARDOWN" and code != 400

    def _reply(self, method: str, url: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        """The code, the headers and the body of an answer."""
        if method == "OPTIONS":
            return 200, {"Public": _METHODS}, ""
        if method in ("GET_PARAMETER", "TEARDOWN"):
            return 200, {"Session": _SESSION}, ""
        try:
            name = urlsplit(url).path.strip("/").partition("/")[0]
        except ValueError:
            return 400, {}, ""
        if method not in ("DESCRIBE", "SETUP", "PLAY"):
            return (405, {"Allow": _METHODS}, "") if method.isalpha() else (400, {}, "")
        if name not in self.server.loops:
            return 404, {}, ""
        if method == "DESCRIBE":
            return 200, {"Content-Base": f"{url.rstrip('/')}/"}, _DESCRIPTION
        if method == "PLAY":
            return (200, {"Session": _SESSION}, "") if self._loop else (400, {}, "")
        asked = _INTERLEAVED.match(headers.get("transport", ""))
        if asked is None or int(asked[1]) > 255:
            return 461, {}, ""
        self._channel, self._loop = int(asked[1]), self.server.loops[name]
        return 200, {"Session": f"{_SESSION};timeout=60", "Transport": headers["transport"]}, ""


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cameras", nargs="+", metavar="camera", help="its name: rtsp://HOST:PORT/NAME")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; 0.0.0.0 is everywhere (%(default)s)")
    parser.add_argument("--port", type=int, default=8554, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the loop is (%(default)s)")
    options = parser.parse_args()
    loops = {name: encoded(options.seconds, seed) for seed, name in enumerate(options.cameras)}
    with Cameras((options.host, options.port), loops) as server:
        sys.stdout.write(f"cameras: {', '.join(loops)}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
