"""Opening a source and reading it frame by frame. Runs in the decoder process only: these bytes are a stranger's."""

from __future__ import annotations

import ctypes
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from streamtag.core.source import IMAGE_SUFFIXES, SourceKind, is_picture
from streamtag.errors import RejectJob, RetryJob
from streamtag.ingest.policy import AuthFailed, check_path, download
from streamtag.redaction import redact
from streamtag.settings import SourceSettings

# Damage inside a file costs single frames (at most one in a row in a file with 400 flipped bits); only a long row
# of failures is the end. At a true end each failing call returns at once.
MAX_FAILURES_IN_A_ROW = 50
MAX_IMAGE_BYTES = 256 * 1024**2


class CorruptFrame(Exception):
    """One frame cannot be decoded; the next may."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of a source once it is open. Zero where it does not say."""

    width: int
    height: int
    fps: float
    frames: int


class Reader(Protocol):
    """A source that is open. ``grab`` moves on by one frame, ``retrieve`` decodes the frame last grabbed."""

    opened: Opened
    bad_packets: int

    def grab(self) -> bool: ...
    def pts_s(self) -> float | None: ...
    def retrieve(self) -> np.ndarray: ...
    def close(self) -> None: ...


def open_reader(source: str, kind: SourceKind, settings: SourceSettings, keyframes: bool, log: ErrorLog) -> Reader:
    """
    Args:
        source: a path, or a URL whose host has been checked.
        keyframes: decode key frames only.

    Raises:
        RejectJob: it is not there, or not what it should be.
        RetryJob: it may be there later.
    """
    path = Path(source)
    if kind is SourceKind.IMAGES and path.is_file():
        # The signs of a pattern in the name of a file.
        kind = SourceKind.IMAGE if path.suffix.lower() in IMAGE_SUFFIXES else SourceKind.VIDEO
    if kind in (SourceKind.IMAGE, SourceKind.IMAGES) or (kind is SourceKind.VIDEO and path.is_dir()):
        paths = image_paths(source)
        if paths == [Path(source)]:
            _check_file(paths[0])
        return ImageReader(paths, settings)
    if kind is SourceKind.HTTP and is_picture(source):
        return WebPictureReader(source, settings)
    return VideoReader(source, kind, settings, keyframes, log)


class ErrorLog:
    """FFmpeg's and OpenCV's own words, kept to explain a failure.

    They print them to standard error and to standard output alike, where the results of ``--json`` belong.
    """

    KEEP_BYTES = 65_536

    def __init__(self) -> None:
        self._file = os.memfd_create("decoder-errors")
        self._libc = ctypes.CDLL(None)
        os.dup2(self._file, 1)
        os.dup2(self._file, 2)

    def tail(self) -> str:
        """What was said last, without passwords, and forget it."""
        self._libc.fflush(None)
        size = os.lseek(self._file, 0, os.SEEK_END)
        os.lseek(self._file, max(0, size - 4000), os.SEEK_SET)
        content = os.read(self._file, 4000).decode("utf-8", "replace")
        self.forget()
        return redact(content)

    def trim(self) -> None:
        """Forget a long log: a damaged stream says something about each frame, for ever."""
        if os.fstat(self._file).st_size > self.KEEP_BYTES:
            self.forget()

    def forget(self) -> None:
        self._libc.fflush(None)
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)


