"""What a source string names, told from its text alone."""

from __future__ import annotations

import re
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from streamtag.errors import UnknownScheme

# Where a server listens whose address names no port.
DEFAULT_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}


class SourceKind(StrEnum):
    """What a source string names. Cameras and RTSP cannot be read again; the others can."""

    RTSP = "rtsp"
    HTTP = "http"
    CAMERA = "camera"
    VIDEO = "video"
    IMAGE = "image"
    IMAGES = "images"


IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm", ".avif", ".jp2", ".gif")
)


def source_kind(source: str) -> SourceKind:
    """Tell what a source is from its text alone: the file system is not asked.

    Raises:
        UnknownScheme: it is none that a job may have.
    """
    scheme, separator, _rest = source.partition("://")
    if separator:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,15}", scheme):
            # Not quoted: what stands before "://" may be a user and password, mistaken for a scheme.
            raise UnknownScheme("begins with no scheme; known: rtsp, rtsps, http, https, file, camera:N")
        known = {
            "rtsp": SourceKind.RTSP,
            "rtsps": SourceKind.RTSP,
            "http": SourceKind.HTTP,
            "https": SourceKind.HTTP,
            "file": SourceKind.VIDEO,
        }
        kind = known.get(scheme.lower())
        if kind is None:
            raise UnknownScheme(f"scheme {scheme!r} is not one of rtsp, rtsps, http, https, file, camera:N")
        if kind is not SourceKind.VIDEO:
            return kind
        source = urlsplit(source).path
    if re.fullmatch(r"camera:\d+", source) or re.fullmatch(r"/dev/video\d+", source):
        return SourceKind.CAMERA
    if source.endswith("/") or any(mark in source for mark in "*?["):
        return SourceKind.IMAGES
    suffix = re.search(r"\.[A-Za-z0-9]+$", source)
    return SourceKind.IMAGE if suffix and suffix.group().lower() in IMAGE_SUFFIXES else SourceKind.VIDEO


def path_of(source: str) -> str:
    """The path of a file, which may be written as ``file://``."""
    return unquote(urlsplit(source).path) if source.lower().startswith("file://") else source


def is_picture(source: str) -> bool:
    """Whether a source is one picture, here or on a web server, by its name."""
    kind = source_kind(source)
    return kind is SourceKind.IMAGE or (
        kind is SourceKind.HTTP and urlsplit(source).path.lower().endswith(tuple(IMAGE_SUFFIXES))
    )


def is_playlist(source: str) -> bool:
    """Whether a source is an HLS playlist, by its name."""
    return source_kind(source) is SourceKind.HTTP and urlsplit(source).path.lower().endswith(".m3u8")


def is_picture_of_folder(name: str) -> bool:
    """Whether a file of a folder is one of its pictures: hidden ones are what a program keeps for itself."""
    return not name.startswith(".") and name.lower().endswith(tuple(IMAGE_SUFFIXES))
