"""Servers that nobody should reach, and that know whether somebody did; and ones that answer with a fixed text."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

Answer = Callable[[socket.socket], None]


class Trap:
    """A TCP server that keeps what each connection said first.

    Args:
        host: an address of this machine, ``127.0.0.2`` as well as ``127.0.0.1``.
        answer: what to do with a connection; default: hear it and close.
    """

    def __init__(self, host: str, answer: Answer | None = None) -> None:
        self.heard: list[bytes] = []
        self._answer = answer
        self._server = socket.create_server((host, 0))
        self.address = f"{host}:{self._server.getsockname()[1]}"

    def __enter__(self) -> Trap:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(20)
            try:
                if self._answer is not None:
                    self._answer(connection)
                else:
                    self.heard.append(connection.recv(4096))
            except OSError:
                self.heard.append(b"")
