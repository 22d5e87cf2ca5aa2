"""A terminal of a given size with a command in it, and what a person would see there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from types import TracebackType

import pyte
from streamtag.settings import Settings

from tests.support.command_line import environment
from tests.support.waiting import LIMIT_S


class Terminal:
    """``streamtag`` in a terminal, with everything that a real one does to lines, cursors and Ctrl-C.

    Args:
        arguments: of ``streamtag``; none for a shell, whose commands are typed.
    """

    def __init__(
        self, settings: Settings, *arguments: str, columns: int = 80, rows: int = 40, term: str = "xterm-256color"
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""  # everything, with what a screen obeys
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = {name: value for name, value in environment(settings).items() if name not in ("COLUMNS", "NO_COLOR")}
        command = [sys.executable, "-m", "streamtag", *arguments] if arguments else ["/bin/sh"]
        self.process = subprocess.Popen(
            command,
            env=env | {"TERM": term, "PS1": "", "STREAMTAG_LOG__FORMAT": "auto"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C reaches it as from a keyboard
        )
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        os.close(self._ours)

    def type(self, keys: str) -> None:
        """Press keys: ``\\x03`` is Ctrl-C."""
        os.write(self._ours, keys.encode())

    def modes(self) -> list[object]:
        """How the terminal treats what is typed: echoed or not, line by line or key by key."""
        return list(termios.tcgetattr(self._ours))

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size."""
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def see(self, text: str) -> list[str]:
        """Wait until a text stands on the screen or above it; all lines by then."""
        deadline_s = time.monotonic() + LIMIT_S
        while not any(text in line for line in self.lines()):
            assert time.monotonic() < deadline_s, f"never seen: {text!r} in\n" + "\n".join(self.lines())
            if not self._read(0.1):
                assert any(text in line for line in self.lines()), f"{text!r} not in\n" + "\n".join(self.lines())
        return self.lines()

    def type_until(self, keys: str, text: str) -> None:
        """Type the same until a text is seen: what comes while a program leaves is dropped with its own keys."""
        deadline_s = time.monotonic() + LIMIT_S
        while not any(text in line for line in self.lines()):
            assert time.monotonic() < deadline_s, f"never seen: {text!r} in\n" + "\n".join(self.lines())
            self.type(keys)
            until_s = time.monotonic() + 2.0
            while time.monotonic() < until_s and self._read(0.1):
                pass

    def end(self) -> list[str]:
        """Wait until the command is over; all lines, those that were scrolled away first."""
        deadline_s = time.monotonic() + LIMIT_S
        while self._read(0.1):
            assert time.monotonic() < deadline_s, "it does not end"
        self.process.wait(LIMIT_S)
        return self.lines()

    def lines(self) -> list[str]:
        """What a person sees, with what was scrolled away."""
        columns = self._screen.columns
        above = ["".join(row[at].data for at in range(columns)) for row in self._screen.history.top]
        return [line.rstrip() for line in [*above, *self._screen.display]]

    def _read(self, wait_s: float) -> bool:
        """Take in what was written; False once nobody can write any more."""
        if select.select([self._ours], [], [], wait_s)[0]:
            try:
                content = os.read(self._ours, 65536)
            except OSError:  # Linux's end of file of a terminal
                return False
            self._stream.feed(content)
            self.written += content
            return bool(content)
        return True
