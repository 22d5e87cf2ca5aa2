"""What a packet of H.264 or H.265 is by its NAL units, before it is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_MANY = 64  # units before the first of a picture: parameters, and what is said about it


@dataclass(frozen=True, slots=True)
class NalUnits:
    """How they lie in the packets of MP4 and Matroska: each after its length (ISO/IEC 14496-15).

    Attributes:
        length_bytes: of a length.
        is_picture: by the first byte of a unit, whether it holds a part of a picture.
        is_refresh: and whether of one that forgets all that came before it (IDR).
    """

    length_bytes: int
    is_picture: Callable[[int], bool]
    is_refresh: Callable[[int], bool]

    @classmethod
    def of(cls, codec: str, extradata: bytes) -> NalUnits | None:
        """By the codec's configuration record (avcC, hvcC); None where there is none, or it is another codec."""
        if codec == "h264" and len(extradata) > 6 and extradata[0] == 1:
            return cls((extradata[4] & 3) + 1, lambda byte: 1 <= byte & 31 <= 5, lambda byte: byte & 31 == 5)
        if codec == "hevc" and len(extradata) > 22 and extradata[0] == 1:
            return cls(
                (extradata[21] & 3) + 1, lambda byte: byte >> 1 & 63 < 32, lambda byte: byte >> 1 & 63 in (19, 20)
            )
        return None

    def begin_anew(self, packet: memoryview) -> bool:
        """Whether decoding can begin with a packet, and nothing after it needs what came before."""
        place = 0
        for _ in range(_MANY):
            header = place + self.length_bytes
            if header >= len(packet):
                return False
            if self.is_picture(packet[header]):
                return self.is_refresh(packet[header])
            place = header + int.from_bytes(packet[place:header], "big")
        return False
