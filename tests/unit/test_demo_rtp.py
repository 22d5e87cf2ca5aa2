"""H.264 in RTP packets, for the cameras that are drawn."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from streamtag.tools.demo.rtp import CLOCK_HZ, LARGEST_BYTES, Packets, payloads, units

# A unit has no start code in it, and does not end with a zero.
UNIT = st.binary(min_size=2, max_size=5000).map(lambda raw: bytes(byte | 1 for byte in raw))


def joined(parts: list[bytes]) -> bytes:
    """A unit from its parts, as a viewer puts it together."""
    if len(parts) == 1:
        return parts[0]
    return bytes((parts[0][0] & 0xE0 | parts[0][1] & 0x1F,)) + b"".join(part[2:] for part in parts)


@given(unit=UNIT, largest=st.integers(3, 1500))
def test_a_unit_comes_out_of_its_parts_as_it_went_in(unit: bytes, largest: int) -> None:
    parts = list(payloads(unit, largest))
    assert joined(parts) == unit
    assert max(map(len, parts)) <= largest
    if len(parts) > 1:
        assert [part[1] >> 6 for part in parts] == [0b10, *[0] * (len(parts) - 2), 0b01]  # begins, ends
        assert {part[0] & 0x1F for part in parts} == {28}


@given(found=st.lists(UNIT, min_size=1, max_size=4), zeros=st.integers(0, 3))
def test_the_units_of_a_picture_are_found(found: list[bytes], zeros: int) -> None:
    assert units(b"".join(b"\x00" * zeros + b"\x00\x00\x01" + unit for unit in found)) == found


def test_packets_are_numbered_timed_and_the_last_of_a_picture_is_marked() -> None:
    packets = Packets(7)
    packets._sequence = 65_535  # noqa: SLF001 - a number of 16 bits turns over
    picture = b"\x00\x00\x00\x01\x67\x01\x00\x00\x01" + b"\x65" * (LARGEST_BYTES + 1)
    heads = [struct.unpack(">BBHII", packet[:12]) for packet in packets.of(picture, 2.0)]
    assert heads == [
        (0x80, 96, 65_535, 2 * CLOCK_HZ, 7),
        (0x80, 96, 0, 2 * CLOCK_HZ, 7),
        (0x80, 96 | 0x80, 1, 2 * CLOCK_HZ, 7),
    ]
    # Thirteen hours on, the time of 32 bits has turned over.
    (late,) = packets.of(b"\x00\x00\x01\x41\x01", (1 << 32) / CLOCK_HZ + 1)
    assert struct.unpack(">I", late[4:8]) == (CLOCK_HZ,)
