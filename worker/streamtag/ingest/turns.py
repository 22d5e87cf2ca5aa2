"""Films are decoded in turns, about as many at once as there are cores.

Of eight decoders on two cores each finds the caches full of the frames of others whenever it runs, and takes a fifth
longer over a sample (``worker/README.md``). So a film is decoded for a while, and waits for its next turn.

A place is a byte of a file in memory, and who has a place holds the lock of that byte. The kernel gives it on when its
holder ends, however that ends, and in the order in which it was asked for.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import reduction
from typing import Any

TURN_S = 0.1
# Whoever has a place may be stuck, as on a disk of the network that is away. That ends no other film.
PATIENCE_S = 5.0
_LOOK_S = 0.5  # between signs of life while one waits


class Turns:
    """So many places, to be handed to processes as an argument.

    Raises:
        OSError: the machine has no descriptors left.
    """

    def __init__(self, places: int, descriptor: int | None = None) -> None:
        self.places = places
        self.descriptor = os.memfd_create("streamtag-turns", os.MFD_CLOEXEC) if descriptor is None else descriptor

    def close(self) -> None:
        """Give the descriptor back; processes keep theirs."""
        os.close(self.descriptor)

    def __reduce__(self) -> tuple[Callable[..., Turns], tuple[int, Any]]:
        return _attach, (self.places, reduction.DupFd(self.descriptor))


def _attach(places: int, descriptor: Any) -> Turns:
    return Turns(places, descriptor.detach())


class _TooLong(Exception):
    """Nobody has given a place on."""


class Turn:
    """The turn of this process, which has one at most. In the main thread.

    Args:
        turns: None where there is no need to wait for one another.
        on_waiting: called now and then while it waits. What it raises ends the waiting.
    """

    def __init__(self, turns: Turns | None, on_waiting: Callable[[], None]) -> None:
        self._turns = turns
        self._on_waiting = on_waiting
        self._place: int | None = None
        self._began_s: float | None = None  # None while it is not its turn

    def take(self) -> None:
        """Wait for it, unless it is ours."""
        if self._turns is None or self._began_s is not None:
            return
        own = os.getpid() % self._turns.places
        with suppress(OSError):  # no locks on this machine: so be it
            self._place = self._free_place(own)
            if self._place is None and self._wait(own):
                self._place = own
        self._began_s = time.monotonic()

    def leave(self) -> None:
        """Let another have it."""
        if self._place is not None and self._turns is not None:
            fcntl.lockf(self._turns.descriptor, fcntl.LOCK_UN, 1, self._place)
        self._place = self._began_s = None

    def pass_on(self) -> None:
        """Let another have it and wait for the next, where it has lasted long enough."""
        if self._began_s is not None and time.monotonic() - self._began_s > TURN_S:
            self.leave()
            self.take()

    def _free_place(self, own: int) -> int | None:
        assert self._turns is not None
        places = self._turns.places
        for place in [(own + further) % places for further in range(places)]:
            with suppress(BlockingIOError, PermissionError):  # EAGAIN or EACCES: another has it (man 2 fcntl)
                fcntl.lockf(self._turns.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                return place
        return None

    def _wait(self, place: int) -> bool:
        """Whether it came in time."""
        assert self._turns is not None
        until_s = time.monotonic() + PATIENCE_S

        def look(_signal: int, _frame: object) -> None:
            self._on_waiting()
            if time.monotonic() > until_s:
                raise _TooLong

        before = signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)
        try:
            fcntl.lockf(self._turns.descriptor, fcntl.LOCK_EX, 1, place)
        except _TooLong:
            fcntl.lockf(self._turns.descriptor, fcntl.LOCK_UN, 1, place)  # it may have come in just that moment
            return False
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        return True
