"""The gate's own process: an HTTP proxy and an RTSP relay that check each address before they connect to it.

It never decodes: of what passes through it reads the head of each request of FFmpeg's and the replies of an RTSP
server until the stream plays. FFmpeg would follow an RTSP redirect to anywhere; here one ends the connection.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 - looked for at the first name that is not ASCII, when the cage is closed
import json
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures.thread import ThreadPoolExecutor  # from where it is: its package would look for it too late
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from streamtag.ingest.cage import confine_gate
from streamtag.ingest.destinations import Destinations, Endpoint, resolve
from streamtag.redaction import printable
from streamtag.settings import SourceSettings

TROUBLE_PATH = "/trouble"
_HEAD_BYTES = 65_536
_BODY_BYTES = 1_048_576
_CHUNK_BYTES = 65_536
_MAX_CONNECTIONS = 64
_RESOLVING_THREADS = 4
_DEFAULT_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
_RTSP_STATUS = re.compile(rb"RTSP/1\.\d (\d{3})(?: .*)?")
_RTSP_REQUEST = re.compile(rb"[A-Z_]{3,20} \S+ RTSP/1\.\d")

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Trouble:
    """The last connection that was not made, and why: refused by the rules, or out of reach."""

    refused: str = ""
    unreachable: str = ""


class Refused(Exception):
    """The settings do not allow it."""


class Unreachable(Exception):
    """It does not answer now."""


def main(listener: socket.socket, lifeline: socket.socket, source: str, settings: SourceSettings) -> None:
    """Entry point of the process."""

    async def serve_and_leave() -> None:
        await GateServer(source, settings).serve(listener, lifeline)
        # The kernel closes what is open. Left to asyncio, each open connection would print a trace.
        os._exit(0)

    confine_gate(settings)
    asyncio.run(serve_and_leave())


class GateServer:
    """Serves one source's decoder.

    Args:
        source: whose host is the only one that the RTSP relay connects to.
    """

    def __init__(self, source: str, settings: SourceSettings) -> None:
        self._source = urlsplit(source)
        self._settings = settings
        self._destinations = Destinations(settings)
        self._trouble = Trouble()
        self._threads = ThreadPoolExecutor(_RESOLVING_THREADS)
        self._room = asyncio.Semaphore(_MAX_CONNECTIONS)

    async def serve(self, listener: socket.socket, lifeline: socket.socket) -> None:
        """Serve until the parent kills the process, or is gone itself.

        Args:
            lifeline: comes to its end with the parent. The kernel's own signal would not do: it is sent when the fork
                server dies, which lives as long as any of its children.
        """
        await asyncio.start_server(self._connected, sock=listener, limit=_HEAD_BYTES)
        parent, _ = await asyncio.open_connection(sock=lifeline)
        await parent.read()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._room:
            try:
                await self._serve_one(reader, writer)
            except Refused as error:
                self._trouble.refused = self._trouble.refused or str(error)
            except Unreachable as error:
                self._trouble.unreachable = str(error)
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
                pass  # one side has gone, or speaks nonsense: FFmpeg sees the end of its connection
            finally:
                writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Look at the first request of a connection and connect it with where it wants to go."""
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), self._settings.open_timeout_s)
        method, target, version = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if target == TROUBLE_PATH:
            writer.write(json.dumps(asdict(self._trouble)).encode())
        elif version.startswith("RTSP/"):
            await self._relay_rtsp(head, reader, writer)
        else:
            try:
                await self._proxy(method, target, head, reader, writer)
            except (Refused, Unreachable) as error:
                status = "403 Forbidden" if isinstance(error, Refused) else "502 Bad Gateway"
                writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                raise

    async def _proxy(
        self, method: str, target: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        tunnel = method == "CONNECT"
        scheme = "https" if tunnel else "http"
        host, port = _host_and_port(f"https://{target}" if tunnel else target, scheme)
        async with self._connected_to(scheme, host, port) as (far_reader, far_writer):
            if tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                far_writer.write(_as_server_takes_it(target, head))
            await _either(_copy(reader, far_writer), _copy(far_reader, writer))

    async def _relay_rtsp(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Only to the source's own host. The addresses inside the messages stay as FFmpeg writes them: they are part
        of what a camera's digest authentication signs, and cameras behind address translation take any host."""
        scheme = self._source.scheme.lower()
        host, port = _host_and_port(self._source.geturl(), scheme)
        async with self._connected_to(scheme, host, port) as (far_reader, far_writer):
            far_writer.write(head)
            plays = asyncio.Event()
            await _either(_requests(reader, far_writer, plays), _replies(far_reader, writer, plays))

    @asynccontextmanager
    async def _connected_to(self, scheme: str, host: str, port: int) -> AsyncIterator[_Connection]:
        """
        Raises:
            Refused: by the settings.
            Unreachable: no address of it answers.
        """
        reader, writer = await self._connect(scheme, host, port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def _connect(self, scheme: str, host: str, port: int) -> _Connection:
        name = f"{printable(host, 255)}:{port}"
        if scheme not in self._settings.schemes:
            raise Refused(f"{name}: scheme {scheme!r} is not allowed here (source.schemes)")
        problem: Exception | None = None
        for endpoint in await self._allowed(name, host, port):
            try:
                return await asyncio.wait_for(self._open(endpoint, scheme, host), self._settings.open_timeout_s)
            except OSError as error:
                problem = error
        raise Unreachable(f"{name} cannot be reached: {str(problem) or 'no answer in time'}")

    async def _allowed(self, name: str, host: str, port: int) -> list[Endpoint]:
        """The addresses of a name, less those that the settings do not allow."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, resolve, host, port)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{name} cannot be resolved: {error}") from None
        refusals = [
            await loop.run_in_executor(self._threads, self._destinations.refusal, endpoint) for endpoint in found
        ]
        allowed = [endpoint for endpoint, refusal in zip(found, refusals, strict=True) if not refusal]
        if not allowed:
            raise Refused(f"{name}: {refusals[0]}")
        return allowed

    async def _open(self, endpoint: Endpoint, scheme: str, host: str) -> _Connection:
        connection = socket.socket(endpoint.family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, endpoint.sockaddr)
            if scheme != "rtsps":
                return await asyncio.open_connection(sock=connection, limit=_HEAD_BYTES)
            # Cameras sign their own certificates; FFmpeg does not look at them either.
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return await asyncio.open_connection(sock=connection, ssl=context, server_hostname=host, limit=_HEAD_BYTES)
        except BaseException:
            connection.close()
            raise


def _host_and_port(url: str, scheme: str) -> tuple[str, int]:
    """
    Raises:
        ValueError: the URL is of another scheme, or names no host.
    """
    parts = urlsplit(url)
    if parts.scheme.lower() != scheme or not parts.hostname:
        raise ValueError(f"no {scheme} address")
    return parts.hostname, parts.port or _DEFAULT_PORTS[scheme]


def _as_server_takes_it(target: str, head: bytes) -> bytes:
    """A proxy's request as its server takes it. One a connection: the next may have to go elsewhere."""
    first, *others = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    origin = f"{target.partition('://')[0]}://{urlsplit(target).netloc}"
    path = target.removeprefix(origin)
    own = first.decode("latin-1").replace(target, path if path.startswith("/") else f"/{path}", 1).encode("latin-1")
    kept = [line for line in others if not line.lower().startswith((b"connection:", b"proxy-"))]
    return b"\r\n".join([own, b"Connection: close", *kept]) + b"\r\n\r\n"


async def _requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, plays: asyncio.Event) -> None:
    """From FFmpeg to the camera. It asks to play only when it no longer looks for where the stream is."""
    while content := await reader.read(_CHUNK_BYTES):
        if content.startswith(b"PLAY "):
            plays.set()
        writer.write(content)
        await writer.drain()


async def _replies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, plays: asyncio.Event) -> None:
    """From the camera to FFmpeg: reply by reply until it plays, then as it comes.

    What FFmpeg could take for another reply than we do must not pass, so whatever is unusual ends the connection.

    Raises:
        Refused: a redirect.
        ValueError: no RTSP.
    """
    while not plays.is_set():
        writer.write(await _reply(reader))
        await writer.drain()
    await _copy(reader, writer)


async def _reply(reader: asyncio.StreamReader) -> bytes:
    first = await reader.readexactly(1)
    if first == b"$":
        header = await reader.readexactly(3)
        return first + header + await reader.readexactly(int.from_bytes(header[1:], "big"))
    lines = [(first + await reader.readuntil(b"\n")).replace(b"\r", b"").rstrip(b"\n")]
    status = _RTSP_STATUS.fullmatch(lines[0])
    if status and status[1].startswith(b"3"):
        raise Refused("the server redirects to another address, which is not followed; give that address as the source")
    if not status and not _RTSP_REQUEST.fullmatch(lines[0]):
        raise ValueError("no RTSP")
    length, size = 0, 0
    while lines[-1]:
        line = (await reader.readuntil(b"\n")).replace(b"\r", b"").rstrip(b"\n")
        size += len(line)
        if line.startswith(b"$") or size > _HEAD_BYTES:
            raise ValueError("no RTSP header")
        if line.lower().startswith(b"content-length:"):
            length = int(line[15:])
        lines.append(line)
    if not 0 <= length <= _BODY_BYTES:
        raise ValueError("no RTSP body")
    return b"\r\n".join(lines) + b"\r\n" + await reader.readexactly(length)


async def _either(*ways: Coroutine[Any, Any, None]) -> None:
    """Run both directions of a connection until one of them ends."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # A server that resets its connection becomes one that ends it, of which FFmpeg says how much is missing.
    with suppress(ConnectionResetError):
        while content := await reader.read(_CHUNK_BYTES):
            writer.write(content)
            await writer.drain()
