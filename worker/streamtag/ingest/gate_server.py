"""The gate's own process: an HTTP proxy and an RTSP relay that check each address before they connect to it.

It never decodes: of what passes through it reads the head of each request of FFmpeg's, and what is said in RTSP
(``rtsp_relay.py``).
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 - looked for at the first name that is not ASCII, when the cage is closed
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator
from concurrent.futures.thread import ThreadPoolExecutor  # from where it is: its package would look for it too late
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from streamtag.core.source import DEFAULT_PORTS
from streamtag.errors import in_words
from streamtag.ingest.cage import confine_gate
from streamtag.ingest.destinations import Destinations, Endpoint, resolve
from streamtag.ingest.rtsp_relay import Connection, Redirected, RtspRelay, copy, either
from streamtag.redaction import printable
from streamtag.settings import SourceSettings

TROUBLE_PATH = "/trouble"
_HEAD_BYTES = 65_536
_MAX_CONNECTIONS = 64
_RESOLVING_THREADS = 4
_REDIRECTED = "the server redirects to another address, which is not followed; give that address as the source"


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
            await either(copy(reader, far_writer), copy(far_reader, writer))

    async def _relay_rtsp(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Only to the source's own host. The addresses inside the messages stay as FFmpeg writes them: they are part
        of what a camera's digest authentication signs, and cameras behind address translation take any host."""
        scheme = self._source.scheme.lower()
        host, port = _host_and_port(self._source.geturl(), scheme)
        async with self._connected_to(scheme, host, port) as (far_reader, far_writer):
            # Over TLS packets come within the connection, or they would come in the clear.
            transport = "tcp" if scheme == "rtsps" else self._settings.rtsp_transport
            try:
                await RtspRelay((reader, writer), (far_reader, far_writer), transport).run(head)
            except Redirected:
                raise Refused(_REDIRECTED) from None

    @asynccontextmanager
    async def _connected_to(self, scheme: str, host: str, port: int) -> AsyncIterator[Connection]:
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

    async def _connect(self, scheme: str, host: str, port: int) -> Connection:
        name = f"{printable(host, 255)}:{port}"
        if scheme not in self._settings.schemes:
            raise Refused(f"{name}: scheme {scheme!r} is not allowed here (source.schemes)")
        problem: OSError | None = None
        for endpoint in await self._allowed(name, host, port):
            try:
                return await asyncio.wait_for(self._open(endpoint, scheme, host), self._settings.open_timeout_s)
            except OSError as error:
                problem = error
        raise Unreachable(f"{name} cannot be reached: {_said(problem) if problem else 'no address'}")

    async def _allowed(self, name: str, host: str, port: int) -> list[Endpoint]:
        """The addresses of a name, less those that the settings do not allow."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, resolve, host, port)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{name} cannot be resolved: {in_words(error)}") from None
        refusals = [
            await loop.run_in_executor(self._threads, self._destinations.refusal, endpoint) for endpoint in found
        ]
        allowed = [endpoint for endpoint, refusal in zip(found, refusals, strict=True) if not refusal]
        if not allowed:
            raise Refused(f"{name}: {refusals[0]}")
        return allowed

    async def _open(self, endpoint: Endpoint, scheme: str, host: str) -> Connection:
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
    return parts.hostname, parts.port or DEFAULT_PORTS[scheme]


def _as_server_takes_it(target: str, head: bytes) -> bytes:
    """A proxy's request as its server takes it. One a connection: the next may have to go elsewhere."""
    first, *others = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    origin = f"{target.partition('://')[0]}://{urlsplit(target).netloc}"
    path = target.removeprefix(origin)
    own = first.decode("latin-1").replace(target, path if path.startswith("/") else f"/{path}", 1).encode("latin-1")
    kept = [line for line in others if not line.lower().startswith((b"connection:", b"proxy-"))]
    return b"\r\n".join([own, b"Connection: close", *kept]) + b"\r\n\r\n"


def _said(error: OSError) -> str:
    """Asyncio's own words of a connection that failed repeat the address."""
    by_system = isinstance(error, ConnectionError) or str(error.strerror).startswith("Connect call failed")
    return os.strerror(error.errno) if by_system and error.errno else in_words(error) or "no answer in time"