class VideoReader:
    """A video file, an HTTP or RTSP stream, or a local camera, through OpenCV."""

    def __init__(self, source: str, kind: SourceKind, settings: SourceSettings, keyframes: bool, log: ErrorLog) -> None:
        self._source = source
        self._live = kind in (SourceKind.RTSP, SourceKind.CAMERA)
        if kind is SourceKind.VIDEO:
            _check_file(Path(source))
        log.forget()
        self._capture = _camera(source) if kind is SourceKind.CAMERA else _ffmpeg(source, kind, settings, keyframes)
        self.bad_packets = 0
        if not self._capture.isOpened():
            raise explain(source, kind, log.tail())
        width, height, fps, frames = (
            self._capture.get(name)
            for name in (
                cv2.CAP_PROP_FRAME_WIDTH,
                cv2.CAP_PROP_FRAME_HEIGHT,
                cv2.CAP_PROP_FPS,
                cv2.CAP_PROP_FRAME_COUNT,
            )
        )
        if width * height > settings.max_pixels:
            raise RejectJob(
                f"{redact(source)}: {width:.0f} x {height:.0f} pixels is more than source.max_pixels "
                f"({settings.max_pixels})"
            )
        sane = 0 < fps < 1000
        self.opened = Opened(int(width), int(height), fps if sane else 0.0, int(frames) if 0 < frames < 1e9 else 0)

    def grab(self) -> bool:
        for failures in range(1 if self._live else MAX_FAILURES_IN_A_ROW):
            if self._capture.grab():
                self.bad_packets += failures
                return True
        return False

    def pts_s(self) -> float | None:
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0

    def retrieve(self) -> np.ndarray:
        ok, picture = self._capture.retrieve()
        if not ok or picture is None or picture.size == 0:
            raise CorruptFrame("the codec could not decode it")
        return np.asarray(picture)

    def close(self) -> None:
        self._capture.release()


class ImageReader:
    """Images one after another, one second apart."""

    def __init__(self, paths: list[Path], settings: SourceSettings) -> None:
        self._settings = settings
        self._paths = paths
        self._at = -1
        self.bad_packets = 0
        self.opened = Opened(0, 0, 1.0, len(paths))

    def grab(self) -> bool:
        self._at += 1
        return self._at < len(self._paths)

    def pts_s(self) -> float | None:
        return float(self._at)

    def retrieve(self) -> np.ndarray:
        path = self._paths[self._at]
        try:
            check_path(path, self._settings)
            return read_image(path, self._settings.max_pixels)
        except (CorruptFrame, RejectJob) as error:
            raise CorruptFrame(f"{path.name}: {error}") from None

    def close(self) -> None:
        pass


class WebPictureReader:
    """One picture of a web server. FFmpeg would read it too, but not turn it upright as pictures of files are."""

    def __init__(self, url: str, settings: SourceSettings) -> None:
        self._content = np.frombuffer(download(url, MAX_IMAGE_BYTES, settings.read_timeout_s), np.uint8)
        self._max_pixels = settings.max_pixels
        self._grabbed = False
        self.bad_packets = 0
        self.opened = Opened(0, 0, 1.0, 1)

    def grab(self) -> bool:
        first = not self._grabbed
        self._grabbed = True
        return first

    def pts_s(self) -> float | None:
        return 0.0

    def retrieve(self) -> np.ndarray:
        return decode_image(self._content, self._max_pixels)

    def close(self) -> None:
        pass


def read_image(path: Path, max_pixels: int) -> np.ndarray:
    """(h, w, 3) uint8 BGR, upright by its EXIF orientation.

    Raises:
        CorruptFrame: it cannot be read or decoded, or is too large.
    """
    try:
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise CorruptFrame(f"larger than {MAX_IMAGE_BYTES} bytes")
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise CorruptFrame(error.strerror or str(error)) from None
    return decode_image(content, max_pixels)


def decode_image(content: np.ndarray, max_pixels: int) -> np.ndarray:
    """As ``read_image``, from the (n,) uint8 content of a file."""
    if content.size == 0:
        raise CorruptFrame("the file is empty")
    try:
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError) as error:
        raise CorruptFrame(f"cannot be decoded: {str(error).strip().splitlines()[-1]}") from None
    if picture is None:
        raise CorruptFrame("not an image that OpenCV can decode, or damaged")
    if picture.shape[0] * picture.shape[1] > max_pixels:
        raise CorruptFrame(f"more pixels than source.max_pixels ({max_pixels})")
    return np.asarray(picture)


