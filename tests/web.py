"""A small web server for downloads: ranges, breaks and wrong answers on request."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class WebServer:
    """Serves the files of a folder on 127.0.0.1.

    ``break_after`` ends each answer after so many bytes; ``ranges`` False ignores requests for a part.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.break_after = 0
        self.ranges = True
        self.requests: list[tuple[str, str]] = []  # path, Range
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web._answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range", "")
        self.requests.append((handler.path, wanted))
        path = self.folder / handler.path.lstrip("/").split("?")[0]
        if not path.is_file():
            handler.send_error(404)
            return
        content = path.read_bytes()
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and self.ranges else 0
        if start >= len(content) > 0:
            handler.send_error(416)
            return
        body = content[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.break_after or None])

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def served(folder: Path, **options: Any) -> Iterator[WebServer]:
    folder.mkdir(parents=True, exist_ok=True)
    server = WebServer(folder)
    for name, value in options.items():
        setattr(server, name, value)
    server.start()
    try:
        yield server
    finally:
        server.stop()
