"""How packets of a live stream are handed over, from a container without a network."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import av
import pytest
from streamtag.ingest import packets
from streamtag.ingest.packets import Arrived, PacketFeed
from streamtag.ingest.picture_ends import UNITS


@dataclass
class FakePacket:
    is_keyframe: bool
    size: int = 1
    pts: None = None
    is_corrupt: bool = False


@dataclass
class FakeContainer:
    """Gives what it is sent."""

    sent: queue.Queue[FakePacket | None] = field(default_factory=queue.Queue)

    def demux(self, _stream: object) -> Iterator[FakePacket]:
        while (packet := self.sent.get(timeout=30)) is not None:
            yield packet


STREAM = cast(Any, SimpleNamespace(time_base=Fraction(1, 90_000)))


@dataclass
class FakeConnections:
    """Says how much is left to read."""

    unread: int = 0
    began_s: float = field(default_factory=time.monotonic)

    def unread_bytes(self) -> int:
        return self.unread


def feed_of(
    container: FakeContainer,
    connections: FakeConnections | None = None,
    read_timeout_s: float = 60.0,
    passed_over: Callable[[], int] = lambda: 0,
) -> PacketFeed:
    return PacketFeed(
        cast(Any, container),
        STREAM,
        cast(Any, connections or FakeConnections()),
        read_timeout_s,
        lambda: 0,
        passed_over,
    )


@dataclass
class Taker:
    """Takes packets in a thread, as a decoder does."""

    feed: PacketFeed
    patient: bool = False  # from the next packet on
    taken: queue.Queue[Arrived | None] = field(default_factory=queue.Queue)

    def start(self) -> None:
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        arrived: Arrived | None
        while (arrived := self.feed.take()) is not None:
            self.feed.patient = self.patient
            self.taken.put(arrived)
        self.taken.put(None)


def test_who_waits_for_key_frames_is_told_of_them_at_once_and_of_the_others_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packets, "PATIENCE_S", 60.0)
    container = FakeContainer()
    feed = feed_of(container)
    taker = Taker(feed)
    container.sent.put(FakePacket(is_keyframe=True))
    taker.start()
    assert taker.taken.get(timeout=20) is not None
    container.sent.put(FakePacket(is_keyframe=False))
    assert taker.taken.get(timeout=20) is not None, "somebody waits for it"
    taker.patient = True
    container.sent.put(FakePacket(is_keyframe=False))
    assert taker.taken.get(timeout=20) is not None
    container.sent.put(FakePacket(is_keyframe=False))
    with pytest.raises(queue.Empty):
        taker.taken.get(timeout=0.3)
    container.sent.put(FakePacket(is_keyframe=True))
    found = [taker.taken.get(timeout=20) for _ in range(2)]
    assert [one is not None and one.key for one in found] == [False, True]
    container.sent.put(None)
    assert taker.taken.get(timeout=20) is None


def test_nobody_is_patient_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "PATIENCE_S", 0.05)
    container = FakeContainer()
    feed = feed_of(container)
    feed.patient = True
    taker = Taker(feed, patient=True)
    taker.start()
    container.sent.put(FakePacket(is_keyframe=False))
    assert taker.taken.get(timeout=20) is not None
    container.sent.put(FakePacket(is_keyframe=False))
    assert taker.taken.get(timeout=20) is not None
    container.sent.put(None)


@pytest.mark.parametrize("patient", [False, True])
def test_silence_is_given_up_and_what_came_before_is_taken_first(patient: bool) -> None:
    container = FakeContainer()
    feed = feed_of(container, read_timeout_s=0.5)
    feed.patient = patient
    container.sent.put(FakePacket(is_keyframe=True))
    assert feed.take() is not None
    with pytest.raises(av.FFmpegError):
        feed.take()
    assert time.monotonic() - feed.last_s >= 0.5


def test_what_has_come_and_is_not_read_yet_is_no_silence() -> None:
    container, connections = FakeContainer(), FakeConnections()
    feed = feed_of(container, connections, read_timeout_s=0.5)
    container.sent.put(FakePacket(is_keyframe=True))
    assert feed.take() is not None
    connections.unread = 1
    taker = Taker(feed)
    taker.start()
    time.sleep(1.0)  # twice as long as silence may be
    container.sent.put(FakePacket(is_keyframe=True))
    assert taker.taken.get(timeout=20) is not None
    container.sent.put(None)
    assert taker.taken.get(timeout=20) is None


def test_a_camera_that_numbers_its_packets_anew_is_connected_to_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg passes over what has a lower number, and it looked as if the camera had fallen silent."""
    monkeypatch.setattr(packets, "RESTART_S", 0.1)
    feed = feed_of(FakeContainer(), passed_over=lambda: 2)
    with pytest.raises(av.FFmpegError, match="the numbers of its packets began anew"):
        feed.take()


@pytest.mark.parametrize(("codec", "ticks"), [(b"H264", 45_000), (b"H265", 45_000), (b"H264", -3600)])
def test_a_picture_whose_packet_says_that_it_is_shown_later_is(codec: bytes, ticks: int) -> None:
    """It has the time of the delimiter that the gate put behind the one before it."""
    units, container = UNITS[codec], FakeContainer()
    feed = feed_of(container)
    for begin in (b"", b"\0\0\0\1" + units.delimiter + b"\0\0\0\1" + units.later(ticks)):
        packet = av.Packet(begin + b"\0\0\0\1picture")
        packet.pts = 90_000
        container.sent.put(cast(Any, packet))
    container.sent.put(None)
    arrived = [feed.take(), feed.take()]
    assert [one and one.packet.pts for one in arrived] == [90_000, 90_000 + ticks]
    assert arrived[1] is not None
    assert arrived[1].raw_s == pytest.approx(1.0 + max(0, ticks) / 90_000)
