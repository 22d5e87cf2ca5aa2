"""A web server that is told of events, and answers as a test has it."""

from __future__ import annotations

import http.server
import ssl
import threading
from dataclasses import dataclass
from email.message import Message
from types import TracebackType
from typing import Any

import orjson


@dataclass(frozen=True)
class Told:
    """One request."""

    path: str
    headers: Message
    body: bytes

    @property
    def event_id(self) -> str:
        return str(self.headers["X-Streamtag-Event-Id"])

    @property
    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.body)
        return found


class WebhookReceiver:
    """Takes what is POSTed to it on 127.0.0.1; ``/hangs`` never answers, and ``/moved`` redirects to ``/elsewhere``.

    Args:
        tls: with its certificate, for https.

    Attributes:
        answers: status of each of the next requests, 0 for a connection that breaks; then 204 for all.
        told: every request that was answered with 2xx.
        refused: the others.
    """

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[int] = []
        self.told: list[Told] = []
        self.refused: list[Told] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.answer(self, Told(self.path, self.headers, body))

            def log_message(self, format: str, *arguments: object) -> None:
                """Tests print what matters themselves."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"

    def answer(self, handler: http.server.BaseHTTPRequestHandler, told: Told) -> None:
        """Answer one request, in a thread of its own."""
        if told.path.startswith("/hangs"):
            self._stopping.wait()
            return
        with self._lock:
            status = 302 if told.path.startswith("/moved") else self.answers.pop(0) if self.answers else 204
            (self.told if 200 <= status < 300 else self.refused).append(told)
        if not status:
            handler.close_connection = True
            return
        handler.send_response(status)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def __enter__(self) -> WebhookReceiver:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
