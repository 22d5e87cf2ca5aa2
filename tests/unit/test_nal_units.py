"""Packets with which decoding can begin, by their bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.ingest.nal_units import NalUnits, Picture, is_whole_h264

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


# A slice's first numbers: where it begins, in macroblocks, and what it is.
I_SLICE, LATER_I_SLICE, P_SLICE, ALL_I = b"\xb3", b"\x01\xe2\xff", b"\x9a", b"\x88"


@pytest.mark.parametrize(
    ("units", "whole"),
    [
        ([b"\x67\x42", b"\x68\xce", b"\x65\x88"], True),
        ([b"\x06\x06\x01\xc4", b"\x41" + ALL_I], True),
        ([b"\x06\x06\x01\xc4", b"\x41" + I_SLICE, b"\x41" + LATER_I_SLICE], True),
        ([b"\x06\x06\x01\xc4", b"\x41" + P_SLICE], False),
        ([b"\x41" + I_SLICE, b"\x41" + P_SLICE], False),
        ([b"\x41"], False),
        ([b"\x41\0\0"], False),
    ],
)
def test_a_key_frame_of_h264_is_whole_where_all_of_it_is_coded_by_itself(units: list[bytes], whole: bool) -> None:
    assert is_whole_h264(b"".join(b"\0\0\0\1" + one for one in units)) is whole


@given(st.binary(max_size=64))
def test_any_bytes_are_whole_or_not(content: bytes) -> None:
    assert is_whole_h264(b"\0\0\1\x41" + content) in (True, False)
