"""Keys as they are pressed. The terminal is as it was afterwards, however this ends."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from types import TracebackType

_NAMES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1b": "escape",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
}
MAX_BYTES = 1024  # at a time: more is no typing


class Keyboard:
    """Standard input, key by key where it is a terminal; elsewhere nobody presses any."""

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else -1
        self._before: list[object] | None = None

    def __enter__(self) -> Keyboard:
        if self._fd >= 0:
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)  # Ctrl-C and Ctrl-Z stay what they are
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._before)  # type: ignore[arg-type]  # as it was read

    def wait(self, limit_s: float) -> list[str]:
        """The keys that were pressed, at most after ``limit_s``: names, or the characters themselves."""
        if self._fd < 0:
            time.sleep(limit_s)
            return []
        if not select.select([self._fd], [], [], limit_s)[0]:
            return []
        typed = os.read(self._fd, MAX_BYTES)
        if not typed:  # the terminal is gone
            raise KeyboardInterrupt
        return keys_of(typed)


def keys_of(typed: bytes) -> list[str]:
    """The keys in what a terminal sends; sequences that mean nothing here are none."""
    keys: list[str] = []
    while typed:
        if typed[0] == 0x1B and len(typed) > 1 and typed[1:2] in (b"[", b"O"):
            # From the introducer to the first byte that ends a sequence.
            end = next((at for at in range(2, len(typed)) if 0x40 <= typed[at] <= 0x7E), len(typed) - 1)
            name = _NAMES.get(typed[: end + 1])
            keys += [name] if name else []
            typed = typed[end + 1 :]
            continue
        if typed[:1] in _NAMES:
            keys.append(_NAMES[typed[:1]])
            typed = typed[1:]
            continue
        end = next((at for at in range(1, len(typed)) if typed[at] == 0x1B or typed[at : at + 1] in _NAMES), len(typed))
        keys += [char for char in typed[:end].decode("utf-8", "replace") if char.isprintable()]
        typed = typed[end:]
    return keys
