"""A small web server: files, ranges, redirects, passwords, breaks and wrong answers on request."""

from __future__ import annotations

import base64
import http.server
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD = "viewer", "hunter2"


class WebServer:
    """Serves the files of a folder on 127.0.0.1.

    ``/to/X`` redirects to X (an address, or a path with its slash), ``/moved/X`` does so to FFmpeg alone, after what
    it leads to was looked at, ``/404`` answers 404, and ``/secret/X`` is the
    file X for ``USER`` only.

    Attributes:
        break_after: end each answer after so many bytes; 0 never.
        break_at: the place in each file beyond which nothing is sent; 0 none.
        breaks: how many answers are still broken so; one that has to say nothing beyond it is none.
        break_how: ``end`` the connection, ``reset`` it, or ``stall``: say nothing more until the server stops.
        lengths: say how long an answer is.
        ranges: heed requests for a part.
        failures: how many of the next requests for a file are answered 503.
        requests: path and ``Range`` of each request so far.
        authorisations: what each of them said of its user.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.break_after = 0
        self.break_at = 0
        self.breaks = 1_000_000
        self.break_how = "end"
        self.lengths = True
        self._stopping = threading.Event()
        self.ranges = True
        self.failures = 0
        self.requests: list[tuple[str, str]] = []
        self.authorisations: list[str] = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                """Tests print what matters themselves."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Answer one request, in a thread of its own."""
        self.requests.append((handler.path, handler.headers.get("Range", "")))
        self.authorisations.append(handler.headers.get("Authorization", ""))
        path = handler.path.split("?")[0]
        if path.startswith("/moved/") and "streamtag" not in handler.headers.get("User-Agent", ""):
            _answer_empty(handler, 302, "Location", path.removeprefix("/moved/"))
            return
        path = f"/secret/{path.rpartition('/')[2]}" if path.startswith("/moved/") else path
        if path.startswith("/to/"):
            _answer_empty(handler, 302, "Location", path.removeprefix("/to/"))
        elif path[1:].isdecimal():
            _answer_empty(handler, int(path[1:]))
        elif path.startswith("/secret/") and not _authorised(handler):
            _answer_empty(handler, 401, "WWW-Authenticate", 'Basic realm="x"')
        elif self.failures:
            self.failures -= 1
            _answer_empty(handler, 503)
        else:
            self._send(handler, self.folder / path.removeprefix("/secret").lstrip("/"))

    def _refuse(
        self, handler: http.server.BaseHTTPRequestHandler, status: int, header: str = "", value: str = ""
    ) -> None:
        handler.send_response(status)
        if header:
            handler.send_header(header, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _send(self, handler: http.server.BaseHTTPRequestHandler, path: Path) -> None:
        if not path.is_file():
            handler.send_error(404)
            return
        content = path.read_bytes()
        wanted = handler.headers.get("Range", "") if self.ranges else ""
        start = int(wanted.removeprefix("bytes=").split("-")[0] or 0) if wanted else 0
        if start >= len(content) > 0:
            handler.send_error(416)
            return
        handler.send_response(206 if wanted else 200)
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.ranges:
            handler.send_header("Accept-Ranges", "bytes")
        if self.lengths:
            handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        broken = self.breaks > 0 and start < self.break_at < len(content)
        try:
            handler.wfile.write(content[start : self.break_at if broken else None][: self.break_after or None])
        except OSError:  # the reader has seen enough
            handler.close_connection = True
            return
        if broken:
            self.breaks -= 1
            self._break(handler)

    def _break(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        if self.break_how == "stall":
            self._stopping.wait()
        if self.break_how == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()


def _answer_empty(
    handler: http.server.BaseHTTPRequestHandler, status: int, header: str = "Content-Type", value: str = "text/plain"
) -> None:
    handler.send_response(status)
    handler.send_header(header, value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _authorised(handler: http.server.BaseHTTPRequestHandler) -> bool:
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return handler.headers.get("Authorization") == expected


@contextmanager
def served(folder: Path) -> Iterator[WebServer]:
    """A server of the files in ``folder``, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    server = WebServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
