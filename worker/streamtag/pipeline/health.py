"""/metrics, /livez and /readyz. Live means that every thread moves; Redis being away does not make a worker dead."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder

from streamtag.errors import ConfigError
from streamtag.logs import log
from streamtag.pipeline.listening import listen, url
from streamtag.settings import HttpSettings

# How long who has connected may take to ask, and to take the answer. Each holds a thread and a descriptor meanwhile.
ASK_S: Final = 10
MAX_ASKING: Final = 50  # at once: of more the worker would have no descriptors left for Redis and decoders


class Health:
    """What the worker knows of itself. Written by its threads, read by the HTTP thread."""

    def __init__(self, stuck_s: float) -> None:
        self.warm = False
        self.redis = False
        self.draining = False
        self._stuck_s = stuck_s
        self._beats: dict[str, float] = {}

    def beat(self, thread: str) -> None:
        """A thread has come round its loop."""
        self._beats[thread] = time.monotonic()

    def forget(self, thread: str) -> None:
        """A thread has ended as it should."""
        self._beats.pop(thread, None)

    def stuck(self) -> dict[str, float]:
        """Seconds since the last sign of life of each thread that is late."""
        now_s = time.monotonic()
        silent = {name: round(now_s - beat_s, 1) for name, beat_s in list(self._beats.items())}
        return {name: silent_s for name, silent_s in silent.items() if silent_s > self._stuck_s}

    def not_ready(self) -> list[str]:
        """Why no work should be sent here; empty when ready."""
        reasons = []
        if not self.warm:
            reasons.append("the network is not compiled yet")
        if not self.redis:
            reasons.append("Redis cannot be reached")
        if self.draining:
            reasons.append("draining")
        return reasons


def _encoder(accept: str) -> tuple[Callable[[Any], bytes], str]:
    """OpenMetrics, which has exemplars, for who accepts it; the plain format else, also where that cannot be read."""
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # of a version that is none
        return generate_latest, CONTENT_TYPE_LATEST


class _Server(ThreadingHTTPServer):
    """Answers at a socket that listens already."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        BaseServer.__init__(self, listening.getsockname(), handler)  # the others bind one of their own, of IPv4 only
        self.socket = listening
        self._asking: dict[int, socket.socket] = {}  # by identity, the oldest first
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own. The oldest makes room: an answer takes far less time than a silent one has."""
        with self._lock:
            self._asking[id(request)] = request
            if len(self._asking) > MAX_ASKING:
                oldest = self._asking.pop(next(iter(self._asking)))
                with suppress(OSError):  # it has gone by itself
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread reads the end, and closes it
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The end of one."""
        with self._lock:
            self._asking.pop(id(request), None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who hangs up in the middle, as a port scan or a scrape that is late, is no news."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            log.error("a question by HTTP failed", exc_info=error)


class HttpServer:
    """Serves ``/metrics``, ``/livez`` and ``/readyz`` in a thread of its own."""

    def __init__(self, settings: HttpSettings, registry: CollectorRegistry, health: Health) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = ASK_S
            server_version, sys_version = "streamtag", ""

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    encode, kind = _encoder(", ".join(self.headers.get_all("Accept", [])))
                    self._answer(200, encode(registry), kind)
                elif path == "/livez":
                    stuck = health.stuck()
                    self._json(503 if stuck else 200, {"live": not stuck, "stuck_s": stuck})
                elif path == "/readyz":
                    reasons = health.not_ready()
                    self._json(503 if reasons else 200, {"ready": not reasons, "reasons": reasons})
                else:
                    self._json(404, {"error": "not here; see /metrics, /livez, /readyz"})

            do_HEAD = do_GET

            def _json(self, status: int, content: dict[str, Any]) -> None:
                self._answer(status, json.dumps(content).encode(), "application/json")

            def _answer(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Scrapes every few seconds are no news."""

        self._server = _Server(listen("http", settings.host, settings.port), Handler)

    @property
    def url(self) -> str:
        return url(self._server.socket)

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def http_server(settings: HttpSettings, registry: CollectorRegistry, health: Health) -> HttpServer:
    """What answers at the port of the settings, or where nobody chose one and it is taken, at any free one.

    Of several workers of a machine, and of a notifier beside them, only one has it; all are to do their work.

    Raises:
        ConfigError: the port that was chosen is taken.
    """
    try:
        return HttpServer(settings, registry, health)
    except ConfigError as error:
        if "port" in settings.model_fields_set:
            raise
        log.warning("metrics at any free port", because=str(error))
        return HttpServer(settings.model_copy(update={"port": 0}), registry, health)
