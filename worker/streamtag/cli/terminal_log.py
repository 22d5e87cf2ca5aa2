"""Log lines on a terminal that bars are drawn on too."""

from __future__ import annotations

import io

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text


class TerminalLog(io.TextIOBase):
    """A file for whole lines of log: each goes above our own progress bar, and over a bar of another process.

    Whoever runs a worker and ``submit --wait`` in one terminal has a bar of the one where the other writes its lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._pending = ""

    def write(self, text: str) -> int:
        """Print what has become a line."""
        *lines, self._pending = (self._pending + text).split("\n")
        for line in lines:
            self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
            self._console.print(Text.from_ansi(line), soft_wrap=True)
        return len(text)
