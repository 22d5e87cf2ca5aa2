"""A bundle's folder while a command writes it: no other command may, and what was there stays whole until the end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from streamtag.errors import ConfigError, StreamtagError
from streamtag.networks.bundle_file import BundleFile, read_bundle_file, write_bundle_file
from streamtag.networks.bundles import files_of, sha256
from streamtag.networks.file_lock import lock_within
from streamtag.tools.split_record import NAME as SPLIT

HISTORY = "history.png"  # drawn of a training
BESIDE = (SPLIT, HISTORY)  # what training writes beside a bundle
_LAST = "bundle.json"
_STAGE = ".new-"
# Names that nobody but these commands gives. Where one ended in the middle, some may lie there that no bundle has.
_OURS = re.compile(
    r"(network-[0-9a-f]{12}\.(weights\.h5|keras)|network\.int8-[0-9a-f]{12}\.(xml|bin)|unknown-[0-9a-f]{12}\.npy)"
)
_OUR_STAGE = re.compile(re.escape(_STAGE) + r"[a-z0-9_]{8}")


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
        alone = _lock(number, folder)
        if (folder / _LAST).exists() and not force:
            raise ConfigError(f"{folder}: holds a bundle; name another --out, or give --force to replace it")
        if alone:
            _sweep(folder)
        yield
    finally:
        if new:
            with suppress(OSError):  # there is something in it
                folder.rmdir()
        os.close(number)


def _lock(number: int, folder: Path) -> bool:
    """Whether nobody else writes there, which a file system without locks does not tell."""
    try:
        ours = lock_within(number, 0.0)
    except OSError:
        return False
    if not ours:
        raise ConfigError(
            f"{folder}: another command writes this bundle; wait until it has ended, or name another folder"
        )
    return True


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A folder to write a new bundle into, whose files then take their places in ``folder``.

    At any moment the one or the other is there, whole: no file has the name of another one of the bundle before, and
    ``bundle.json`` is replaced in one step. What only the bundle before had goes after that, but for what it was
    trained on: a table of another training would be believed, and none is told of.

    Raises:
        StreamtagError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with stage(folder) as new:
            yield new
            content = _with_free_names(new, folder)
            with _uninterrupted():
                for name in files_of(content):
                    (new / name).replace(folder / name)
                before = _files_before(folder)
                if (folder / _LAST).exists() and (folder / SPLIT).exists():
                    (folder / HISTORY).unlink(missing_ok=True)
                    (folder / SPLIT).unlink()
                (new / _LAST).replace(folder / _LAST)
                for path in new.iterdir():
                    path.replace(folder / path.name)
                _clear(folder, before, content)
    except OSError as error:
        raise StreamtagError(f"{folder}: {error.strerror}; name another folder with --out") from None


@contextmanager
def stage(folder: Path) -> Iterator[Path]:
    """A folder in a bundle's, for files that take their places by being moved."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=_STAGE, ignore_cleanup_errors=True) as name:
        yield Path(name)


def put(folder: Path, content: BundleFile) -> None:
    """Replace ``bundle.json``, whose files lie in the folder by now; those that only the one before had go then.

    Raises:
        StreamtagError: it cannot be written.
    """
    before = _files_before(folder)
    write_bundle_file(folder, content)
    _clear(folder, before, content)


def _clear(folder: Path, before: set[str], content: BundleFile) -> None:
    """Remove what the bundle before had and this one has not."""
    known = files_of(content)
    for path in folder.iterdir():
        if path.name not in known and (path.name in before or _OURS.fullmatch(path.name)):
            with suppress(OSError):  # it is in nobody's way
                path.unlink()


def _files_before(folder: Path) -> set[str]:
    try:
        return files_of(read_bundle_file(folder))
    except ConfigError:  # none is there, or one that nobody can read
        return set()


def _with_free_names(new: Path, folder: Path) -> BundleFile:
    """The new bundle, whose weights have a name that is free in the folder; read again, since that checks it."""
    content = read_bundle_file(new)
    there = folder / content.weights
    same = there.is_file() and sha256(there) == content.sha256
    # Where a bundle is, the new one's name is ours alone, also if nobody is left to remove it.
    if not same and (there.exists() or (folder / _LAST).exists()):
        name = f"network-{content.sha256[:12]}{'.keras' if there.suffix == '.keras' else '.weights.h5'}"
        (new / content.weights).replace(new / name)
        content = content.model_copy(update={"weights": name})
        write_bundle_file(new, content)
    return content


def _sweep(folder: Path) -> None:
    """Remove what a command that was killed had not moved yet."""
    for path in folder.glob(f"{_STAGE}*"):
        if _OUR_STAGE.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


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
