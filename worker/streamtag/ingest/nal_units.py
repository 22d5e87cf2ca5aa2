"""What a packet of H.264 or H.265 is by its NAL units, before it is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

_MANY = 64  # units before the first of a picture: parameters, and what is said about it


class Picture(Enum):
    """What a picture needs of those that are decoded before it."""

    REFRESH = auto()  # nothing, nor does any after it (IDR)
    RANDOM_ACCESS = auto()  # nothing; those after it do not either, but its leading ones (CRA)
    LEADING = auto()  # it is decoded after such a one and shown before it, and may need what came earlier
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class NalUnits:
    """How they lie in the packets of MP4 and Matroska: each after its length (ISO/IEC 14496-15).

    Attributes:
        length_bytes: of a length.
        shift, mask: where in the first byte of a unit its type is.
        types: of the units that are parts of pictures (ITU-T H.264 and H.265, tables 7-1), and what they are.
    """

    length_bytes: int
    shift: int
    mask: int
    types: Mapping[int, Picture]

    @classmethod
    def of(cls, codec: str, extradata: bytes) -> NalUnits | None:
        """By the codec's configuration record (avcC, hvcC); None where there is none, or it is another codec."""
        if codec == "h264" and len(extradata) > 6 and extradata[0] == 1:
            return cls((extradata[4] & 3) + 1, 0, 31, _H264)
        if codec == "hevc" and len(extradata) > 22 and extradata[0] == 1:
            return cls((extradata[21] & 3) + 1, 1, 63, _H265)
        return None

    def picture(self, packet: memoryview) -> Picture:
        """What the picture of a packet is."""
        place = 0
        for _ in range(_MANY):
            header = place + self.length_bytes
            if header >= len(packet):
                break
            kind = self.types.get(packet[header] >> self.shift & self.mask)
            if kind is not None:
                return kind
            place = header + int.from_bytes(packet[place:header], "big")
        return Picture.OTHER


def is_whole_h264(content: bytes) -> bool:
    """Whether the picture of a packet with start codes (annex B) needs nothing of what came before it.

    What FFmpeg calls a key frame may also be a point from which on pictures become whole bit by bit (intra refresh).
    """
    place = content.find(_START)
    while 0 <= place < len(content) - len(_START):
        header = place + len(_START)
        kind = content[header] & 31
        if kind == _IDR_SLICE:
            return True
        if kind in _SLICES and not _is_i_slice(content[header + 1 : header + 1 + _SLICE_HEAD_BYTES]):
            return False
        place = content.find(_START, header)
    return True


def _is_i_slice(head: bytes) -> bool:
    """By the second of its numbers. Each has as many bits after its first one as there are zeros before that."""
    bits, number = "".join(f"{byte:08b}" for byte in head), 0
    for _ in range(2):
        zeros = bits.find("1")
        if zeros < 0 or len(bits) <= 2 * zeros:
            return False
        number, bits = int(bits[zeros : 2 * zeros + 1], 2) - 1, bits[2 * zeros + 1 :]
    return number % 5 == _I_SLICE


_START = b"\0\0\1"
_IDR_SLICE = 5
_SLICES = (1, 2)
_I_SLICE = 2  # and 7, where all of the picture's are
_SLICE_HEAD_BYTES = 8
_H264 = dict.fromkeys(range(1, 5), Picture.OTHER) | {5: Picture.REFRESH}
_H265 = (
    dict.fromkeys(range(32), Picture.OTHER)
    | dict.fromkeys(range(6, 10), Picture.LEADING)
    | dict.fromkeys((19, 20), Picture.REFRESH)
    | {21: Picture.RANDOM_ACCESS}
)
