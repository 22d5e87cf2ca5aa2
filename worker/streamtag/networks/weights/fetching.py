"""Weights files: where they are kept, and how they get there. A file under its own name is whole and checked."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import platformdirs
import requests

from streamtag.errors import ConfigError, StreamtagError, in_words
from streamtag.logs import log
from streamtag.networks.file_lock import lock_within
from streamtag.redaction import redact
from streamtag.settings import ModelSettings

Progress = Callable[[int, int], None]  # bytes there, bytes in all (0: not known)

CHUNK_BYTES = 1 << 20
ATTEMPTS = 4
TIMEOUT_S = 30.0
LOCK_LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Download:
    """A published file."""

    url: str
    digest: str  # md5:… or sha256:…, the whole of it or its beginning
    megabytes: int  # about, as published

    @property
    def file_name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


class FetchFailed(StreamtagError):
    """A download that did not come about; the text names the file and the remedy."""


def cache_folder(settings: ModelSettings) -> Path:
    """Where weights are kept: the setting, or the user's own cache folder.

    Raises:
        ConfigError: that is in a home, and there is none.
    """
    try:
        return settings.cache.expanduser() if settings.cache else platformdirs.user_cache_path("streamtag") / "models"
    except RuntimeError:
        where = settings.cache or "it to be in"
        raise ConfigError(f"model.cache: there is no home for {where}; set it to a folder for weights") from None


def keras_folder() -> Path:
    """Where Keras keeps what it downloads. What is there already need not be downloaded again."""
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")) / "models"
    try:
        return folder.expanduser()
    except RuntimeError:
        return folder  # without a home there is nothing


def find_download(download: Download, settings: ModelSettings) -> Path | None:
    """The file, if it is on this machine."""
    for folder in (cache_folder(settings), keras_folder()):
        if (folder / download.file_name).is_file():
            return folder / download.file_name
    return None


def download_if_missing(
    download: Download, settings: ModelSettings, progress: Progress = lambda done, total: None
) -> Path:
    """The file, downloaded if it is not there yet.

    Raises:
        FetchFailed: it cannot be downloaded, stored, or is not what was published.
    """
    here = find_download(download, settings)
    if here is not None:
        return here
    if settings.mirror:
        download = replace(download, url=settings.mirror.rstrip("/") + "/" + download.file_name)
    return fetch(download, cache_folder(settings), progress)


def fetch(download: Download, folder: Path, progress: Progress = lambda done, total: None) -> Path:
    """Download a file into a folder, going on where an earlier try ended.

    What was received stays in ``<name>.part`` for the next try, unless it is wrong or the disk is full.

    Raises:
        FetchFailed: as ``download_if_missing``.
    """
    target = folder / download.file_name
    part = folder / f"{download.file_name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(part) as file:
            if target.is_file():  # another process was faster
                part.unlink(missing_ok=True)
                return target
            _receive(download, file, folder, progress)
            os.fsync(file.fileno())
            part.replace(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            part.unlink(missing_ok=True)
        raise FetchFailed(_disk_trouble(download, folder, error)) from None
    return target


def matches(path: Path, digest: str) -> bool:
    """Whether a file has the digest, or the beginning of one."""
    kind, _, expected = digest.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest().startswith(expected)


def _receive(download: Download, file: BinaryIO, folder: Path, progress: Progress) -> None:
    """Fill the file, with a new connection where one breaks, and check it."""
    began = file.seek(0, os.SEEK_END)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _stream(download, file, folder, progress)
            break
        except requests.RequestException as error:
            status = error.response.status_code if error.response is not None else 0
            gained = file.tell() - began
            if attempt == ATTEMPTS or 400 <= status < 500 or not (gained or status):
                raise FetchFailed(_no_download(download, folder, error, file.tell())) from None
            log.warning("download broke", file=download.file_name, bytes=file.tell(), attempt=attempt)
            time.sleep(min(2.0**attempt / 4, 5.0))
    file.flush()
    part = folder / f"{download.file_name}.part"
    if not matches(part, download.digest):
        part.unlink(missing_ok=True)
        raise FetchFailed(
            f"{redact(download.url)}: what arrived is not what was published ({download.digest}); "
            "it was deleted. Try again, or look who answers in the server's place"
        )


def _stream(download: Download, file: BinaryIO, folder: Path, progress: Progress) -> None:
    have = file.seek(0, os.SEEK_END)
    headers = {"Range": f"bytes={have}-"} if have else {}
    # Without compression: the bytes counted are the bytes stored.
    headers["Accept-Encoding"] = "identity"
    with requests.get(download.url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if answer.status_code == 416:  # nothing is left to send
            return
        answer.raise_for_status()
        if have and answer.status_code != 206:  # a server that cannot go on starts anew
            have = 0
            file.seek(0)
            file.truncate()
        rest = int(answer.headers.get("Content-Length", 0))
        free = shutil.disk_usage(folder).free
        if rest > free:
            raise OSError(errno.ENOSPC, f"{rest / 1e6:.0f} MB are to come and {free / 1e6:.0f} MB are free")
        total = have + rest if rest else 0
        for chunk in answer.iter_content(CHUNK_BYTES):
            file.write(chunk)
            have += len(chunk)
            progress(have, total)
        if total and have < total:
            raise requests.ConnectionError(f"ended after {have} of {total} bytes")


@contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """The unfinished file, ours alone: two workers that start together download once."""
    with part.open("ab") as file:
        if not lock_within(file, LOCK_LIMIT_S):
            raise FetchFailed(f"{part}: another process has been downloading it for an hour")
        # A process that was faster has renamed the file that we opened: what follows sees the finished one.
        try:
            yield file
        finally:
            if part.is_file() and part.stat().st_size == 0:
                part.unlink(missing_ok=True)


def _no_download(download: Download, folder: Path, error: Exception, have: int) -> str:
    kept = f"{have / 1e6:.1f} MB are kept, the same command goes on from there. " if have else ""
    return (
        f"{redact(download.url)}: cannot be downloaded ({redact(_cause(error))[:200]}). {kept}"
        f"On a machine without a network, fetch it elsewhere and put it at {folder / download.file_name}, name a copy "
        "with model.mirror, or give a file with --weights"
    )


def _cause(error: Exception) -> str:
    """The innermost words of a failed request: the outer ones repeat the address three times over."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return in_words(reason.__cause__ or reason).split(": ", 1)[-1] if reason else in_words(error)


def _disk_trouble(download: Download, folder: Path, error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    remedy = "make room" if full else "raise ulimit -f" if error.errno == errno.EFBIG else "make it writable"
    return (
        f"{folder}: {download.file_name} (about {download.megabytes} MB) cannot be stored: {error.strerror}; "
        f"{remedy}, or name another folder with --set model.cache=FOLDER"
    )
