"""From the text of a source to what reads it. Runs in the decoder process only."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from streamtag.core.source import IMAGE_SUFFIXES, SourceKind, source_kind
from streamtag.errors import RejectJob
from streamtag.ingest import formats
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.films import open_film
from streamtag.ingest.gate import GateClient
from streamtag.ingest.interlaced import Capture
from streamtag.ingest.pictures import ImageReader, image_paths
from streamtag.ingest.policy import allowed
from streamtag.ingest.readers import Reader
from streamtag.ingest.remote import open_http, open_rtsp
from streamtag.ingest.videos import CameraReader, VideoReader, camera_device, explain, open_camera, open_ffmpeg
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

# What the kernel says there about itself and other processes has the form of files.
_KERNEL_FOLDERS = ("/proc/", "/sys/")


@dataclass(frozen=True, slots=True)
class Located:
    """Where a source lies: told from its name, the settings and the names in folders, before any of its bytes."""

    source: str
    kind: SourceKind
    path: Path = Path()  # of a file or a device
    pictures: tuple[Path, ...] | None = None  # of a folder or pattern
    files: tuple[Path, ...] = ()  # all that must be readable


def locate(source: str, settings: SourceSettings, pictures: Sequence[str] = ()) -> Located:
    """Find a source by its name, without touching what is in it.

    Args:
        pictures: files to read in this order, in place of the source.

    Raises:
        RejectJob: the settings do not allow it, or it is not there.
    """
    if pictures:
        return _located_pictures(source, [Path(picture) for picture in pictures])
    location, kind = allowed(source, settings), source_kind(source)
    if kind in (SourceKind.HTTP, SourceKind.RTSP):
        return Located(source, kind)
    if kind is SourceKind.CAMERA:
        return Located(source, kind, camera_device(source))
    path = Path(location).absolute()  # a relative name could read as one of FFmpeg's protocols
    if kind is SourceKind.IMAGES and path.is_file():
        # The signs of a pattern in the name of a file.
        kind = SourceKind.IMAGE if path.suffix.lower() in IMAGE_SUFFIXES else SourceKind.VIDEO
    if kind is SourceKind.IMAGES or path.is_dir():
        return _located_pictures(source, image_paths(location))
    return Located(source, kind, path, files=(path,))


def _located_pictures(source: str, paths: list[Path]) -> Located:
    return Located(source, SourceKind.IMAGES, pictures=tuple(paths), files=tuple(path.absolute() for path in paths))


def open_reader(
    located: Located,
    settings: SourceSettings,
    log: ErrorLog,
    gate: GateClient | None = None,
    keyframes: bool = False,
    live: bool | None = False,
    sparse: bool = False,
    again: bool = False,
) -> Reader:
    """Open a source that was located; its bytes are read from here on.

    Args:
        gate: of a source on the network.
        keyframes: decode key frames only.
        live: None where the source itself is to tell.
        sparse: decode no more than the samples need, of a film where that can be told beforehand.
        again: of a live stream, it was read before.

    Raises:
        RejectJob: it is not what it should be.
        RetryJob: it may be there later.
        TurnsOutLive: it does.
    """
    source, kind = located.source, located.kind
    if located.pictures is not None:
        return ImageReader(list(located.pictures), settings)
    if gate is not None and kind is SourceKind.RTSP:
        return open_rtsp(source, settings, sparse, log, gate)
    if gate is not None:
        return open_http(source, live, settings, keyframes, sparse, log, gate, again)
    if kind is SourceKind.CAMERA:
        camera = open_camera(located.path)
        _check(camera, located, log)
        return CameraReader(camera, source, settings)
    return _open_file(located, settings, keyframes, sparse and not live, log)


def _open_file(located: Located, settings: SourceSettings, keyframes: bool, by_packets: bool, log: ErrorLog) -> Reader:
    name = shown_source(located.source)
    first = _first_bytes(located)
    if reference := formats.reference_format(first):
        raise RejectJob(f"{name}: refers to other files or addresses, which a file may not: {reference}")
    if located.kind is SourceKind.IMAGE or formats.is_picture_content(first):
        return ImageReader([located.path], settings)
    if by_packets and formats.has_frames_in_packets(first, keyframes):
        log.forget()
        if (film := open_film(located.path, located.source, settings, keyframes)) is not None:
            return film
    log.forget()
    capture = open_ffmpeg(str(located.path), located.source, SourceKind.VIDEO, settings, log, keyframes)
    _check(capture, located, log)
    return VideoReader(capture, located.source, settings, first=first)


def _check(capture: cv2.VideoCapture | Capture, located: Located, log: ErrorLog) -> None:
    if not capture.isOpened():
        raise explain(located.source, located.kind, log)


def _first_bytes(located: Located) -> bytes:
    """
    Raises:
        RejectJob: it is no file that can be read, or an empty one.
    """
    path, name = located.path, shown_source(located.source)
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
