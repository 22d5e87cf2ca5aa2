"""The packets of a film: read in the order of decoding, planned in the order of showing."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from streamtag.core.sampler import FramePlan, Planned
from streamtag.ingest.nal_units import NalUnits, Picture
from streamtag.ingest.readers import MOST_REORDERED
from streamtag.ingest.videos import MAX_FAILURES_IN_A_ROW

# What may wait until it is known whether anybody needs it.
_WAITING_BYTES = 16 * 1024**2
_WAITING = 2000
_NEVER_SHOWN = Planned(-1, 0.0, False)


@dataclass(slots=True, eq=False)
class Entry:
    """A packet on its way."""

    packet: Packet[VideoStream] | None  # until it is decoded or left out
    number: int  # in the order of decoding
    picture: Picture
    planned: Planned | None = None  # once its place in the order of showing is known
    passed: bool = False  # it has been shown

    @property
    def open(self) -> bool:
        """Whether it is a sample that is still to be retrieved, for all that is known."""
        return not self.passed and (self.planned is None or self.planned.wanted)


class FilmPackets:
    """A container's packets of video, some of them ahead.

    Args:
        units: tell what the pictures are; None where only key frames are frames.
        plan: asked once of each frame, in the order of showing.
        failed: told of each packet that cannot be read, or not to its end (None), and how many seconds it took.
        beginning: packets that were read before.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        units: NalUnits | None,
        plan: FramePlan,
        failed: Callable[[av.FFmpegError | None, float], None],
        beginning: Iterable[Packet[VideoStream]] = (),
    ) -> None:
        self._container = container
        self._stream = stream
        self._units = units
        self._plan = plan
        self._failed = failed
        self._tick_s = float(stream.time_base or 0)
        # None where FFmpeg did not find out: then the first that is shown, or of key frames alone the first of all. Of
        # AVI it does not know what codecs hold back.
        self._start = None if container.format.name == "avi" else stream.start_time
        rate = stream.average_rate or stream.guessed_rate or 25
        self._frame_ticks = round(1 / (rate * stream.time_base)) if stream.time_base else 1
        self._read_packets = 0
        self._timeless = stream.start_time is None
        self.counted = 0  # key frames whose times were told by how many frames come before them
        self._packets: Iterator[Packet[VideoStream]] = itertools.chain(beginning, container.demux(stream))
        self._ended = False
        self._count = 0
        self._unplanned: list[tuple[int, int, Entry]] = []  # a heap by time
        self._planned_pts = -math.inf  # the last that was planned
        self._went_back = False  # what they say of when they are decoded is no longer believed
        self._to_show: deque[Entry] = deque()
        self._shown: Entry | None = None
        self._waiting_bytes = 0
        self.undecoded: deque[Entry] = deque()
        self.bad = 0  # that could not be read, or have no time

    def next_shown(self) -> Entry | None:
        """The next in the order of showing; None at the end."""
        while not self._to_show:
            if not self._read():
                return None
        if self._shown is not None:
            self._shown.passed = True
        self._shown = self._to_show.popleft()
        return self._shown

    @property
    def too_many(self) -> bool:
        """Whether more wait than should."""
        return self._waiting_bytes > _WAITING_BYTES or len(self.undecoded) > _WAITING

    def at(self, place: int) -> Entry | None:
        """One that is not decoded, with what is planned of it; reads as far as that. None at the end."""
        while len(self.undecoded) <= place or self.undecoded[place].planned is None:
            if not self._read():
                return None
        return self.undecoded[place]

    def begins_at(self, place: int) -> bool:
        """Whether decoding can begin with one that is not decoded, as no sample from it on needs what came before."""
        entry = self.at(place)
        if entry is None or entry.picture is not Picture.RANDOM_ACCESS:
            return entry is not None and entry.picture is Picture.REFRESH
        while (entry := self.at(place := place + 1)) is not None and entry.picture is Picture.LEADING:
            if entry.open:
                return False
        return True

    def take(self) -> Packet[VideoStream]:
        """The packet of the first that is not decoded."""
        entry = self.undecoded.popleft()
        packet, entry.packet = entry.packet, None
        assert packet is not None
        self._waiting_bytes -= packet.size
        return packet

    def drop(self, count: int) -> None:
        """Leave the first of them out."""
        for _ in range(count):
            self.take()

    def _read(self) -> bool:
        """Take in one more, and plan what must come before all that is still to be read. False at the end."""
        if self._ended:
            return False
        packet = self._next()
        if packet is None:
            self._ended = True
            self._plan_until(math.inf)
            return True
        # Of key frames alone each is decoded by itself: FFmpeg loses those of open groups (H.264) behind one another.
        picture = Picture.REFRESH if self._units is None else self._units.picture(memoryview(packet))
        went_back = packet.pts is not None and not packet.is_discard and packet.pts < self._planned_pts
        if went_back or picture is Picture.REFRESH:
            self._plan_until(math.inf)  # the codec lets out all that came before
        if went_back:  # as where two films were joined: FFmpeg then says that frames are decoded when they are shown
            self._went_back, self._planned_pts = True, -math.inf
        self._add(packet, picture)
        # Each that follows is decoded later, and none is shown before it is decoded.
        self._plan_until(-math.inf if packet.dts is None or self._went_back else packet.dts)
        return True

    def _plan_until(self, until: float) -> None:
        """Plan what is shown by then, and what has waited for as many as may be shown before it."""
        while self._unplanned and (self._unplanned[0][0] <= until or len(self._unplanned) > MOST_REORDERED):
            pts, _, entry = heapq.heappop(self._unplanned)
            self._planned_pts = pts
            self._start = pts if self._start is None else self._start
            # In milliseconds and back, to the same last bit as OpenCV.
            entry.planned = self._plan.next((pts - self._start) * self._tick_s * 1000.0 / 1000.0)
            self._to_show.append(entry)

    def _add(self, packet: Packet[VideoStream], picture: Picture) -> None:
        entry = Entry(packet, self._count, picture)
        self._count += 1
        self._waiting_bytes += packet.size
        self.undecoded.append(entry)
        if packet.pts is None or packet.is_discard:  # a container may leave frames out that others need
            entry.planned = _NEVER_SHOWN
            self.bad += packet.pts is None
        else:
            heapq.heappush(self._unplanned, (packet.pts, entry.number, entry))

    def _next(self) -> Packet[VideoStream] | None:
        for _failure in range(MAX_FAILURES_IN_A_ROW):
            began_s = time.monotonic()
            try:
                for packet in self._packets:
                    if packet.is_corrupt:
                        self._failed(None, time.monotonic() - began_s)
                    if not packet.size:  # an empty one says that it was the last
                        continue
                    if self._units is None:
                        self._place(packet)
                        if not packet.is_keyframe:
                            continue
                    return packet
            except av.FFmpegError as error:
                self._failed(error, time.monotonic() - began_s)
                self.bad += 1
                self._packets = self._container.demux(self._stream)
            else:
                return None
        return None

    def _place(self, packet: Packet[VideoStream]) -> None:
        """Give it a time where it has none, as key frames are told before what would tell theirs is decoded."""
        if packet.pts is None and packet.dts is None and self._timeless:
            # A frame or two too early, where pictures that are decoded later are shown before it.
            packet.pts = self._read_packets * self._frame_ticks
            self.counted += packet.is_keyframe
        elif packet.pts is None:
            packet.pts = packet.dts
        self._read_packets += 1
        self._start = packet.pts if self._start is None else self._start
