"""What a decoder says survives any cutting of the stream, and nothing else is believed."""

from __future__ import annotations

import math
import struct
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.failure import FailureKind
from streamtag.core.records import Sample
from streamtag.ingest import wire

SLOTS = 200


def message(number: int) -> wire.SampleMessage:
    return wire.SampleMessage(
        Sample(number, number * 0.5, 1e9 + number, number % SLOTS, 0.25, number + 1, number + 1), 0.5, 0.75, 0.125
    )


def told(number: int) -> list[wire.Message]:
    """One of each kind."""
    at = (number, 0.5, 1e9, number + 1, number + 1)
    return [
        message(number),
        wire.Opened(1920, 1080, 29.97, number),
        wire.Progress(number, number),
        wire.FrameFailed(*at, "corrupt", "é" * (number % 50)),
        wire.FrameDropped(*at, "backpressure"),
        wire.Ended(number, number, "a note"),
        wire.DecoderFailed(FailureKind.AUTH, "no"),
    ]


def framed(packet: bytes) -> bytes:
    return struct.pack("<I", len(packet)) + packet


def heard(content: bytes) -> list[wire.Message]:
    return list(wire.Unpacker(SLOTS).feed(content))


@given(st.lists(st.integers(0, 2**31), max_size=20), st.lists(st.integers(1, 300), max_size=60))
def test_messages_come_out_as_they_went_in_however_they_are_cut(numbers: list[int], cuts: list[int]) -> None:
    expected = [one for number in numbers for one in told(number)]
    content = b"".join(wire.pack(one) for one in expected)
    unpacker = wire.Unpacker(SLOTS)
    found: list[wire.Message] = []
    for cut in cuts:
        found += unpacker.feed(content[:cut])
        content = content[cut:]
    found += unpacker.feed(content)
    assert found == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"slot": SLOTS},
        {"index": -1},
        {"index": 2**60},
        {"index": 8},  # decoded, of which it is one, is 8
        {"pts_s": math.nan},
        {"pts_s": math.inf},
        {"pts_s": 1e30},
        {"captured_unix_s": -1.0},
        {"scene_change": math.nan},
        {"scene_change": 2.0},
        {"sampled": 0},
        {"sampled": 9},
    ],
    ids=str,
)
def test_a_sample_out_of_range_is_refused(changed: dict[str, float]) -> None:
    fine = message(7)
    assert heard(wire.pack(fine)) == [fine]
    with pytest.raises(wire.MalformedMessage, match="out of range"):
        heard(wire.pack(replace(fine, sample=replace(fine.sample, **changed))))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"?{}",
        b"S",
        b"S" + bytes(200),
        b"P",
        b"P[]",
        b'P{"decoded":1}',
        b'P{"decoded":-1,"sampled":0}',
        b'P{"decoded":true,"sampled":0}',
        b'P{"decoded":1.5,"sampled":0}',
        b'P{"decoded":' + b"9" * 401 + b',"sampled":0}',
        b'O{"width":1,"height":1,"fps":NaN,"frames":1}',
        b'X{"failure":"explode","reason":"x"}',
        b'D{"index":1,"pts_s":0.0,"captured_unix_s":1.0,"decoded":2,"sampled":1,"reason":"corrupt"}',
        b'F{"index":1,"pts_s":0.0,"captured_unix_s":1.0,"decoded":2,"sampled":1,"reason":"of my own"}',
        b'X{"failure":"retry","reason":"' + b"x" * 3000 + b'"}',
        b"X" + b"[" * 60_000,
        b"E\xff\xfe",
    ],
    ids=lambda packet: repr(packet[:24]),
)
def test_what_is_no_message_is_refused(packet: bytes) -> None:
    with pytest.raises(wire.MalformedMessage):
        heard(framed(packet))


def test_a_message_without_end_is_refused_before_it_is_kept() -> None:
    with pytest.raises(wire.MalformedMessage, match="4294967295 bytes"):
        heard(b"\xff\xff\xff\xff")


@given(st.binary(max_size=400))
def test_any_bytes_are_messages_or_refused(content: bytes) -> None:
    try:
        heard(content)
        heard(framed(content))
    except wire.MalformedMessage:
        pass


@given(st.dictionaries(st.sampled_from(["decoded", "sampled", "note", "x"]), st.integers() | st.text() | st.floats()))
def test_any_json_is_a_message_or_refused(content: dict[str, object]) -> None:
    try:
        packet = orjson.dumps(content)
    except TypeError:  # a number beyond 64 bits
        return
    try:
        (found,) = heard(framed(b"E" + packet))
    except wire.MalformedMessage:
        return
    assert isinstance(found, wire.Ended)


def test_a_text_that_is_too_long_or_no_text_still_arrives() -> None:
    """Names of files are bytes; the reason of a failure must not be lost over one."""
    reason = "caf\udce9.mp4: " + "x" * 5000
    (found,) = heard(wire.pack(wire.DecoderFailed(FailureKind.REJECT, reason)))
    assert isinstance(found, wire.DecoderFailed)
    assert found.reason.startswith("caf\\udce9.mp4: xxx")


def test_the_region_of_a_sample_is_one_of_the_job_s() -> None:
    sample = Sample(7, 0.5, 1e9, 3, 0.25, 8, 16, region=1)
    messages: list[wire.Message] = [
        wire.SampleMessage(sample, 0.5, 0.75, 0.125),
        wire.FrameFailed(8, 0.5, 1e9, 9, 17, "corrupt", region=1),
        wire.FrameDropped(8, 0.5, 1e9, 9, 18, "backpressure", region=0),
    ]
    content = b"".join(map(wire.pack, messages))
    assert list(wire.Unpacker(SLOTS, 2).feed(content)) == messages
    for one in messages[:2]:
        with pytest.raises(wire.MalformedMessage, match=r"region 1 of 1"):
            heard(wire.pack(one))


def test_a_frame_has_no_more_samples_than_regions() -> None:
    packet = wire.pack(wire.SampleMessage(Sample(0, 0.0, 1e9, 0, 0.0, 1, 3), 0.0, 0.5, 0.0))
    with pytest.raises(wire.MalformedMessage, match="sampled 3"):
        list(wire.Unpacker(SLOTS, 2).feed(packet))
    assert len(list(wire.Unpacker(SLOTS, 3).feed(packet))) == 1
