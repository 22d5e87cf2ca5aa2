"""The packets of a live stream, taken off the network by a thread of their own as they come.

Who decodes may be slow; the connection is drained all the same, so that what a camera sends does not grow old in
buffers that nobody can look into. Runs in the decoder process only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import heapq
import itertools
import math
import os
import socket
import stat
import sys
import termios
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from streamtag.core.live_clock import ArrivalClock, BurstClock, at_pace
from streamtag.ingest.picture_ends import HEAD_BYTES, later_ticks
from streamtag.ingest.readers import MOST_REORDERED, Fate

# How long is looked at what comes at first, to tell what a server had kept from what is new.
SETTLE_S = 1.0
# Nothing came for so long: what came before is all there was.
QUIET_S = 0.3
# Where the first packet took longer than this to come, it may have waited for the processor, and others behind it: what
# comes is looked at for longer then.
PROMPT_S = 0.5
LATE_SETTLE_S = 3.0
# How long packets that nobody waits for may lie: to be woken for each costs as much as all that is done with it.
PATIENCE_S = 0.25
# So many packets were passed over and none came: the camera began to number them anew, as its encoder was restarted.
RESTART_S, RESTART_PACKETS = 1.0, 4
# What may wait for the decoder. Beyond it the network waits, and what comes from there is known to be late.
WAITING_BYTES = 32 * 1024**2
# Frames may be sent in another order than they are shown in, by no more than this.
REORDERED_S = 1.0
# A packet is sent in parts, each with a head of its own: by so much it is larger at most.
WITH_HEADS = 1.25
_DESCRIPTORS = 128
_ZERO = bytes(4)  # as a C int


@dataclass(slots=True)
class Arrived:
    """A packet and what is known of its times, in seconds of the monotonic clock."""

    packet: Packet[VideoStream]
    key: bool
    raw_s: float | None  # by the camera's clock
    seen_s: float  # when it was read
    arrived_s: float  # when it had come
    lossy: bool = False  # others are missing before its end, or at the beginning of the next
    fate: Fate = Fate.SAMPLE


class PacketFeed:
    """A container's video packets with the time of their arrival, in order.

    Args:
        connections: by which they come, to see whether more waits there.
        read_timeout_s: of silence, after which nothing more is waited for.
        lost: how often something was missing since that was last asked.
        passed_over: how many packets were passed over since, as those with higher numbers had come before.
        timed: they carry times of the camera's.
        bursts: they come segment by segment, and are held back to be had as evenly as they were made.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        connections: Connections,
        read_timeout_s: float,
        lost: Callable[[], int],
        passed_over: Callable[[], int],
        timed: bool = True,
        bursts: bool = False,
    ) -> None:
        self._container = container
        self._stream = stream
        self._connections = connections
        self._read_timeout_s = read_timeout_s
        self._lost, self._passed_over = lost, passed_over
        self._passed = 0  # since a packet came
        self._tick_s = float(stream.time_base or 0)  # a fraction a packet would cost more than all else that is asked
        self._timed, self._bursts = timed, bursts
        self._clock: ArrivalClock | BurstClock = BurstClock() if bursts else ArrivalClock()
        self._unread_bytes = 0  # behind the last packet
        self._packets: deque[Arrived] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._ended = False
        self._error: Exception | None = None
        self._settled = False
        self._raw_s = -math.inf
        # Frames that are shown in another order come at times that are not even: each gets the earliest of these.
        self._shown_s: list[float] = []
        self._reordered = 0  # how many more than one wait
        self._corrupt = False  # the last packet, or the beginning of the next
        self.patient = False  # only key frames are wanted at once; written by who takes
        self.last_s = time.monotonic()  # when a packet last came
        self._thread = threading.Thread(target=self._drain, name="packets", daemon=True)
        self._thread.start()

    def take(self) -> Arrived | None:
        """The next packet, waiting for it; None at the end.

        Raises:
            av.FFmpegError: the connection broke or fell silent, and all that came before is taken.
        """
        with self._changed:
            if not self._settled:
                self._settle()
            while not self._packets and not self._ended:
                self._wait()
            self._hold_back()
            if not self._packets:
                if self._error is not None:
                    raise self._error
                return None
            arrived, self._passed = self._packets.popleft(), 0
            self._waiting_bytes -= arrived.packet.size
            self._changed.notify_all()
            return arrived

    @property
    def held_s(self) -> float:
        """How long packets are held back after they have come."""
        return self._clock.held_s

    def _hold_back(self) -> None:
        """Until it is the next packet's turn."""
        while self._packets and self.held_s:
            left_s = self._packets[0].arrived_s + self.held_s - time.monotonic()
            if left_s <= 0:
                return
            self._changed.wait(left_s)

    def _wait(self) -> None:
        # Segments of ten seconds come ten seconds apart, and a playlist is asked for again after half of that.
        left_s = self.last_s + self._read_timeout_s + 2 * self.held_s - time.monotonic()
        if left_s > 0:
            if not self._changed.wait(min(left_s, PATIENCE_S if self.patient else RESTART_S)):
                self._look_for_restart()
        elif not self._connections.unread_bytes():
            raise av.FFmpegError(errno.ETIMEDOUT, "nothing came")
        else:
            self._changed.wait(PATIENCE_S)  # something has; it was we who were not there to read it

    def _look_for_restart(self) -> None:
        """FFmpeg would pass over all that comes until the numbers are where they were, for minutes."""
        self._passed += self._passed_over()
        if self._passed >= RESTART_PACKETS and time.monotonic() - self.last_s >= RESTART_S:
            raise av.FFmpegError(errno.ECONNRESET, "the numbers of its packets began anew")

    def give_up_old(self) -> bool:
        """Mark what waits before the newest key frame as lost. False without one: all of it is."""
        with self._changed:
            newest = max((place for place, arrived in enumerate(self._packets) if arrived.key), default=None)
            for place, arrived in enumerate(self._packets):
                if newest is not None and place >= newest:
                    break
                arrived.fate = Fate.LAGGING
        return newest is not None

    def _settle(self) -> None:
        """Wait until packets come at the pace at which they were made, and tell those from before by their times."""
        began_s = time.monotonic()
        while not self._ended and (self._bursts or not self._at_pace()):
            if time.monotonic() - began_s >= (SETTLE_S if self._prompt() else LATE_SETTLE_S):
                break
            if not self._changed.wait(QUIET_S) and self._packets:
                break
        self._settled = True
        for arrived in self._packets:
            arrived.arrived_s = self._clock.place_s(arrived.raw_s, arrived.seen_s)
        if self._bursts:
            self._clock.held_s = max((arrived.seen_s - arrived.arrived_s for arrived in self._packets), default=0.0)
            return
        for arrived, _next in itertools.pairwise(self._packets):
            arrived.fate = Fate.OLD

    def _prompt(self) -> bool:
        first_s = self._packets[0].seen_s if self._packets else time.monotonic()
        return first_s - self._connections.began_s <= PROMPT_S

    def _at_pace(self) -> bool:
        return at_pace(((arrived.seen_s, arrived.raw_s) for arrived in reversed(self._packets)), self._prompt())

    def _drain(self) -> None:
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:  # an empty one says that it was the last
                    self._add(packet)
        except av.FFmpegError as error:
            self._error = error
        except Exception as error:
            self._error = RuntimeError(f"packets cannot be read: {error!r}")
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _add(self, packet: Packet[VideoStream]) -> None:
        # FFmpeg knows a packet's end by the beginning of the next, and calls it damaged where either is.
        lossy, self._corrupt = self._lost() > 0 or packet.is_corrupt or self._corrupt, packet.is_corrupt
        seen_s, unread_bytes = time.monotonic(), self._connections.unread_bytes()
        self.last_s, raw_s = seen_s, self._camera_time(packet)
        if 0 < self._unread_bytes <= WITH_HEADS * packet.size:
            self._clock.was_caught_up()
        self._unread_bytes = unread_bytes
        arrived_s = self._clock.arrived_s(seen_s, raw_s, caught_up=unread_bytes == 0)
        with self._changed:
            while self._waiting_bytes > WAITING_BYTES:
                self._changed.wait()
            self._waiting_bytes += packet.size
            key = packet.is_keyframe
            if key and self._bursts and not lossy:
                # Where a segment is numbered anew, the last that came before it seems to be damaged.
                for before in itertools.islice(reversed(self._packets), 2):
                    before.lossy = False
            self._packets.append(Arrived(packet, key, raw_s, seen_s, arrived_s, lossy))
            if key or not self.patient:
                self._changed.notify_all()

    def _camera_time(self, packet: Packet[VideoStream]) -> float | None:
        if packet.pts is None or not self._timed:
            return None
        if later := later_ticks(bytes(memoryview(packet)[:HEAD_BYTES])):
            packet.pts += later
        raw_s = packet.pts * self._tick_s
        anew = not self._raw_s - REORDERED_S < raw_s <= self._raw_s + REORDERED_S
        if anew:
            self._shown_s.clear()  # the clock was set, or much is missing
        elif raw_s < self._raw_s:
            self._reordered = min(MOST_REORDERED, self._reordered + 1)  # it is shown before one that came earlier
        if not anew:
            heapq.heappush(self._shown_s, raw_s)
            enough = len(self._shown_s) > self._reordered
            raw_s = max(self._raw_s, heapq.heappop(self._shown_s)) if enough else self._raw_s
        self._raw_s = raw_s
        return raw_s


class Connections:
    """The connections to servers that this process has opened since; FFmpeg opens them and does not tell."""

    def __init__(self) -> None:
        self.began_s = time.monotonic()  # to open them
        self._before = set(_tcp_connections())
        self._found: tuple[int, ...] = ()

    def opened(self) -> None:
        """Look for them: they are there."""
        self._found = tuple(descriptor for descriptor in _tcp_connections() if descriptor not in self._before)

    def unread_bytes(self) -> int:
        """How much is left to read."""
        unread = 0
        with contextlib.suppress(OSError):  # it is closed
            for descriptor in self._found:
                unread += int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, _ZERO), sys.byteorder)
        return unread


def _tcp_connections() -> Iterator[int]:
    for descriptor in range(3, _DESCRIPTORS):
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as found:
                if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
                    yield descriptor
