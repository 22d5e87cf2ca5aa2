"""Signals heard at once, whatever the main thread is busy with."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

WATCHED = (signal.SIGTERM, signal.SIGINT)


def watch_signals(on_signal: Callable[[signal.Signals], None]) -> None:
    """Have a thread call ``on_signal`` for each SIGTERM and SIGINT. Call from the main thread, once.

    Python runs its own handlers in the main thread between two of its instructions, which while TensorFlow compiles is
    too late; the byte in the pipe is written when the signal comes.
    """
    heard, written = os.pipe()
    os.set_blocking(written, False)
    signal.set_wakeup_fd(written, warn_on_full_buffer=False)
    for number in WATCHED:
        signal.signal(number, lambda number, frame: None)  # without a handler no byte is written

    def watch() -> None:
        while content := os.read(heard, 1):
            if content[0] in WATCHED:
                on_signal(signal.Signals(content[0]))

    threading.Thread(target=watch, name="signals", daemon=True).start()
