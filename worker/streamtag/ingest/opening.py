"""From the text of a source to what reads it. Runs in the decoder process only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from streamtag.core.source import IMAGE_SUFFIXES, SourceKind, is_picture
from streamtag.errors import RejectJob
from streamtag.ingest import formats
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.pictures import ImageReader, WebPictureReader, image_paths
from streamtag.ingest.readers import Reader
from streamtag.ingest.videos import VideoReader
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

# What the kernel says there about itself and other processes has the form of files.
_KERNEL_FOLDERS = ("/proc/", "/sys/")


def open_reader(source: str, kind: SourceKind, settings: SourceSettings, keyframes: bool, log: ErrorLog) -> Reader:
    """Open a source for reading.

    Args:
        source: a path, or a URL whose host has been checked.
        keyframes: decode key frames only.

    Raises:
        RejectJob: it is not there, or not what it should be.
        RetryJob: it may be there later.
    """
    if kind is SourceKind.HTTP and is_picture(source):
        return WebPictureReader(source, settings)
    if kind in (SourceKind.HTTP, SourceKind.RTSP, SourceKind.CAMERA):
        return VideoReader(source, kind, settings, keyframes, log)
    name = shown_source(source)
    path = Path(source).absolute()  # a relative name could read as one of FFmpeg's protocols
    if kind is SourceKind.IMAGES and path.is_file():
        # The signs of a pattern in the name of a file.
        kind = SourceKind.IMAGE if path.suffix.lower() in IMAGE_SUFFIXES else SourceKind.VIDEO
    if kind is SourceKind.IMAGES or path.is_dir():
        return ImageReader(image_paths(source), settings)
    first = _first_bytes(path, name)
    reference = formats.reference_format(first)
    if reference:
        raise RejectJob(f"{name}: refers to other files or addresses, which a file may not: {reference}")
    if kind is SourceKind.IMAGE or formats.is_picture_content(first):
        return ImageReader([path], settings)
    return VideoReader(str(path), kind, settings, keyframes, log)


def _first_bytes(path: Path, name: str) -> bytes:
    """
    Raises:
        RejectJob: it is no file that can be read, or an empty one.
    """
    if os.path.realpath(path).startswith(_KERNEL_FOLDERS):
        raise RejectJob(f"{name}: is not a file but what the kernel says of itself or of a process")
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise RejectJob(f"{name}: is no regular file")
        if status.st_size == 0:
            raise RejectJob(f"{name}: the file is empty")
        with path.open("rb") as file:
            return file.read(formats.FIRST_BYTES)
    except FileNotFoundError:
        raise RejectJob(f"{name}: no such file on this worker's machine") from None
    except PermissionError:
        raise RejectJob(f"{name}: this worker may not read it; check its owner and mode") from None
    except OSError as error:
        raise RejectJob(f"{name}: {error.strerror}") from None