def image_paths(source: str) -> list[Path]:
    """The images of a folder or glob in order of their names; any other path alone.

    Raises:
        RejectJob: the folder holds no image, or no file matches.
    """
    path = Path(source)
    if path.is_dir():
        found = [child for child in path.iterdir() if child.suffix.lower() in IMAGE_SUFFIXES]
        missing = f"{source}: the folder holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})"
    elif any(sign in source for sign in "*?[") and not path.exists():
        anchor = path.anchor or "."
        pattern = str(path.relative_to(anchor)) if path.anchor else source
        found = [child for child in Path(anchor).glob(pattern) if child.is_file()]
        missing = f"{source}: no file matches"
    else:
        return [path]
    if not found:
        raise RejectJob(missing)
    return sorted(found)


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise RejectJob(f"{path}: is a folder")
        if not path.is_file() and path.exists():
            raise RejectJob(f"{path}: is no regular file")
        if path.stat().st_size == 0:
            raise RejectJob(f"{path}: the file is empty")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise RejectJob(f"{path}: no such file on this worker's machine") from None
    except PermissionError:
        raise RejectJob(f"{path}: this worker may not read it; check its owner and mode") from None
    except OSError as error:
        raise RejectJob(f"{path}: {error.strerror}") from None


def _ffmpeg(source: str, kind: SourceKind, settings: SourceSettings, keyframes: bool) -> cv2.VideoCapture:
    protocols = {
        SourceKind.VIDEO: "file,crypto,data",
        SourceKind.HTTP: "http,https,tcp,tls,crypto",
        SourceKind.RTSP: "rtsp,rtsps,rtp,srtp,udp,tcp,tls,crypto",
    }[kind]
    options = {"protocol_whitelist": protocols}
    if kind is SourceKind.RTSP:
        # Setting any option drops OpenCV's own preference for TCP, without which lost packets smear the picture.
        options["rtsp_transport"] = "tcp"
    if kind is SourceKind.HTTP:
        options["max_redirects"] = "0"  # they have been followed, and checked, already
    if keyframes:
        options["avdiscard"] = "nonkey"
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "|".join(f"{name};{value}" for name, value in options.items())
    return cv2.VideoCapture(
        source,
        cv2.CAP_FFMPEG,
        [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(settings.open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(settings.read_timeout_s * 1000)),
            *(cv2.CAP_PROP_N_THREADS, settings.threads),
        ],
    )


def _camera(source: str) -> cv2.VideoCapture:
    number = int(re.sub(r"\D", "", source))
    device = Path(f"/dev/video{number}")
    if not device.exists():
        raise RetryJob(f"{device}: no such camera on this worker's machine; `ls /dev/video*` lists those there")
    return cv2.VideoCapture(number, cv2.CAP_V4L2)


def explain(source: str, kind: SourceKind, said: str) -> RejectJob | RetryJob:
    """Why a source did not open, from what FFmpeg said: as a rejection, or as something that may pass."""
    name = redact(source)
    lowered = said.lower()
    detail = _last_words(said)
    if "401" in lowered or "unauthorized" in lowered or "403 forbidden" in lowered:
        return AuthFailed(f"{name}: the server refuses the user or password in the URL ({detail})")
    if kind in (SourceKind.RTSP, SourceKind.HTTP, SourceKind.CAMERA):
        if kind is SourceKind.HTTP and any(
            sign in lowered for sign in ("invalid data", "no video stream", "moov atom")
        ):
            return RejectJob(f"{name}: not a video that FFmpeg can read ({detail})")
        return RetryJob(f"{name}: cannot be opened ({detail})")
    if "not on whitelist" in lowered:
        return RejectJob(f"{name}: refers to another address, which a file may not ({detail})")
    return RejectJob(f"{name}: not a video that FFmpeg can read: no video stream, damaged or incomplete ({detail})")


def _last_words(said: str) -> str:
    """The most telling line of FFmpeg's: the last that is not OpenCV's remark on it."""
    lines = [re.sub(r"^(\[[^]]*\]\s*)+|@ 0x[0-9a-f]+", "", line).strip() for line in said.splitlines()]
    remarks = ("cap_ffmpeg", "cap.cpp", "VIDEOIO")
    telling = [line for line in lines if re.search(r"[A-Za-z]{3}", line) and not any(word in line for word in remarks)]
    return telling[-1][:200] if telling else "FFmpeg gives no further reason"
