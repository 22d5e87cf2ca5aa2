"""A bundle's folder while a command writes it: no other command may, and what was there stays whole until the end."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from streamtag.errors import ConfigError, StreamtagError
from streamtag.networks.file_lock import lock_within
from streamtag.tools.split_record import NAME as SPLIT
from streamtag.tools.split_record import forget_split

_LAST = "bundle.json"


@contextmanager
def held(folder: Path, force: bool) -> Iterator[None]:
    """Let no other command of this machine write into a bundle's folder meanwhile. A new one that stays empty goes.

    Args:
        force: whether a bundle that is there may be changed or replaced.

    Raises:
        ConfigError: a bundle is there, another command writes it, or the folder cannot be written.
    """
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        number = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be written: {error.strerror}; make it writable, or name another folder"
        ) from None
    try:
        _lock(number, folder)
        if (folder / _LAST).exists() and not force:
            raise ConfigError(f"{folder}: holds a bundle; name another --out, or give --force to replace it")
        yield
    finally:
        if new:
            with suppress(OSError):  # there is something in it
                folder.rmdir()
        os.close(number)


def _lock(number: int, folder: Path) -> None:
    try:
        ours = lock_within(number, 0.0)
    except OSError:  # a file system that has no locks
        return
    if not ours:
        raise ConfigError(
            f"{folder}: another command writes this bundle; wait until it has ended, or name another folder"
        )


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to write a new bundle into, whose files then take their places in ``folder``, ``bundle.json`` last.

    Whatever ends the writing before, what was there is as it was. What that was trained on is then forgotten.

    Raises:
        StreamtagError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-", ignore_cleanup_errors=True) as name:
            yield (new := Path(name))
            with _uninterrupted():
                if not (new / SPLIT).exists():
                    forget_split(folder)
                for path in sorted(new.iterdir(), key=lambda path: path.name == _LAST):
                    path.replace(folder / path.name)
    except OSError as error:
        raise StreamtagError(f"{folder}: {error.strerror}; name another folder with --out") from None


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C comes after this. It would be sent to any thread, so that to block it in this one does not help."""
    late: list[int] = []

    def keep(number: int, _frame: Any) -> None:
        late.append(number)

    before = {number: signal.signal(number, keep) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    for came in late:
        signal.raise_signal(came)
