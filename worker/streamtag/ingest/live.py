"""Live streams of the network, by PyAV: it gives packets before they are decoded, which OpenCV does not.

OpenCV can hand out packets or pictures, but not the picture of a packet. Here a thread takes packets as they come
(``packets.py``), and only those are decoded that a sample needs: from the last key frame on, as far as it. What is too
late for its budget is passed over up to the newest key frame. Runs in the decoder process only.
"""

from __future__ import annotations

import math
import time

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.stream import Discard

from streamtag.core.live_clock import LiveTimeline
from streamtag.errors import RetryJob
from streamtag.ingest.colours import Converter
from streamtag.ingest.containers import bound, open_container
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.group_decoder import GroupDecoder
from streamtag.ingest.nal_units import is_whole_h264
from streamtag.ingest.packets import Arrived, Connections, PacketFeed
from streamtag.ingest.planes import Pixels
from streamtag.ingest.policy import NoAnswer
from streamtag.ingest.readers import CorruptFrame, Facts, Fate, OneByOne, Opened, check_size
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

# A stream without a key frame for so long has none: its pictures are renewed part by part, most within a second or two.
NO_KEY_S = 60.0
RENEWED_S = 5.0
# What FFmpeg says where the numbers of RTP packets do not follow each other.
_LOST = b"RTP: missed "
_OLD = b"dropping old packet"
# And of a JPEG of which a part is missing, whose picture it does not call damaged.
_CUT_SHORT = b"overread "


def open_packets(
    location: str, options: dict[str, str], settings: SourceSettings
) -> tuple[InputContainer, Connections]:
    """FFmpeg on a stream of the network.

    Raises:
        av.FFmpegError: it does not open; what FFmpeg says of it is in the error log.
    """
    connections = Connections()
    container = open_container(location, options, settings, warned=True)  # PacketFeed waits for what is to be read
    connections.opened()
    return container, connections


class StreamReader(OneByOne):
    """A live stream, packet by packet; a packet is a frame.

    Args:
        sparse: decode no more than what is retrieved needs.
        timed, bursts: see ``PacketFeed``.
    """

    def __init__(
        self,
        container: InputContainer,
        connections: Connections,
        source: str,
        settings: SourceSettings,
        sparse: bool,
        log: ErrorLog,
        timed: bool = True,
        bursts: bool = False,
    ) -> None:
        self.name = shown_source(source)
        self._settings = settings
        self._container = container
        if not container.streams.video:
            raise RetryJob(f"{self.name}: holds no video")
        stream = container.streams.video[0]
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all  # also not read, where it is another variant of a playlist
        codec = self._codec = stream.codec_context
        bound(codec, settings)
        codec.thread_type = "NONE"
        codec.flags |= Flags.low_delay  # a picture comes with its packet, not some packets later
        check_size(self.name, codec.width, codec.height, settings.max_pixels)
        self.opened = Opened.told(codec.width, codec.height, float(stream.average_rate or 0), 0)
        lost, passed_over = map(log.listen_for, (_LOST, _OLD))
        self._feed = PacketFeed(
            container, stream, connections, settings.read_timeout_s, lost, passed_over, timed, bursts
        )
        self._cut_short = log.listen_for(_CUT_SHORT) if codec.name == "mjpeg" else lambda: 0
        self._timeline = LiveTimeline()
        self._group = GroupDecoder(codec, sparse)
        self._decodable = False  # what has come since a key frame is all there
        self._lost = Fate.OLD  # what frames are until then
        self._since_s: float | None = None  # when it was to begin, and no key frame has come since
        self._renewed_s = -math.inf  # before that pictures are not whole
        self._now: Arrived | None = None
        self._converter = Converter(self.name, settings.max_pixels)

    def grab(self) -> bool:
        """
        Raises:
            RetryJob: the connection broke or fell silent.
        """
        try:
            arrived = self._feed.take()
        except av.FFmpegError as error:
            raise self._failure(error) from None
        self._now = arrived
        if arrived is None:
            return False
        late_s = time.monotonic() - arrived.arrived_s - self._feed.held_s
        if arrived.fate is Fate.SAMPLE and late_s > self._settings.lag_budget_s:
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
            self._group.forget()
            return
        if arrived.lossy and self._codec.name != "mjpeg":  # of that FFmpeg gives none but whole ones
            self._lose(arrived)
        else:
            self._begin(arrived)
        if self._decodable:
            self._group.add(arrived.packet)
        if not self._decodable or self._group.blind or arrived.arrived_s < self._renewed_s:
            arrived.fate = self._lost

    def _begin(self, arrived: Arrived) -> None:
        """Where decoding can begin with this one."""
        if arrived.key and (self._codec.name != "h264" or is_whole_h264(bytes(arrived.packet))):
            self._group.begin()
            self._decodable, self._renewed_s, self._since_s = True, -math.inf, None
        elif self._decodable:
            return
        elif arrived.key:
            self._group.begin_within(unsure=False)
            self._decodable = True
        elif self._has_no_keys(arrived.arrived_s):
            self._group.begin_within(unsure=True)
            self._decodable, self._renewed_s = True, arrived.arrived_s + RENEWED_S

    def _lose(self, arrived: Arrived) -> None:
        """What comes is not whole, until it can begin anew: the codec would conceal what is missing."""
        if arrived.key:
            self._since_s = None
        elif not self._decodable:
            return
        self._lost = Fate.DAMAGED
        if self._renewed_s > -math.inf:  # it never begins anew
            self._renewed_s = arrived.arrived_s + RENEWED_S
        else:
            self._decodable = False
            self._group.forget()

    def _has_no_keys(self, now_s: float) -> bool:
        self._since_s = now_s if self._since_s is None else self._since_s
        return now_s - self._since_s >= NO_KEY_S

    def facts(self) -> Facts:
        now = self._now
        assert now is not None
        captured_unix_s = time.time() - (time.monotonic() - now.arrived_s)
        return Facts(captured_unix_s, now.key, now.fate, self._feed.held_s)

    def pts_s(self) -> float | None:
        assert self._now is not None
        return self._timeline.next_s(self._now.raw_s, self._now.arrived_s)

    def retrieve(self) -> Pixels:
        self._cut_short()
        frame = self._group.picture()
        if frame is None:
            raise CorruptFrame("the codec could not decode it")
        if self._group.damaged:
            raise CorruptFrame("it is damaged, or one that it needs")
        if self._cut_short():
            raise CorruptFrame("a part of it is missing")
        return self._converter.planes(frame)

    def _failure(self, error: av.FFmpegError) -> RetryJob:
        silent_s = time.monotonic() - self._feed.last_s
        if silent_s >= self._settings.read_timeout_s:  # it was we who broke off
            return NoAnswer(f"{self.name}: nothing came for {silent_s:.1f} s")
        return RetryJob(f"{self.name}: the connection broke ({error.strerror})")

    @property
    def bad_packets(self) -> int:
        """That could not be decoded."""
        return self._group.bad_packets

    def close(self) -> None:
        """The process ends with it; the thread may be waiting in FFmpeg, from where nothing calls it back."""
