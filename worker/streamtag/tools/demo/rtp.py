"""H.264 in RTP packets, as RFC 6184 has it: what a camera that is drawn sends."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

CLOCK_HZ = 90_000
PAYLOAD_TYPE = 96
LARGEST_BYTES = 1400  # of a packet's payload
_START_CODE = re.compile(rb"\x00*\x00\x00\x01")
_FRAGMENT = 28  # the type of a part of a unit, FU-A
_SEQUENCES = 1 << 16
_TIMES = 1 << 32


def units(picture: bytes) -> list[bytes]:
    """The units of a picture that an encoder gave, each without the start code before it."""
    return [unit for unit in _START_CODE.split(picture) if unit]


def payloads(unit: bytes, largest_bytes: int = LARGEST_BYTES) -> Iterator[bytes]:
    """A unit as it is, or in parts where it is too large for a packet."""
    if len(unit) <= largest_bytes:
        yield unit
        return
    indicator, kind = unit[0] & 0xE0 | _FRAGMENT, unit[0] & 0x1F
    step = largest_bytes - 2
    for start in range(1, len(unit), step):
        first, last = start == 1, start + step >= len(unit)
        yield bytes((indicator, first << 7 | last << 6 | kind)) + unit[start : start + step]


class Packets:
    """The packets of one stream, numbered.

    Args:
        source: a number that tells the stream from others.
    """

    def __init__(self, source: int) -> None:
        self._source = source
        self._sequence = 0

    def of(self, picture: bytes, time_s: float) -> Iterator[bytes]:
        """Those of a picture that is shown at a time; the last one is marked."""
        parts = [part for unit in units(picture) for part in payloads(unit)]
        shown = round(time_s * CLOCK_HZ) % _TIMES
        for number, part in enumerate(parts, 1):
            marked = PAYLOAD_TYPE | (number == len(parts)) << 7
            yield struct.pack(">BBHII", 0x80, marked, self._sequence, shown, self._source) + part
            self._sequence = (self._sequence + 1) % _SEQUENCES
