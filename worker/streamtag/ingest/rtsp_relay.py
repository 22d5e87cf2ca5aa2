"""The RTSP half of the gate: between FFmpeg, which is given TCP whatever the camera can do, and the camera.

FFmpeg would follow a redirect to anywhere; here one ends the connection. Messages pass as they are, but for one header:
where a camera sends over UDP only, it is asked for that, and what it sends is put into FFmpeg's TCP connection. So a
decoder needs no UDP, and what waits for it can be seen. Packets pass as they are until FFmpeg has to be told of the
end of a picture (``picture_ends.py``).
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Literal, cast

from streamtag.ingest.interleaved import BODY_BYTES, HEAD_BYTES, Interleaved

_CHUNK_BYTES = 65_536
_STATUS = re.compile(rb"RTSP/1\.\d (\d{3})(?: .*)?")
_REQUEST = re.compile(rb"[A-Z_]{3,20} \S+ RTSP/1\.\d")
_TRANSPORT = re.compile(rb"^transport:.*$", re.IGNORECASE | re.MULTILINE)
_CHANNELS = re.compile(rb"interleaved=(\d{1,3})-(\d{1,3})")
_SERVER_PORTS = re.compile(rb"server_port=(\d{1,5})-(\d{1,5})")
_RECEIVE_BYTES = 4 * 1024**2  # a key frame comes all at once
_WAITING_BYTES = 8 * 1024**2  # for a decoder that takes nothing, before packets are lost
_PAIR_TRIES = 50
# Sent to where packets will come from, so that what stands between knows them: an RTP header and an RTCP report, empty.
_PUNCHES = (b"\x80" + bytes(11), b"\x80\xc9\x00\x01" + bytes(4))

Transport = Literal["auto", "tcp", "udp"]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Redirected(Exception):
    """The server names another address."""


class RtspRelay:
    """One connection of FFmpeg's to its camera.

    Args:
        near: to FFmpeg.
        far: to the camera.
        transport: ``auto`` asks for TCP, and for UDP where the camera will not have that.
    """

    def __init__(self, near: Connection, far: Connection, transport: Transport) -> None:
        self._near_reader, self._near_writer = near
        self._far_reader, self._far_writer = far
        self._packets = Interleaved(self._near_writer)
        self._auto = transport == "auto"
        self._udp = transport == "udp"
        self._asked: bytes | None = None  # the last SETUP, as FFmpeg wrote it, until its answer has come
        self._ports: dict[int, _Port] = {}  # by FFmpeg's channel
        self._plays = asyncio.Event()

    async def run(self, head: bytes) -> None:
        """Relay until one side ends.

        Args:
            head: the first request of FFmpeg's.

        Raises:
            Redirected: by the camera.
            ValueError: one side does not speak RTSP.
        """
        try:
            await either(self._requests(head), self._replies())
        finally:
            self._packets.close()
            for port in self._ports.values():
                port.close()

    async def _requests(self, message: bytes) -> None:
        """From FFmpeg to the camera. It asks to play only when it no longer looks for where the stream is."""
        while True:
            if message.startswith(b"SETUP "):
                self._asked = message
                message = await self._for_udp(message) if self._udp else message
            elif message.startswith(b"PLAY "):
                self._plays.set()
            if message.startswith(b"$") and self._udp:
                self._report(message)
            else:
                self._far_writer.write(message)
                await self._far_writer.drain()
            message = await _message(self._near_reader)

    async def _replies(self) -> None:
        """From the camera to FFmpeg: reply by reply until it plays, then as it comes.

        What FFmpeg could take for another reply than we do must not pass, so whatever is unusual ends the connection.
        """
        while self._udp or not self._plays.is_set():
            reply = await _message(self._far_reader)
            if self._asked is not None and not reply.startswith(b"$"):
                asked, self._asked = self._asked, None
                if reply.startswith(b"RTSP/1.0 461") and self._auto and not self._udp:
                    self._udp, self._asked = True, asked
                    self._far_writer.write(await self._for_udp(asked))
                    continue
                reply = self._for_tcp(reply) if self._udp else reply
            self._packets.describe(reply)
            self._near_writer.write(reply)
            await self._near_writer.drain()
        if self._packets.wants_packets:
            await self._play()
        else:
            await copy(self._far_reader, self._near_writer)

    async def _play(self) -> None:
        """From the camera to FFmpeg, packets and replies."""
        come = bytearray()
        with suppress(ConnectionResetError):  # see ``copy``
            while content := await self._far_reader.read(_CHUNK_BYTES):
                come += content
                self._packets.pass_on(come)
                await self._near_writer.drain()

    async def _for_udp(self, setup: bytes) -> bytes:
        """FFmpeg's request with ports of ours in place of the channels that it wants."""
        channels = _CHANNELS.search(setup)
        if channels is None:
            raise ValueError("a SETUP without channels")
        own_host, camera_host = (self._far_writer.get_extra_info(name)[0] for name in ("sockname", "peername"))
        pair = _bind_pair(own_host)
        for channel, sock in zip(map(int, channels.groups()), pair, strict=True):
            make = partial(_Port, channel, camera_host, self._near_writer, self._packets)
            _, self._ports[channel] = await asyncio.get_running_loop().create_datagram_endpoint(make, sock=sock)
        first = pair[0].getsockname()[1]
        return _TRANSPORT.sub(b"Transport: RTP/AVP;unicast;client_port=%d-%d\r" % (first, first + 1), setup, count=1)

    def _for_tcp(self, reply: bytes) -> bytes:
        """The camera's answer as FFmpeg expects it; the ports that it names are greeted."""
        pair = list(self._ports.values())[-2:]
        if ports := _SERVER_PORTS.search(reply):
            for port, number, punch in zip(pair, ports.groups(), _PUNCHES, strict=True):
                port.greet(int(number), punch)
        channels = b"-".join(b"%d" % port.channel for port in pair)
        return _TRANSPORT.sub(b"Transport: RTP/AVP/TCP;unicast;interleaved=%s\r" % channels, reply, count=1)

    def _report(self, message: bytes) -> None:
        """What FFmpeg has to say about the packets, to where they come from."""
        port = self._ports.get(message[1])
        if port is not None:
            port.send(message[4:])


