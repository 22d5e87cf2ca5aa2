"""The end of a picture is told where nothing follows it, and what comes after that is numbered on."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from streamtag.ingest import interleaved
from streamtag.ingest.interleaved import Interleaved
from streamtag.ingest.picture_ends import HEAD_BYTES, UNITS, PictureEnds, later_ticks

H264, H265 = UNITS[b"H264"], UNITS[b"H265"]
MARK = 0x80
START = b"\0\0\0\1"


def rtp(number: int, time: int, mark: int = 0, kind: int = 96, body: bytes = b"\x41picture") -> bytes:
    return struct.pack(">BBHII", 0x80, mark | kind, number & 0xFFFF, time & 0xFFFFFFFF, 7) + body


def numbers(packets: list[bytes]) -> list[int]:
    return [int.from_bytes(packet[2:4], "big") for packet in packets]


@dataclass
class Way:
    """From a camera to FFmpeg."""

    ends: PictureEnds = field(default_factory=lambda: PictureEnds({96: H264, 98: H265}))
    sent: list[bytes] = field(default_factory=list)

    def come(self, *packets: bytes) -> None:
        for packet in packets:
            content = bytearray(b"$\0\0\0" + packet)
            before = self.ends.pass_on(content, 4, len(content))
            self.sent += ([before] if before else []) + [bytes(content[4:])]

    def quiet(self) -> bool:
        """Nothing comes for a while; whether the end of a picture was told."""
        told = self.ends.open_end
        if told:
            self.sent.append(self.ends.tell())
        return told


def test_packets_of_a_camera_that_never_pauses_are_left_as_they_are() -> None:
    way = Way()
    packets = [rtp(number, number // 3, MARK if number % 3 == 2 else 0) for number in range(65_530, 65_550)]
    way.come(*packets)
    assert way.sent == packets


@pytest.mark.parametrize(("kind", "units"), [(96, H264), (98, H265)])
def test_the_end_is_told_once_and_the_next_picture_says_when_it_is_shown(kind: int, units: Any) -> None:
    way = Way()
    way.come(rtp(65_534, 1000, kind=kind))
    assert not way.quiet(), "more of it is to come"
    way.come(rtp(65_535, 1000, MARK, kind))
    assert way.quiet()
    assert not way.quiet()
    way.come(rtp(0, 91_000, kind=kind), rtp(1, 91_000, MARK, kind))
    assert way.quiet()
    way.come(rtp(2, 181_000, MARK, kind))
    assert numbers(way.sent) == [65_534, 65_535, 0, 1, 2, 3, 4, 5, 6]
    assert way.sent[2] == rtp(0, 1000, MARK, kind, units.delimiter)
    assert later_ticks(way.sent[3]) == 90_000
    assert way.sent[4] == rtp(2, 91_000, kind=kind)


@pytest.mark.parametrize("ticks", [0, 1, 90_000, -3600, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("units", [H264, H265], ids=["H.264", "H.265"])
def test_a_time_is_said_in_bytes_that_are_no_start_code(units: Any, ticks: int) -> None:
    said = START + units.delimiter + START + units.later(ticks)
    assert later_ticks(said) == ticks
    assert len(said) <= HEAD_BYTES
    assert b"\0" not in units.later(ticks)


def test_what_is_no_message_of_ours_says_nothing() -> None:
    message = H264.later(5)
    assert later_ticks(b"") == 0
    assert later_ticks(message[:-9]) == 0
    assert later_ticks(message.replace(b"00000005", b"00+-0x 5")) == 0


def test_a_camera_that_marks_the_middle_of_its_pictures_is_believed_no_longer() -> None:
    way = Way()
    way.come(rtp(1, 1000, MARK))
    assert way.quiet()
    way.come(rtp(2, 1000, MARK))
    assert [later_ticks(packet) for packet in way.sent] == [0] * 4
    assert not way.quiet()
    way.come(rtp(3, 91_000, MARK))
    assert not way.quiet()
    assert numbers(way.sent) == [1, 2, 3, 4, 5]


def test_what_was_overtaken_by_the_end_of_its_picture_begins_none() -> None:
    way = Way()
    way.come(rtp(1, 1000), rtp(3, 1000, MARK))
    assert way.quiet()
    way.come(rtp(2, 1000), rtp(4, 91_000))
    assert numbers(way.sent) == [1, 3, 4, 3, 5, 6]
    assert later_ticks(way.sent[4]) == 90_000


def test_reports_other_payloads_and_what_is_no_packet_are_left_alone() -> None:
    way = Way()
    report = struct.pack(">BBHII", 0x80, 200, 6, 7, 1) + bytes(16)
    way.come(rtp(1, 1000, MARK, kind=97))
    assert not way.quiet()
    way.come(rtp(2, 1000, MARK))
    assert way.quiet()
    way.come(report, b"", b"\x80\xe0")
    assert way.sent[-3:] == [report, b"", b"\x80\xe0"]
    way.come(rtp(3, 91_000))
    assert later_ticks(way.sent[-2]) == 90_000


SDP = b"RTSP/1.0 200 OK\r\n\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 h264/90000\r\na=rtpmap:26 JPEG/90000\r\n"
REPLY = b"RTSP/1.0 200 OK\r\nCSeq: 5\r\nContent-Length: 9\r\n\r\nbody\n$\0\0\2"
BARE = b"RTSP/1.0 200 OK\nCSeq: 6\n"  # cut off by a packet


def framed(*packets: bytes) -> bytes:
    return b"".join(b"$\0" + len(packet).to_bytes(2, "big") + packet for packet in packets)


async def passed_on(pieces: list[bytes], quiet_s: float = 0.0) -> list[bytes]:
    """What is written of what comes piece by piece."""
    written: list[bytes] = []

    class Writer:
        def write(self, content: bytes) -> None:
            written.append(bytes(content))

    way = Interleaved(cast(Any, Writer()))
    way.describe(SDP)
    assert way.wants_packets
    come = bytearray()
    for piece in pieces:
        come += piece
        way.pass_on(come)
        await asyncio.sleep(quiet_s)
    way.close()
    return written


def test_a_stream_comes_out_as_it_went_in_wherever_it_is_cut() -> None:
    whole = framed(rtp(1, 1000), b"") + REPLY + framed(rtp(2, 1000, MARK)) + BARE + framed(rtp(3, 4600)) + REPLY
    for cut in range(len(whole)):
        written = asyncio.run(passed_on([whole[:cut], whole[cut:]]))
        assert b"".join(written) == whole, cut


def test_the_end_is_told_when_nothing_has_come_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleaved, "QUIET_S", 0.01)
    first, second = rtp(1, 1000, MARK), rtp(2, 91_000)
    written = asyncio.run(passed_on([framed(first), framed(second)], quiet_s=0.5))
    told = [rtp(2, 1000, MARK, body=H264.delimiter), rtp(3, 91_000, body=H264.later(90_000)), rtp(4, 91_000)]
    assert b"".join(written) == framed(first, *told)


def test_what_has_no_end_ends_the_connection() -> None:
    for endless in (b"x" * 70_000, b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n"):
        with pytest.raises(ValueError, match="no RTSP"):
            asyncio.run(passed_on([endless]))
