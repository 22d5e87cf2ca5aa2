"""Films and streams through OpenCV and FFmpeg. Runs in the decoder process only: these bytes are a stranger's."""

from __future__ import annotations

import os
import re
from pathlib import Path

import av
import cv2
import numpy as np

from streamtag.core.source import SourceKind
from streamtag.errors import RejectJob, RetryJob
from streamtag.ingest import formats
from streamtag.ingest.containers import open_container
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.interlaced import Capture, Decoded
from streamtag.ingest.policy import AuthFailed, NoAnswer, Unreachable
from streamtag.ingest.readers import CorruptFrame, OneByOne, Opened, check_size
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

# Damage inside a file costs single frames (at most one in a row in a file with 400 flipped bits); only a long row
# of failures is the end. At a true end each failing call returns at once.
MAX_FAILURES_IN_A_ROW = 50
SILENT = re.compile(r"Stream timeout triggered after (\d+)")  # OpenCV's words, also for one while it was opened

_PROTOCOLS = {
    SourceKind.VIDEO: "file",
    SourceKind.HTTP: "http,https,tcp,tls,crypto,httpproxy",
    SourceKind.RTSP: "rtsp,rtp,srtp,tcp",
}
_FORMATS = {
    SourceKind.VIDEO: formats.FILE_FORMATS,
    SourceKind.HTTP: formats.HTTP_FORMATS,
    SourceKind.RTSP: formats.RTSP_FORMATS,
}


class VideoReader(OneByOne):
    """A video file or a local camera.

    Args:
        tries: at the next frame before it is the end.
        first: bytes of it, where it is a film.
    """

    bad_packets = 0

    def __init__(
        self,
        capture: cv2.VideoCapture | Capture,
        source: str,
        settings: SourceSettings,
        tries: int = MAX_FAILURES_IN_A_ROW,
        first: bytes = b"",
    ) -> None:
        self._counted = formats.has_no_times(first)
        self._first_s: float | None = None
        self.name = shown_source(source)
        self._capture = capture
        # Written again for each sample: new memory made one of 1080p 0.2 ms dearer (of 1.8 for this step).
        self._picture: np.ndarray | None = None
        self._tries = tries
        self._max_pixels = settings.max_pixels
        width, height, fps, frames = (
            capture.get(name)
            for name in (
                cv2.CAP_PROP_FRAME_WIDTH,
                cv2.CAP_PROP_FRAME_HEIGHT,
                cv2.CAP_PROP_FPS,
                cv2.CAP_PROP_FRAME_COUNT,
            )
        )
        check_size(self.name, width, height, self._max_pixels)
        self.opened = Opened.told(width, height, fps, frames, guessed=not formats.counts_frames(first))

    def grab(self) -> bool:
        for failures in range(self._tries):
            if self._capture.grab():
                self.bad_packets += failures
                return True
        return False

    def pts_s(self) -> float | None:
        pts_s = float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0
        if self._first_s is None:
            self._first_s = pts_s
        elif pts_s == 0.0:
            return None  # that is what OpenCV says of frames without a time
        return pts_s - self._first_s if self._counted else pts_s

    def retrieve(self) -> np.ndarray:
        ok, picture = self._capture.retrieve(self._picture)  # another array where the size has changed
        if not ok or picture is None or picture.size == 0:
            raise CorruptFrame("the codec could not decode it")
        height, width = picture.shape[:2]
        check_size(self.name, width, height, self._max_pixels)  # a stream may change its size at any time
        self._picture = picture = np.asarray(picture)
        return picture

    def close(self) -> None:
        self._capture.release()


class CameraReader(VideoReader):
    """A local camera: the first frame that does not come is the end of this connection."""

    def __init__(self, capture: cv2.VideoCapture, source: str, settings: SourceSettings) -> None:
        super().__init__(capture, source, settings, tries=1)


def whitelists(kind: SourceKind) -> dict[str, str]:
    """FFmpeg's options that say what a source of this kind may be and may refer to."""
    return {"protocol_whitelist": _PROTOCOLS[kind], "format_whitelist": _FORMATS[kind]}


def pyav_options(kind: SourceKind, settings: SourceSettings) -> dict[str, str]:
    """FFmpeg's options for PyAV, which has no clock of its own for the silence of a web server as OpenCV has."""
    silence = {"rw_timeout": str(round(settings.read_timeout_s * 1e6))} if kind is SourceKind.HTTP else {}
    return whitelists(kind) | silence


def open_ffmpeg(
    location: str, source: str, kind: SourceKind, settings: SourceSettings, log: ErrorLog, keyframes: bool
) -> Capture:
    """FFmpeg on a source, whether or not it could open it.

    Args:
        location: a path, or a URL whose requests go through the gate.

    Raises:
        RetryJob: it could at first, and then not any more.
    """
    remote = kind is SourceKind.HTTP

    def open_again() -> Decoded:
        container = open_container(location, pyav_options(kind, settings), settings, warned=remote)
        return Decoded(container, shown_source(source), settings, keyframes, remote)

    options = whitelists(kind) | ({"avdiscard": "nonkey"} if keyframes else {})
    # AV_LOG_ERROR: the reason of a failure, no chatter. A part of an HLS source that fails is a mere warning to FFmpeg.
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "24" if remote else "16"
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "|".join(f"{name};{value}" for name, value in options.items())
    parameters = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(settings.open_timeout_s * 1000)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(settings.read_timeout_s * 1000)),
        *(cv2.CAP_PROP_N_THREADS, settings.threads),
    ]
    try:
        return Capture(location, parameters, log, open_again)
    except av.FFmpegError as error:
        raise RetryJob(f"{shown_source(source)}: cannot be opened ({error.strerror})") from None


def camera_device(source: str) -> Path:
    """The device file of ``camera:N``.

    Raises:
        RetryJob: it is not plugged in.
    """
    device = Path(f"/dev/video{int(re.sub(r'[^0-9]', '', source))}")
    if not device.exists():
        raise Unreachable(f"{device}: no such camera on this worker's machine; `ls /dev/video*` lists those there")
    return device


def open_camera(device: Path) -> cv2.VideoCapture:
    """OpenCV on a local camera, whether or not it could open it."""
    return cv2.VideoCapture(int(device.name.removeprefix("video")), cv2.CAP_V4L2)


def explain(source: str, kind: SourceKind, log: ErrorLog) -> RejectJob | RetryJob:
    """Why a source did not open, from what FFmpeg said: as a rejection, or as something that may pass."""
    name, said = shown_source(source), log.tail()
    lowered = said.lower()
    detail = _last_words(said)
    if "401" in lowered or "unauthorized" in lowered or "403 forbidden" in lowered:
        return AuthFailed(f"{name}: the server refuses the user or password in the URL ({detail})")
    if "461" in lowered and "transport" in lowered:
        return RetryJob(f"{name}: does not send as source.rtsp_transport wants it ({detail})")
    if "format not on whitelist" in lowered:
        return RejectJob(f"{name}: not a video: no video stream, or a format that sources may not have")
    if silent := SILENT.search(said):
        return NoAnswer(f"{name}: gave no answer for {int(silent[1]) / 1000:.1f} s")
    if kind in (SourceKind.RTSP, SourceKind.HTTP, SourceKind.CAMERA):
        telling = ("invalid data", "no video stream", "moov atom")
        if kind is SourceKind.HTTP and any(words in lowered for words in telling):
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
