"""FFmpeg's and OpenCV's own words, kept to explain a failure."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from streamtag.redaction import redact


class ErrorLog:
    """Both outputs of the process, in a file of its memory.

    The libraries print to standard error and to standard output alike, where the results of ``--json`` belong.

    Args:
        source: what is read. The libraries quote it, and a password with blanks in it is told from what follows only
            by knowing it.
    """

    KEEP_BYTES = 65_536

    def __init__(self, source: str = "") -> None:
        self._source = source
        self._file = os.memfd_create("decoder-errors")
        self._libc = ctypes.CDLL(None)
        os.dup2(self._file, 1)
        os.dup2(self._file, 2)

    def about(self, source: str) -> None:
        """What is read, with the password that it has got since."""
        self._source = source

    def tail(self) -> str:
        """What was said last, without passwords, and forget it."""
        self._libc.fflush(None)
        size = os.lseek(self._file, 0, os.SEEK_END)
        os.lseek(self._file, max(0, size - 4000), os.SEEK_SET)
        content = os.read(self._file, 4000).decode("utf-8", "replace")
        self.forget()
        return redact(content, self._source)

    def news(self) -> str:
        """As ``tail``; empty where nothing was said, which costs next to nothing."""
        self._libc.fflush(None)
        return self.tail() if os.fstat(self._file).st_size else ""

    def listen_for(self, words: bytes) -> Callable[[], int]:
        """What tells how often they were said since it was last asked. Any thread may ask, and nothing is forgotten."""
        heard_bytes = 0

        def heard() -> int:
            nonlocal heard_bytes
            size = os.fstat(self._file).st_size
            if size == heard_bytes:
                return 0
            since = heard_bytes if size > heard_bytes else 0  # it was forgotten meanwhile
            heard_bytes = size
            return os.pread(self._file, size - since, since).count(words)

        return heard

    def trim(self) -> None:
        """Forget a long log: a damaged stream says something about each frame, for ever."""
        if os.fstat(self._file).st_size > self.KEEP_BYTES:
            self.forget()

    def forget(self) -> None:
        self._libc.fflush(None)
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
