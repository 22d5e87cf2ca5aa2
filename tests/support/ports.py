"""Ports of 127.0.0.1 that nobody uses."""

from __future__ import annotations

import random
import socket

# Below those that the kernel gives to outgoing connections: one of them would take the port before its server does.
LOWEST, HIGHEST = 12_000, 32_000


def free_port() -> int:
    """A port for a server that is started next."""
    for _ in range(100):
        port = random.randint(LOWEST, HIGHEST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")
