"""What goes into FFmpeg's connection once a stream plays: packets of RTP on channels, and replies between them."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict

from streamtag.ingest.picture_ends import QUIET_S, UNITS, PictureEnds, Units

_PACKET = ord("$")  # what begins with it has its channel and its length behind it
_LEAD_BYTES = 4
_TYPE = re.compile(rb"^a=rtpmap:(\d{1,3}) (H26[45])/", re.IGNORECASE | re.MULTILINE)
_HEAD_END = re.compile(rb"\n(\r?\n|(?=\$))")  # as FFmpeg takes it: a packet may begin with any line
HEAD_BYTES = 65_536  # of a message
BODY_BYTES = 1_048_576
_LENGTH = re.compile(rb"^content-length:\s*(\d{1,9})\s*$", re.IGNORECASE | re.MULTILINE)


class Interleaved:
    """FFmpeg's side of a connection. All that is written goes through it from the first packet on.

    Packets are passed on whole: then another fits between any two.
    """

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._units: dict[int, Units] = {}
        self._ends: defaultdict[int, PictureEnds] = defaultdict(lambda: PictureEnds(self._units))  # by channel
        self._quiet: asyncio.TimerHandle | None = None

    def describe(self, reply: bytes) -> None:
        """Take in what a camera says of its streams, where that is what it says."""
        self._units |= {int(number): UNITS[codec.upper()] for number, codec in _TYPE.findall(reply)}

    @property
    def wants_packets(self) -> bool:
        """Whether pictures are sent whose end FFmpeg has to be told of; all else may pass as it comes."""
        return bool(self._units)

    def pass_on(self, content: bytearray) -> None:
        """Write what has come of packets and replies, and leave what is not whole yet.

        Raises:
            ValueError: a reply that has no end.
        """
        ready: list[bytes | bytearray] = []
        written = place = 0
        while length := _length(content, place):
            if content[place] == _PACKET:
                channel = content[place + 1]
                before = self._ends[channel].pass_on(content, place + _LEAD_BYTES, place + length)
                if before:
                    ready += [content[written:place], _framed(channel, before)]
                    written = place
            place += length
        ready.append(content[written:place])
        del content[:place]
        self._writer.write(b"".join(ready))
        self._wait_for_quiet()

    def packet(self, channel: int, content: bytes) -> None:
        """Write a packet that came by another way."""
        self.pass_on(bytearray(_framed(channel, content)))

    def close(self) -> None:
        """Nothing more is written."""
        if self._quiet is not None:
            self._quiet.cancel()

    def _wait_for_quiet(self) -> None:
        self.close()
        if any(ends.open_end for ends in self._ends.values()):
            self._quiet = asyncio.get_running_loop().call_later(QUIET_S, self._tell_ends)

    def _tell_ends(self) -> None:
        for channel, ends in self._ends.items():
            if ends.open_end:
                self._writer.write(_framed(channel, ends.tell()))


def _framed(channel: int, packet: bytes) -> bytes:
    return b"$%c%b%b" % (channel, len(packet).to_bytes(2, "big"), packet)


def _length(content: bytearray, place: int) -> int:
    """Of the packet, or else the reply, that begins there; 0 where it is not whole."""
    if place + _LEAD_BYTES > len(content):
        return 0
    if content[place] == _PACKET:
        length = _LEAD_BYTES + (content[place + 2] << 8 | content[place + 3])
    else:
        end = _HEAD_END.search(content, place, place + HEAD_BYTES)
        if end is None:
            if len(content) - place >= HEAD_BYTES:
                raise ValueError("no RTSP header")
            return 0
        told = _LENGTH.search(content, place, end.end()) if end[1] else None
        body_bytes = int(told[1]) if told else 0
        if body_bytes > BODY_BYTES:
            raise ValueError("no RTSP body")
        length = end.end() - place + body_bytes
    return length if place + length <= len(content) else 0