class _Port(asyncio.DatagramProtocol):
    """A UDP port that one camera sends to: what comes goes into FFmpeg's connection, on its channel."""

    def __init__(self, channel: int, camera_host: str, near_writer: asyncio.StreamWriter, packets: Interleaved) -> None:
        self.channel = channel
        self._camera_host = camera_host
        self._near_writer = near_writer
        self._packets = packets
        self._transport: asyncio.DatagramTransport | None = None
        self._camera: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[Any, ...]) -> None:
        waiting_bytes = self._near_writer.transport.get_write_buffer_size()
        if address[0] == self._camera_host and waiting_bytes < _WAITING_BYTES:
            self._packets.packet(self.channel, data)

    def greet(self, number: int, punch: bytes) -> None:
        """Send to the port that the camera has named."""
        if 0 < number < 65_536:
            self._camera = self._camera_host, number
            self.send(punch)

    def send(self, data: bytes) -> None:
        if self._transport is not None and self._camera is not None:
            self._transport.sendto(data, self._camera)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _bind_pair(host: str) -> tuple[socket.socket, socket.socket]:
    """Two ports in a row, of which the first is even (RFC 3550).

    Raises:
        OSError: there are none.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(_PAIR_TRIES):
        first, second = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        with suppress(OSError):
            first.bind((host, 0))
            number = first.getsockname()[1]
            if number % 2 == 0:
                second.bind((host, number + 1))
                for one in (first, second):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
                    one.setblocking(False)
                return first, second
        first.close()
        second.close()
    raise OSError("no two UDP ports in a row are free")


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One request, reply or packet on a channel.

    Raises:
        Redirected: a reply that names another address.
        ValueError: none of these.
    """
    first = await reader.readexactly(1)
    if first == b"$":
        header = await reader.readexactly(3)
        return first + header + await reader.readexactly(int.from_bytes(header[1:], "big"))
    lines = [(first + await reader.readuntil(b"\n")).replace(b"\r", b"").rstrip(b"\n")]
    status = _STATUS.fullmatch(lines[0])
    if status and status[1].startswith(b"3"):
        raise Redirected
    if not status and not _REQUEST.fullmatch(lines[0]):
        raise ValueError("no RTSP")
    length, size = 0, 0
    while lines[-1]:
        line = (await reader.readuntil(b"\n")).replace(b"\r", b"").rstrip(b"\n")
        size += len(line)
        if line.startswith(b"$") or size > HEAD_BYTES:
            raise ValueError("no RTSP header")
        if line.lower().startswith(b"content-length:"):
            length = int(line[15:])
        lines.append(line)
    if not 0 <= length <= BODY_BYTES:
        raise ValueError("no RTSP body")
    return b"\r\n".join(lines) + b"\r\n" + await reader.readexactly(length)


async def either(*ways: Coroutine[Any, Any, None]) -> None:
    """Run both directions of a connection until one of them ends."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, as it comes."""
    # A server that resets its connection becomes one that ends it, of which FFmpeg says how much is missing.
    with suppress(ConnectionResetError):
        while content := await reader.read(_CHUNK_BYTES):
            writer.write(content)
            await writer.drain()
