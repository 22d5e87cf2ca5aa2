"""Waiting for another process of this machine, by a lock on a file."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_LOOK_S = 0.2


def lock_within(file: IO[Any] | int, limit_s: float) -> bool:
    """Lock an open file or folder, which closing it ends. False where another process has held it for so long."""
    until_s = time.monotonic() + limit_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > until_s:
                return False
            time.sleep(_LOOK_S)


@contextmanager
def locked(path: Path, limit_s: float) -> Iterator[None]:
    """Let one process of this machine go on at a time, by a file that is made where it can be.

    Whoever has waited for ``limit_s`` goes on beside the other one, and so do all where there can be no lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError:
        yield
        return
    with file:
        with suppress(OSError):  # a file system that has no locks
            lock_within(file, limit_s)
        yield
