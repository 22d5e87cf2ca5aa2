"""Packets with which decoding can begin, by their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.ingest.nal_units import NalUnits, Picture

AVCC = bytes([1, 100, 0, 31, 0xFF, 0xE1, 0])  # lengths of 4 bytes
HVCC = bytes([1] + [0] * 20 + [0xFD, 0])  # of 2 bytes


def unit(length_bytes: int, *content: int) -> bytes:
    return len(content).to_bytes(length_bytes, "big") + bytes(content)


@pytest.mark.parametrize(
    ("types", "picture"),
    [
        ([5], Picture.REFRESH),
        ([6, 7, 8, 5, 5], Picture.REFRESH),
        ([1], Picture.OTHER),
        ([6, 1], Picture.OTHER),
        ([9, 2], Picture.OTHER),
        ([6, 7, 8], Picture.OTHER),
        ([], Picture.OTHER),
    ],
)
def test_h264_begins_anew_with_an_idr_picture(types: list[int], picture: Picture) -> None:
    units = NalUnits.of("h264", AVCC)
    assert units is not None
    packet = b"".join(unit(4, 0x60 | kind, 1, 2, 3) for kind in types)
    assert units.picture(memoryview(packet)) is picture


@pytest.mark.parametrize(
    ("kind", "picture"),
    [
        (19, Picture.REFRESH),
        (20, Picture.REFRESH),
        (21, Picture.RANDOM_ACCESS),
        (8, Picture.LEADING),
        (7, Picture.LEADING),
        (16, Picture.OTHER),
        (1, Picture.OTHER),
        (0, Picture.OTHER),
    ],
)
def test_h265_tells_pictures_by_the_type_of_their_first_unit(kind: int, picture: Picture) -> None:
    units = NalUnits.of("hevc", HVCC)
    assert units is not None
    packet = unit(2, 39 << 1, 1) + unit(2, kind << 1, 1, 7)
    assert units.picture(memoryview(packet)) is picture


@pytest.mark.parametrize(
    ("codec", "extradata"), [("h264", b""), ("h264", b"\0\0\0\1g"), ("hevc", AVCC), ("vp9", AVCC), ("mpeg4", b"")]
)
def test_what_has_no_record_of_its_units_is_left_to_others(codec: str, extradata: bytes) -> None:
    assert NalUnits.of(codec, extradata) is None


@given(st.binary(max_size=64), st.sampled_from([("h264", AVCC), ("hevc", HVCC)]))
def test_any_bytes_are_looked_at_without_harm(packet: bytes, kind: tuple[str, bytes]) -> None:
    units = NalUnits.of(*kind)
    assert units is not None
    assert units.picture(memoryview(packet)) in Picture
