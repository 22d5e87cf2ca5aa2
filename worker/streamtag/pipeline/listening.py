"""Sockets for those who ask by HTTP: metrics and health, and the page."""

from __future__ import annotations

import errno
import socket
from typing import Final

from streamtag.errors import ConfigError

# After which the kernel ends a connection whose other side takes nothing more: it would hold what answers it for ever.
# One that is slow is not meant, as long as it takes something.
TAKE_S: Final = 60


def listen(part: str, host: str, port: int) -> socket.socket:
    """A socket that listens at an address of either kind of IP; at ``::`` at all of both.

    Args:
        part: of the settings, which has ``host`` and ``port``.

    Raises:
        ConfigError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    try:
        listening = socket.create_server((host, port), family=family, backlog=256, dualstack_ipv6=both)
    except OSError as error:
        number = error.errno or 0  # below 0 where the host has no address
        foreign = number < 0 or number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
        remedy = (
            f"is {part}.host an address of this machine?" if foreign else f"choose another {part}.port, or 0 for any"
        )
        reason = str(error.strerror).partition(" (while")[0]  # what follows says again where
        raise ConfigError(f"{part}: cannot listen on {shown(host, port)}: {reason}; {remedy}") from None
    # asyncio does so only where a socket was made for TCP by name. Without, each answer waits 40 ms for its other half.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * TAKE_S)  # each connection inherits it
    return listening


def url(listening: socket.socket) -> str:
    """The address of a socket, as a browser takes it."""
    host, port = listening.getsockname()[:2]
    return f"http://{shown(host, port)}"


def shown(host: str, port: int) -> str:
    """Host and port as an address has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
