"""Interlaced films and streams, as broadcasts, DVDs and camcorders have them. Runs in the decoder process only.

OpenCV 5.0 cannot convert their pictures: it says that all is well and hands out what its memory held before. FFmpeg
says so in the log, at each of them. So the first that is wanted is looked at, and PyAV takes over. Of AV1 it takes over
at once: OpenCV's own FFmpeg decodes it by graphics cards alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame

from streamtag.errors import RetryJob
from streamtag.ingest.colours import Converter
from streamtag.ingest.containers import bound
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.readers import CorruptFrame
from streamtag.settings import SourceSettings

_CANNOT_CONVERT = b"Cannot convert interlaced"
_AV1 = cv2.VideoWriter.fourcc(*"AV01")


class Decoded:
    """Every frame of a source, decoded by PyAV in the order of showing.

    Args:
        remote: it is on the network, where a failure to read may pass.
    """

    def __init__(
        self, container: InputContainer, name: str, settings: SourceSettings, keyframes: bool, remote: bool
    ) -> None:
        self._container = container
        self._name = name
        self._remote = remote
        self._stream = container.streams.video[0]
        codec = self._codec = self._stream.codec_context
        bound(codec, settings)
        if keyframes:
            codec.skip_frame = "NONKEY"
        self._converter = Converter(name, settings.max_pixels)
        self._packets = container.demux(self._stream)
        self._ready: deque[VideoFrame] = deque()
        self._frame: VideoFrame | None = None

    def grab(self) -> bool:
        """Move on by one frame; False at the end, or where something could not be read: the next call goes on.

        Raises:
            RetryJob: the connection broke.
        """
        while not self._ready:
            try:
                packet = next(self._packets)  # the last is an empty one, at which the codec gives what it holds
            except StopIteration:
                return False
            except av.FFmpegError as error:
                if self._remote and not isinstance(error, av.InvalidDataError):
                    raise RetryJob(f"{self._name}: the connection broke ({error.strerror})") from None
                self._packets = self._container.demux(self._stream)
                return False
            try:
                self._ready.extend(self._codec.decode(packet))
            except av.FFmpegError:
                continue  # as OpenCV, which does not count what cannot be decoded
        self._frame = self._ready.popleft()
        return True

    def pts_s(self) -> float:
        """When the frame last grabbed is shown; 0 where nobody knows."""
        assert self._frame is not None
        if self._frame.pts is None:
            return 0.0
        return float((self._frame.pts - (self._stream.start_time or 0)) * (self._stream.time_base or 0))

    def retrieve(self) -> np.ndarray:
        """(h, w, 3) uint8 BGR of the frame last grabbed, upright.

        Raises:
            CorruptFrame, RejectJob: see ``Converter.picture``.
        """
        assert self._frame is not None
        return self._converter.picture(self._frame)

    def close(self) -> None:
        """Nothing more is read."""
        self._container.close()


class Capture:
    """OpenCV on a film or a stream, and PyAV from its first interlaced picture on, or on all of it where it is AV1.

    Args:
        parameters: OpenCV's.
        open_again: by PyAV.

    Raises:
        av.FFmpegError: it is AV1, and PyAV cannot open it.
    """

    def __init__(
        self,
        location: str,
        parameters: Sequence[int],
        log: ErrorLog,
        open_again: Callable[[], Decoded],
    ) -> None:
        self._capture = cv2.VideoCapture(location, cv2.CAP_FFMPEG, parameters)
        self._failures = log.listen_for(_CANNOT_CONVERT)
        self._open_again = open_again
        self._grabbed = 0
        self._decoded: Decoded | None = None
        self._hopeless = ""  # why PyAV cannot take over; to try again at each picture would read all of it each time
        if self._capture.get(cv2.CAP_PROP_FOURCC) == _AV1:
            self._decoded = open_again()

    def isOpened(self) -> bool:
        """Whether OpenCV could open it."""
        return self._capture.isOpened()

    def grab(self) -> bool:
        """Move on by one frame.

        Raises:
            RetryJob: the connection broke.
        """
        if self._decoded is not None and self._capture.isOpened():
            self._capture.release()  # it was asked what the source is, and a server would wait for it
        grabbed = self._capture.grab() if self._decoded is None else self._decoded.grab()
        self._grabbed += grabbed
        return grabbed

    def get(self, name: int) -> float:
        """A property; of those that change, only when the frame is shown."""
        if self._decoded is not None and name == cv2.CAP_PROP_POS_MSEC:
            return 1000.0 * self._decoded.pts_s()
        return self._capture.get(name)

    def retrieve(self, picture: np.ndarray | None = None) -> tuple[bool, np.ndarray | None]:
        """The frame last grabbed, in an array of the caller's if it has one.

        Raises:
            CorruptFrame, RejectJob, RetryJob: it cannot be had.
        """
        if self._decoded is None:
            found = self._capture.retrieve(picture)
            if not self._failures():
                return found
            self._decoded = self._begin_again()
        return True, self._decoded.retrieve()

    def release(self) -> None:
        """Nothing more is read."""
        self._capture.release()
        if self._decoded is not None:
            self._decoded.close()

    def _begin_again(self) -> Decoded:
        """
        Raises:
            CorruptFrame: PyAV does not get as far.
        """
        if not self._hopeless:
            try:
                decoded = self._open_again()
            except av.FFmpegError as error:
                self._hopeless = f"interlaced, and it cannot be opened by PyAV ({error.strerror})"
            else:
                if all(decoded.grab() for _ in range(self._grabbed)):
                    return decoded
                decoded.close()
                self._hopeless = "interlaced, and PyAV does not find it"
        raise CorruptFrame(self._hopeless)
