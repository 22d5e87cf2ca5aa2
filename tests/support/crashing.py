"""A decoder whose codec crashes, always at the same frame of the same file: a stand-in for a file that kills it."""

from __future__ import annotations

import ctypes
import socket
from typing import Any

from streamtag.ingest import decoder
from streamtag.ingest.request import Request
from streamtag.ingest.slots import SlotMemory

POISON = "poison"
LAST_SAMPLE = 60  # of such a file


def main(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """In place of ``decoder.main``, which it is for every file whose name has no poison in it."""
    if POISON in request.source:
        parent = _Fuse(parent, LAST_SAMPLE - request.resume_index)
    decoder.main(request, parent, memory)


class _Fuse(socket.socket):
    """Lets so many messages pass, and then the process dies as a codec dies: by a signal, in the middle of its work."""

    def __init__(self, through: socket.socket, messages: int) -> None:
        super().__init__(fileno=through.detach())
        self._left = messages

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        self._left -= 1
        if self._left < 0:
            ctypes.string_at(0)
        super().sendall(data, flags)
