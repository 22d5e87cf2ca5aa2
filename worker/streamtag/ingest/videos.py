"""Films and streams through OpenCV and FFmpeg. Runs in the decoder process only: these bytes are a stranger's."""

from __future__ import annotations

import os
import re
from pathlib import Path

import cv2
import numpy as np

from streamtag.core.source import SourceKind
from streamtag.errors import RejectJob, RetryJob
from streamtag.ingest import formats
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.policy import AuthFailed
from streamtag.ingest.readers import CorruptFrame, Opened
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

# Damage inside a file costs single frames (at most one in a row in a file with 400 flipped bits); only a long row
# of failures is the end. At a true end each failing call returns at once.
MAX_FAILURES_IN_A_ROW = 50


_PROTOCOLS = {
    SourceKind.VIDEO: "file",
    SourceKind.HTTP: "http,https,tcp,tls,crypto",
    SourceKind.RTSP: "rtsp,rtsps,rtp,srtp,udp,tcp,tls,crypto",
}
_FORMATS = {
    SourceKind.VIDEO: formats.FILE_FORMATS,
    SourceKind.HTTP: formats.HTTP_FORMATS,
    SourceKind.RTSP: formats.RTSP_FORMATS,
}


class VideoReader:
    """A video file, an HTTP or RTSP stream, or a local camera, through OpenCV."""

    def __init__(self, source: str, kind: SourceKind, settings: SourceSettings, keyframes: bool, log: ErrorLog) -> None:
        self._name = shown_source(source)
        self._live = kind in (SourceKind.RTSP, SourceKind.CAMERA)
        self._max_pixels = settings.max_pixels
        log.forget()
        self._capture = _camera(source) if kind is SourceKind.CAMERA else _ffmpeg(source, kind, settings, keyframes)
        self.bad_packets = 0
        self.path = ""
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
        self._check_size(width, height)
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
        self._check_size(picture.shape[1], picture.shape[0])  # a stream may change its size at any time
        return np.asarray(picture)

    def _check_size(self, width: float, height: float) -> None:
        if width * height > self._max_pixels:
            raise RejectJob(
                f"{self._name}: {width:.0f} x {height:.0f} pixels is more than source.max_pixels ({self._max_pixels})"
            )

    def close(self) -> None:
        self._capture.release()


def _ffmpeg(source: str, kind: SourceKind, settings: SourceSettings, keyframes: bool) -> cv2.VideoCapture:
    options = {"protocol_whitelist": _PROTOCOLS[kind], "format_whitelist": _FORMATS[kind]}
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
    name = shown_source(source)
    lowered = said.lower()
    detail = _last_words(said)
    if "401" in lowered or "unauthorized" in lowered or "403 forbidden" in lowered:
        return AuthFailed(f"{name}: the server refuses the user or password in the URL ({detail})")
    if "format not on whitelist" in lowered:
        return RejectJob(f"{name}: not a video: no video stream, or a format that sources may not have")
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
