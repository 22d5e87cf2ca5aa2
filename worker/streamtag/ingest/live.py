"""Live streams of the network, by PyAV: it gives packets before they are decoded, which OpenCV does not.

OpenCV can hand out packets or pictures, but not the picture of a packet. Here a thread takes packets as they come
(``packets.py``), and only those are decoded that a sample needs: from the last key frame on, as far as it. What is too
late for its budget is passed over up to the newest key frame. Runs in the decoder process only.
"""

from __future__ import annotations

import time

import av
import numpy as np
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from streamtag.core.live_clock import LiveTimeline
from streamtag.errors import RetryJob
from streamtag.ingest.containers import open_container
from streamtag.ingest.packets import Arrived, Connections, PacketFeed
from streamtag.ingest.policy import NoAnswer
from streamtag.ingest.readers import CorruptFrame, Facts, Fate, Opened, check_size
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

# Packets of one group that wait undecoded for a sample that needs them: a stream without key frames fills no memory.
GROUP_BYTES = 16 * 1024**2


def open_packets(
    location: str, options: dict[str, str], settings: SourceSettings
) -> tuple[InputContainer, Connections]:
    """FFmpeg on a stream of the network.

    Raises:
        av.FFmpegError: it does not open; what FFmpeg says of it is in the error log.
    """
    connections = Connections()
    container = open_container(location, options, settings)  # PacketFeed waits for what is to be read
    connections.opened()
    return container, connections


class StreamReader:
    """A live stream, packet by packet; a packet is a frame.

    Args:
        sparse: decode no more than what is retrieved needs.
    """

    def __init__(
        self,
        container: InputContainer,
        connections: Connections,
        source: str,
        settings: SourceSettings,
        sparse: bool,
    ) -> None:
        self.name = shown_source(source)
        self.bad_packets = 0
        self.path = ""
        self._settings = settings
        self._container = container
        if not container.streams.video:
            raise RetryJob(f"{self.name}: holds no video")
        stream = container.streams.video[0]
        codec = self._codec = stream.codec_context
        codec.thread_type, codec.thread_count = "NONE", settings.threads
        codec.flags |= Flags.low_delay  # a picture comes with its packet, not some packets later
        codec.options = {"max_pixels": str(settings.max_pixels)}
        check_size(self.name, codec.width, codec.height, settings.max_pixels)
        self.opened = Opened.told(codec.width, codec.height, float(stream.average_rate or 0), 0)
        self._feed = PacketFeed(container, stream, connections, settings.read_timeout_s)
        self._timeline = LiveTimeline()
        self._sparse = sparse
        self._group: list[Packet[VideoStream]] = []  # from the last key frame on, undecoded
        self._group_bytes = 0
        self._decodable = False  # a key frame has come, and nothing after it was left out
        self._lost = Fate.OLD  # what frames are until then
        self._now: Arrived | None = None
        self._frame: VideoFrame | None = None
        # One for all frames: each frame's own would begin anew, with a thread for each core.
        self._converter = VideoReformatter()

    def grab(self) -> bool:
        """
        Raises:
            RetryJob: the connection broke or fell silent.
        """
        try:
            arrived = self._feed.take()
        except av.FFmpegError as error:
            raise self._failure(error) from None
        self._now, self._frame = arrived, None
        if arrived is None:
            return False
        if arrived.fate is Fate.SAMPLE and time.monotonic() - arrived.arrived_s > self._settings.lag_budget_s:
            arrived.fate = Fate.LAGGING
            self._feed.give_up_old()
        self._follow(arrived)
        return True

    def wait_for_keys(self, only: bool) -> None:
        """Whether it is enough to be told promptly of key frames: nobody waits for the others."""
        self._feed.patient = only

    def _follow(self, arrived: Arrived) -> None:
        """Keep what later frames need of this one."""
        if arrived.fate is Fate.LAGGING:
            self._decodable, self._lost = False, Fate.LAGGING
        elif arrived.key:
            self._decodable = True
        elif not self._decodable:
            arrived.fate = self._lost
        if not self._decodable:
            self._group.clear()
            return
        if arrived.key:
            self._group.clear()
            self._group_bytes = 0
        self._group.append(arrived.packet)
        self._group_bytes += arrived.packet.size
        if not self._sparse or self._group_bytes > GROUP_BYTES:
            self._decode()

    def facts(self) -> Facts:
        now = self._now
        assert now is not None
        captured_unix_s = time.time() - (time.monotonic() - now.arrived_s)
        return Facts(captured_unix_s, now.key, now.fate)

    def pts_s(self) -> float | None:
        assert self._now is not None
        return self._timeline.next_s(self._now.raw_s, self._now.arrived_s)

    def retrieve(self) -> np.ndarray:
        self._decode()
        if self._frame is None:
            raise CorruptFrame("the codec could not decode it")
        # A stream may change its size at any time.
        check_size(self.name, self._frame.width, self._frame.height, self._settings.max_pixels)
        return self._converter.reformat(self._frame, format="bgr24", threads=1).to_ndarray()

    def _decode(self) -> None:
        for packet in self._group:
            try:
                frames = self._codec.decode(packet)
            except av.FFmpegError:
                self.bad_packets += 1
            else:
                self._frame = frames[-1] if frames else self._frame
        self._group.clear()
        self._group_bytes = 0

    def _failure(self, error: av.FFmpegError) -> RetryJob:
        silent_s = time.monotonic() - self._feed.last_s
        if silent_s >= self._settings.read_timeout_s:  # it was we who broke off
            return NoAnswer(f"{self.name}: nothing came for {silent_s:.1f} s")
        return RetryJob(f"{self.name}: the connection broke ({error.strerror})")

    @property
    def note(self) -> str:
        return ""

    def close(self) -> None:
        """The process ends with it; the thread may be waiting in FFmpeg, from where nothing calls it back."""
