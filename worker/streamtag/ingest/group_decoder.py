"""Packets of a live stream as they come, of which no more is decoded than a sample needs: from the last key frame on.

A codec may hold a picture back until it has seen those that are shown before it (B-frames). Where what follows is left
out, it would come with the next key frame only, and be taken for that one. Runs in the decoder process only.
"""

from __future__ import annotations

import av
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamtag.ingest.readers import MOST_REORDERED

# Packets of one group that wait undecoded for a sample that needs them: a stream without key frames fills no memory.
GROUP_BYTES = 16 * 1024**2


class GroupDecoder:
    """Gives the newest picture of what was added. Begun, and begun again where something was left out.

    Args:
        sparse: decode when a picture is asked for; else as packets come.
    """

    def __init__(self, codec: VideoCodecContext, sparse: bool) -> None:
        self.bad_packets = 0
        self.blind = False  # it was begun within a group, and no picture has come since
        self.damaged = False  # the codec made up for what was missing, and what follows refers to that
        self._codec = codec
        self._sparse = sparse
        self._unsure = False  # of each picture the codec says that it may lack something
        self._waiting: list[Packet[VideoStream]] = []  # undecoded
        self._waiting_bytes = 0
        self._begins = True  # the next packet does not follow what the codec had
        # Decoded since it began, as long as no picture has come: to be decoded again when one had to be let out early.
        self._first: list[Packet[VideoStream]] = []
        self._from_pts: int | None = None  # pictures that are shown before that may lack what they refer to
        self._frame: VideoFrame | None = None

    def begin(self) -> None:
        """The next packet needs nothing of what came before it."""
        if self._waiting or self._first or self.blind:
            self.forget()
        self.damaged = self._unsure = False

    def begin_within(self, unsure: bool) -> None:
        """The next packet does need what came before it, but pictures become whole with those that follow.

        Args:
            unsure: the stream does not say when, so the codec is to give what it has.
        """
        self.forget()
        self.blind, self._unsure = True, unsure
        if unsure:
            self._codec.flags |= Flags.output_corrupt

    def forget(self) -> None:
        """Leave out what waits, and what comes until it is begun."""
        self._waiting.clear()
        self._first.clear()
        self._waiting_bytes = 0
        self._begins, self.blind, self.damaged = True, False, False

    def add(self, packet: Packet[VideoStream]) -> None:
        """Take in the next packet."""
        self._frame = None
        self._waiting.append(packet)
        self._waiting_bytes += packet.size
        if self.blind or not self._sparse or self._waiting_bytes > GROUP_BYTES:
            self._decode()

    def picture(self) -> VideoFrame | None:
        """The newest one; with B-frames it may be some packets older than the last. None where nothing is decodable."""
        self._decode()
        if self._frame is None and self._first:
            self._let_out()
        return self._frame

    def _decode(self) -> None:
        packets = self._waiting
        if packets and self._begins:
            self._codec.flush_buffers()
            packets = self._first + packets
            self._first = [] if self.blind else packets
            self._begins, self._from_pts = False, packets[0].pts
        elif self._first:
            self._first.extend(packets)
        for packet in packets:
            self._take(packet)
        if self._frame is not None or len(self._first) > MOST_REORDERED:
            self._first = []
        self._waiting = []
        self._waiting_bytes = 0

    def _let_out(self) -> None:
        """Have the codec give what it holds back, after which it has to begin again."""
        self._take(None)
        self._begins = True

    def _take(self, packet: Packet[VideoStream] | None) -> None:
        try:
            frames = self._codec.decode(packet)
        except av.FFmpegError:
            self.bad_packets += 1
            return
        for frame in frames:
            self.damaged = self.damaged or (frame.is_corrupt and not self._unsure)
            if self._from_pts is None or frame.pts is None or frame.pts >= self._from_pts:
                self._frame, self._from_pts, self.blind = frame, None, False
