"""Single pictures: of a file, a folder, a web server. Runs in the decoder process only: these bytes are a stranger's.

Pillow reads the header, and OpenCV the pixels only where the header's size is within ``source.max_pixels``: a PNG of
one megabyte unpacked to 2.3 GB before its pixels were counted.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import IO, NamedTuple

import cv2
import numpy as np

# Named one by one: Pillow would look for its formats when it needs them, which the cage does not allow any more.
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,  # noqa: F401 - what the reader of JPEG looks for in pictures of several views
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from streamtag.core.source import IMAGE_SUFFIXES, is_picture, is_picture_of_folder, path_of
from streamtag.errors import RejectJob
from streamtag.ingest.policy import check_path
from streamtag.ingest.readers import CorruptFrame, OneByOne, Opened
from streamtag.redaction import printable, shown_source
from streamtag.settings import SourceSettings

Image.MAX_IMAGE_PIXELS = None  # its limit is fixed and its message names no size; ours, the setting, comes right after
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
MAX_IMAGE_BYTES = 256 * 1024**2
_FORMATS = [
    plugin.format
    for plugin in (
        AvifImagePlugin.AvifImageFile,
        BmpImagePlugin.BmpImageFile,
        GifImagePlugin.GifImageFile,
        Jpeg2KImagePlugin.Jpeg2KImageFile,
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        PpmImagePlugin.PpmImageFile,
        TiffImagePlugin.TiffImageFile,
        WebPImagePlugin.WebPImageFile,
    )
]


class ImageReader(OneByOne):
    """Images one after another, one second apart."""

    still = True

    def __init__(self, paths: list[Path], settings: SourceSettings) -> None:
        self._settings = settings
        self._paths = paths
        self._at = -1
        self._animated = 0
        self.opened = Opened(0, 0, 1.0, len(paths))

    def grab(self) -> bool:
        self._at += 1
        if self._at >= len(self._paths):
            return False
        self.path = str(self._paths[self._at])
        return True

    def pts_s(self) -> float | None:
        return float(self._at)

    @property
    def note(self) -> str:
        return _told_of_animated(self._animated)

    def retrieve(self) -> np.ndarray:
        path = self._paths[self._at]
        try:
            check_path(path, self._settings)
            still = _read(path, self._settings.max_pixels)
        except (CorruptFrame, RejectJob) as error:
            raise CorruptFrame(f"{printable(path.name, 200)}: {error}") from None
        self._animated += still.animated
        return still.picture


class ContentReader(OneByOne):
    """One picture whose content is here already. FFmpeg would not turn it upright as pictures of files are."""

    still = True

    def __init__(self, content: bytes, max_pixels: int) -> None:
        self._content = content
        self._max_pixels = max_pixels
        self._grabbed = self._animated = False
        self.opened = Opened(0, 0, 1.0, 1)

    def grab(self) -> bool:
        first = not self._grabbed
        self._grabbed = True
        return first

    def pts_s(self) -> float | None:
        return 0.0

    @property
    def note(self) -> str:
        return _told_of_animated(int(self._animated))

    def retrieve(self) -> np.ndarray:
        if not self._content:
            raise CorruptFrame("the file is empty")
        header = _check_size(io.BytesIO(self._content), self._max_pixels)
        self._animated = header.animated
        return _decode(self._content, self._max_pixels, header.turn)


class _Header(NamedTuple):
    """What is known of a picture before it is decoded."""

    turn: int  # its EXIF orientation where OpenCV does not heed it, otherwise 1, which is upright
    animated: bool  # there are more pictures in it than the first, which alone is looked at


class _Still(NamedTuple):
    """The picture of a file."""

    picture: np.ndarray  # (h, w, 3) uint8 BGR, upright by its EXIF orientation
    animated: bool  # see ``_Header``


def _read(path: Path, max_pixels: int) -> _Still:
    """
    Raises:
        CorruptFrame: it cannot be read or decoded, or is too large.
    """
    try:
        # Opening a pipe would wait for its writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise CorruptFrame("is no regular file")
            if status.st_size > MAX_IMAGE_BYTES:
                raise CorruptFrame(f"larger than {MAX_IMAGE_BYTES} bytes")
            if status.st_size == 0:
                raise CorruptFrame("the file is empty")
            header = _check_size(file, max_pixels)
            file.seek(0)
            content = file.read(MAX_IMAGE_BYTES)
    except OSError as error:
        raise CorruptFrame(error.strerror or str(error)) from None
    return _Still(_decode(content, max_pixels, header.turn), header.animated)


def _check_size(file: IO[bytes], max_pixels: int) -> _Header:
    """Refuse a picture with more pixels than are allowed, before it is decoded.

    Raises:
        CorruptFrame: the header names more pixels, or is none of a picture.
    """
    try:
        with Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            header = _Header(_orientation(image) if image.format == "AVIF" else 1, _is_animated(image))
    except Exception as error:
        # Pillow's readers of headers raise whatever the damage makes of them.
        raise CorruptFrame(f"not an image, or its header is damaged ({type(error).__name__})") from None
    if width * height > max_pixels:
        raise CorruptFrame(f"{width} x {height} pixels is more than source.max_pixels ({max_pixels})")
    return header


def _is_animated(image: Image.Image) -> bool:
    try:
        return image.format in _ANIMATED and bool(getattr(image, "is_animated", False))
    except Exception:  # whatever the damage makes of it: the first picture may be whole
        return False


def _told_of_animated(count: int) -> str:
    return f"animated pictures, of which only the first frame was looked at: {count}" if count else ""


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever the damage makes of it: the picture may be whole
        return 1


def _decode(content: bytes, max_pixels: int, turn: int) -> np.ndarray:
    how = cv2.IMREAD_COLOR if turn == 1 else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), how)
    except (cv2.error, MemoryError) as error:
        raise CorruptFrame(f"cannot be decoded: {str(error).strip().splitlines()[-1]}") from None
    if picture is None:
        raise CorruptFrame("not an image that OpenCV can decode, or damaged")
    if picture.shape[0] * picture.shape[1] > max_pixels:
        raise CorruptFrame(f"more pixels than source.max_pixels ({max_pixels})")
    return _turned(np.asarray(picture), turn)


def _turned(picture: np.ndarray, orientation: int) -> np.ndarray:
    """A picture upright, by EXIF: from 5 on rows are columns, and then either may be the other way round."""
    if orientation in (5, 6, 7, 8):
        picture = picture.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)


def is_one_picture(source: str) -> bool:
    """Whether a source is one picture by its name, also where a file has the signs of a pattern in that."""
    path = Path(source)
    return is_picture(source) or ("://" not in source and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())


def is_absent(source: str) -> bool:
    """Whether a source is a file of this machine that is not there, which no network is needed to tell."""
    path = path_of(source)
    if "://" in path or path.startswith("camera:"):
        return False
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        pass  # whoever reads it tells what is the matter
    return False


def image_paths(source: str) -> list[Path]:
    """The images of a folder or glob in order of their names; any other path alone.

    Raises:
        RejectJob: the folder holds no image, or no file matches.
    """
    try:
        return _image_paths(source, Path(source))
    except OSError as error:
        raise RejectJob(f"{shown_source(source)}: cannot be listed: {error.strerror}") from None


def _image_paths(source: str, path: Path) -> list[Path]:
    if path.is_dir():
        found = [child for child in path.iterdir() if is_picture_of_folder(child.name)]
        missing = f"{shown_source(source)}: the folder holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})"
    elif any(char in source for char in "*?[") and not path.exists():
        anchor = path.anchor or "."
        pattern = str(path.relative_to(anchor)) if path.anchor else source
        hidden = Path(pattern).name.startswith(".")  # as a shell has it: only who asks for hidden files gets them
        matching = (child for child in Path(anchor).glob(pattern) if hidden or not child.name.startswith("."))
        found = [child for child in matching if child.is_file()]
        missing = f"{shown_source(source)}: no file matches"
    else:
        return [path]
    if not found:
        raise RejectJob(missing)
    return sorted(found)
