"""An RTSP server that does what a test has written down, and counts what it is asked: no media, only manners."""

from __future__ import annotations

import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=scripted\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n"
    "c=IN IP4 0.0.0.0\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
    "a=fmtp:96 packetization-mode=1;profile-level-id=42c00d;"
    "sprop-parameter-sets=Z0LADdoFB+hAAAADAEAAAAUDxQqo,aM4PyA==\r\n"
)


class ScriptedRtsp:
    """Answers by the first part of the path.

    ``/refused/...``: 401 to everything. ``/mute-describe/...``: never answers DESCRIBE. ``/mute-play/...``: plays, and
    sends nothing.

    Attributes:
        asked: how often, by method and path.
    """

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        script = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while request := self._request():
                    method, path, sequence = request
                    script.asked[method, path] += 1
                    answer = script.answer(method, path)
                    if answer is not None:
                        self.wfile.write(f"RTSP/1.0 {answer[0]}\r\nCSeq: {sequence}\r\n{answer[1]}".encode())

            def _request(self) -> tuple[str, str, str] | None:
                try:
                    lines = [self.rfile.readline().decode().strip()]
                    while lines[-1]:
                        lines.append(self.rfile.readline().decode().strip())
                except OSError:
                    return None
                if len(lines) < 2:
                    return None
                method, url, _ = lines[0].split(" ")
                sequence = next(line[5:].strip() for line in lines if line.lower().startswith("cseq:"))
                return method, url.partition("://")[2].partition("/")[2], sequence

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path: str, user: str = "") -> str:
        return f"rtsp://{user}127.0.0.1:{self._server.server_address[1]}/{path}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str) -> tuple[str, str] | None:
        """Status, and headers with body; None for silence."""
        end = "\r\n"
        if path.startswith("refused"):
            return "401 Unauthorized", f'WWW-Authenticate: Basic realm="camera"{end}{end}'
        if method == "OPTIONS":
            return "200 OK", f"Public: DESCRIBE, SETUP, PLAY, TEARDOWN{end}{end}"
        if method == "DESCRIBE":
            described = f"Content-Type: application/sdp{end}Content-Length: {len(SDP)}{end}{end}{SDP}"
            return None if path.startswith("mute-describe") else ("200 OK", described)
        if method == "SETUP":
            return "200 OK", f"Transport: RTP/AVP/TCP;unicast;interleaved=0-1{end}Session: 1{end}{end}"
        return "200 OK", f"Session: 1{end}{end}"


@contextmanager
def scripted_rtsp() -> Iterator[ScriptedRtsp]:
    """A server that is there for so long."""
    server = ScriptedRtsp()
    try:
        yield server
    finally:
        server.close()
