"""The gate: the only way of a decoder to the network, and what it says about whom it did not let pass.

FFmpeg follows what a playlist, a redirect or a name server tells it, so a check of the source's own address is no
policy. Each job with a source on the network gets a small process beside its decoder (``gate_server.py``). The decoder
reaches nothing else: HTTP goes through it as through a proxy, RTSP through a relay. It resolves a name once, checks the
address, and connects to the address that it checked. It is a process of its own since the decoder, whose bytes are a
stranger's, must not hold the network, and the parent must not hold the stranger's bytes.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from urllib.parse import urlsplit

from streamtag.core.source import SourceKind, source_kind
from streamtag.errors import RejectJob, RetryJob, in_words
from streamtag.ingest import gate_server
from streamtag.ingest.policy import Unreachable
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

_ANSWER_BYTES = 65_536
_ANSWER_TIMEOUT_S = 5.0


def needs_gate(source: str) -> bool:
    """Whether a source lies on the network."""
    return source_kind(source) in (SourceKind.HTTP, SourceKind.RTSP)


class Gate:
    """The parent's side: a gate's process. Entered it runs, left it is gone."""

    def __init__(self, source: str, settings: SourceSettings, context: ForkServerContext) -> None:
        self._source = source
        self._settings = settings
        self._context = context
        self._process: BaseProcess | None = None
        self._lifeline: socket.socket | None = None
        self.port = 0  # on 127.0.0.1

    def start(self) -> None:
        """
        Raises:
            OSError: the machine has no memory, processes or descriptors left.
        """
        # Of our end nobody has a copy but this process: however it goes, the gate sees it and goes, too.
        self._lifeline, far_end = socket.socketpair()
        with far_end, socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            arguments = (listener, far_end, self._source, self._settings)
            process = self._context.Process(target=gate_server.main, args=arguments, daemon=True)
            process.start()
            self._process = process

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None

    def __enter__(self) -> Gate:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def gate_for(source: str, settings: SourceSettings, context: ForkServerContext) -> Iterator[int]:
    """The port of a gate that runs for so long, or 0 for a source that needs none."""
    if not needs_gate(source):
        yield 0
        return
    with Gate(source, settings, context) as gate:
        yield gate.port


@dataclass(frozen=True, slots=True)
class GateClient:
    """The decoder's side of its gate."""

    port: int
    source: str

    @property
    def proxy_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def rtsp_url(self) -> str:
        """The source as FFmpeg is to open it: by the relay, which speaks TLS to the camera where the source asks."""
        parts = urlsplit(self.source)
        user, at, _host = parts.netloc.rpartition("@")
        return parts._replace(scheme="rtsp", netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()

    def use_as_proxy(self) -> None:
        """Have FFmpeg send every HTTP request of this process to the gate, also those that a playlist asks for."""
        os.environ["http_proxy"] = self.proxy_url
        os.environ.pop("no_proxy", None)

    def check(self) -> None:
        """
        Raises:
            RejectJob: a connection was refused since it may not be.
            RetryJob: one could not be made.
        """
        trouble = self._trouble()
        name = shown_source(self.source)
        if trouble.refused:
            raise RejectJob(f"{name}: {trouble.refused}")
        if trouble.unreachable:
            raise Unreachable(f"{name}: {trouble.unreachable}")

    def _trouble(self) -> gate_server.Trouble:
        try:
            with socket.create_connection(("127.0.0.1", self.port), _ANSWER_TIMEOUT_S) as connection:
                connection.sendall(f"GET {gate_server.TROUBLE_PATH} HTTP/1.1\r\n\r\n".encode())
                with connection.makefile("rb") as answer:
                    return gate_server.Trouble(**json.loads(answer.read(_ANSWER_BYTES)))
        except (OSError, ValueError) as error:
            raise RetryJob(f"the gate of this source does not answer: {in_words(error)}") from None
