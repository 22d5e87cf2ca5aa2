"""Standard input, output and error as a caller may leave them: closed, or unable to write what we say."""

from __future__ import annotations

import codecs
import io
import os
import sys


def make_usable() -> None:
    """Let what is closed lead nowhere, and what knows few letters write ``?`` for others.

    Called before anything else: the first file or socket would get a closed one's number, and what is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="replace")
