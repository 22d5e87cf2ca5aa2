"""Where a picture ends in a camera's packets of RTP, told to FFmpeg while the next picture is not there yet. Pure.

FFmpeg's parser knows the end of a picture of H.264 or H.265 by the beginning of the next, so at one picture a second
each came a second late. The gate puts an access unit delimiter behind a picture that nothing follows, which can only be
the beginning of another, and the one before it is out. To FFmpeg the next picture has the delimiter's time then; so a
message of ours goes before it that says how much later it is, and who reads the packet puts it right.

What is added has numbers of its own, and what the camera sends after it is numbered on.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# Where nothing follows the last packet of a picture for so long, its end is told. At 25 pictures a second the next one
# is there before.
QUIET_S = 0.05

_HEAD = struct.Struct(">BBHII")  # of a packet (RFC 3550): its form, marker and type, number, time, sender
_FORM = 0x80  # nothing but this head
_MARKED = 0x80
_REPORTS = range(192, 224)  # in place of marker and type: a packet of RTCP (RFC 5761)
_NUMBERS, _TIMES = 1 << 16, 1 << 32

# A message that is nobody's but ours: 16 bytes that name its kind, and a number in 8 digits, so that no byte is zero.
_KIND = b"streamtag: later"
_DIGITS = 8
_SIZE = len(_KIND) + _DIGITS
_USER_DATA = 5  # the type of such messages, in both codecs
HEAD_BYTES = 64  # of a picture's packet, within which it comes: behind a delimiter


@dataclass(frozen=True, slots=True)
class Units:
    """The NAL units that are added, by codec.

    Attributes:
        delimiter: begins a picture, of any kind of slices.
        message: the first bytes of a unit of supplemental enhancement information (SEI).
    """

    delimiter: bytes
    message: bytes

    def later(self, ticks: int) -> bytes:
        """The message that a picture is shown so much later than it seems."""
        return b"%b%c%c%b%08x\x80" % (self.message, _USER_DATA, _SIZE, _KIND, ticks % _TIMES)


# By their names in an SDP.
UNITS: Final[Mapping[bytes, Units]] = {
    b"H264": Units(b"\x09\xf0", b"\x06"),
    b"H265": Units(b"\x46\x01\x50", b"\x4e\x01"),
}


def later_ticks(head: bytes) -> int:
    """How much later a picture is shown than it seems, by our message; 0 where there is none.

    Args:
        head: ``HEAD_BYTES`` of its packet.
    """
    place = head.find(_KIND)
    if place < 0:
        return 0
    try:
        ticks = int(head[place + len(_KIND) : place + _SIZE], 16)
    except ValueError:  # a camera wrote it
        return 0
    return (ticks + _TIMES // 2) % _TIMES - _TIMES // 2


class PictureEnds:
    """The packets of one stream on their way from the camera to FFmpeg.

    Args:
        units: by the type of payload, of the codecs whose pictures are looked at.
    """

    def __init__(self, units: Mapping[int, Units]) -> None:
        self._units = units
        self._added = 0  # packets
        self._last: tuple[int, int, int, int] | None = None  # of the last packet of a picture that nothing follows
        self._told = False  # the end of that
        self._marked_early = False  # the camera marks packets that are not the last of their picture

    @property
    def open_end(self) -> bool:
        """Whether a picture has come as far as its end, and FFmpeg cannot know that."""
        return self._last is not None and not self._told and not self._marked_early

    def pass_on(self, content: bytearray, begin: int, end: int) -> bytes:
        """Number a packet on, where it lies; what has to be sent before it is the answer."""
        if end - begin < _HEAD.size:
            return b""
        if content[begin + 1] < _MARKED and not self._added:  # as most of them are
            self._last = None
            return b""
        if content[begin + 1] in _REPORTS:
            return b""
        form, mark, number, time, sender = _HEAD.unpack_from(content, begin)
        before = b""
        if (units := self._units.get(mark & ~_MARKED)) is not None:
            if self._told and self._last is not None and 0 < (number - self._last[1]) % _NUMBERS < _NUMBERS // 2:
                before = self._packet(mark & ~_MARKED, number, time, sender, units.later(time - self._last[2]))
                self._marked_early = time == self._last[2]
                self._added, self._last, self._told = self._added + 1, None, False
            if not self._told:
                self._last = (mark, number, time, sender) if mark & _MARKED else None
        if self._added:
            _HEAD.pack_into(content, begin, form, mark, (number + self._added) % _NUMBERS, time, sender)
        return before

    def tell(self) -> bytes:
        """The packet that tells the end of the last picture."""
        assert self._last is not None
        mark, number, time, sender = self._last
        self._added, self._told = self._added + 1, True
        return self._packet(mark, number, time, sender, self._units[mark & ~_MARKED].delimiter)

    def _packet(self, mark: int, number: int, time: int, sender: int, unit: bytes) -> bytes:
        return _HEAD.pack(_FORM, mark, (number + self._added) % _NUMBERS, time, sender) + unit
