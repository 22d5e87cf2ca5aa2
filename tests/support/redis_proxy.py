"""A relay between clients and one Redis server that loses replies, delays, and goes away when it is told to.

It speaks no protocol: it passes bytes on, and shows each request to whoever decides what becomes of its reply.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.ports import free_port

Wanted = Callable[[bytes], bool]

READ_BYTES = 65_536
# What the requests hold that are worth losing the reply of, and no others do.
ACQUIRE, COMMIT, READ = b'"source"', b'"decoded"', b"XREADGROUP"


def seeded(share: float, seed: int, *marks: bytes) -> Wanted:
    """Chooses that share of the requests that hold one of the marks, the same ones for the same requests."""
    chance = random.Random(seed)
    return lambda request: any(mark in request for mark in marks) and chance.random() < share


def nobody(request: bytes) -> bool:
    """Chooses no request."""
    return False


@dataclass(eq=False, slots=True)
class _Link:
    """Both sides of one client's connection."""

    client: socket.socket
    server: socket.socket
    request: bytearray = field(default_factory=bytearray)  # since the last reply

    def cut(self) -> None:
        """End both sides at once, as a crash does: the client sees a reset."""
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.close()


class RedisProxy:
    """Listens on a port of its own. A context manager: entered it relays, left it is gone.

    Args:
        server_port: of 127.0.0.1, where the server listens.
    """

    def __init__(self, server_port: int) -> None:
        self.lost: list[bytes] = []  # the requests whose replies were lost so far
        self._delay_s = 0.0  # each way
        self._server_port = server_port
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port = free_port()
        # By its number, for only then the kernel keeps it for us while nothing listens.
        self._listener.bind(("127.0.0.1", self.port))
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._wanted: Wanted = nobody

    def __enter__(self) -> RedisProxy:
        self._listen()
        return self

    def __exit__(self, *exception: object) -> None:
        self._refuse()
        self._listener.close()

    @contextmanager
    def losing(self, wanted: Wanted) -> Iterator[None]:
        """Of the requests chosen, the server carries each out, and its reply is lost with the connection."""
        self._wanted = wanted
        try:
            yield
        finally:
            self._wanted = nobody

    @contextmanager
    def slow(self, delay_s: float) -> Iterator[None]:
        """Each request and each reply takes that much longer."""
        self._delay_s = delay_s
        try:
            yield
        finally:
            self._delay_s = 0.0

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Every connection is cut, and new ones are refused, as by a machine whose server has died."""
        self._refuse()
        try:
            yield
        finally:
            self._listen()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Nothing passes and nothing is refused, as with a broken switch; what was sent arrives afterwards."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def _listen(self) -> None:
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _refuse(self) -> None:
        # The port stays ours; the thread that accepts is woken by an error and ends.
        self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            link.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            client.close()
            return
        link = _Link(client, server)
        with self._lock:
            self._links.add(link)
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self._carry, args=(link, self._replies), daemon=True).start()
        self._carry(link, self._requests)

    def _carry(self, link: _Link, way: Callable[[_Link], bool]) -> None:
        with contextlib.suppress(OSError):
            while way(link):
                pass
        with self._lock:
            self._links.discard(link)
        link.cut()

    def _requests(self, link: _Link) -> bool:
        passed = link.client.recv(READ_BYTES)
        link.request += passed
        self._linger()
        link.server.sendall(passed)
        return bool(passed)

    def _replies(self, link: _Link) -> bool:
        passed = link.server.recv(READ_BYTES)
        request = bytes(link.request)
        link.request.clear()
        with self._lock:
            if request and self._wanted(request):
                self.lost.append(request)
                return False
        self._linger()
        link.client.sendall(passed)
        return bool(passed)

    def _linger(self) -> None:
        time.sleep(self._delay_s)
        self._flows.wait()
