"""Our own requests to a web server, through the gate: what is behind an address, and pictures."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from streamtag.errors import RejectJob, RetryJob, in_words
from streamtag.ingest.formats import FIRST_BYTES
from streamtag.ingest.gate import GateClient
from streamtag.ingest.policy import AuthFailed, NoAnswer, Unreachable
from streamtag.redaction import printable, shown_source
from streamtag.settings import SourceSettings

MAX_REDIRECTS = 5
_PART_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class WebSource:
    """What a web server says of an address, its redirects followed."""

    url: str
    content_type: str
    first: bytes
    length: int | None  # bytes; None where the server does not say
    ranges: bool  # whether it can be read from any place


def find(url: str, settings: SourceSettings, gate: GateClient) -> WebSource:
    """Follow redirects and look at the beginning.

    Raises:
        RejectJob: it is not allowed, or not there.
        RetryJob: the server does not answer as it should; that may pass.
    """
    for _hop in range(MAX_REDIRECTS + 1):
        with _answer(url, settings.open_timeout_s, {"Range": f"bytes=0-{FIRST_BYTES - 1}"}, gate) as response:
            location = response.headers.get("Location", "")
            if response.status in (301, 302, 303, 307, 308) and location:
                url = _redirected(url, location)
                continue
            _check_status(url, response.status)
            first = _read(response, FIRST_BYTES, settings.open_timeout_s, url)
            return WebSource(url, response.headers.get_content_type(), first, _length(response), response.status == 206)
    raise RejectJob(f"{shown_source(url)}: more than {MAX_REDIRECTS} redirects")


def download(url: str, limit_bytes: int, timeout_s: float, gate: GateClient) -> bytes:
    """The whole body of an address that ``find`` has found.

    Raises:
        RejectJob: it is larger than the limit.
        RetryJob: the server does not answer, or not within the time; that may pass.
    """
    with _answer(url, timeout_s, {}, gate) as response:
        _check_status(url, response.status)
        content = _read(response, limit_bytes + 1, timeout_s, url)
    if len(content) > limit_bytes:
        raise RejectJob(f"{shown_source(url)}: larger than {limit_bytes} bytes")
    return content


def _redirected(url: str, location: str) -> str:
    target = urljoin(url, location)
    scheme = urlsplit(target).scheme
    if scheme not in ("http", "https"):
        raise RejectJob(f"{shown_source(url)}: redirects to scheme {scheme!r}, which is not allowed")
    return target


def _check_status(url: str, status: int) -> None:
    name = shown_source(url)
    if status in (401, 403):
        raise AuthFailed(f"{name}: the server answered {status}; check user and password in the URL")
    if status in (408, 425, 429) or status >= 500:
        raise RetryJob(f"{name}: the server answered {status}")
    if status >= 300:
        raise RejectJob(f"{name}: the server answered {status}; check the address")


def _length(response: http.client.HTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    if response.status == 206:
        text = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isdecimal() else None


def _read(response: http.client.HTTPResponse, limit_bytes: int, timeout_s: float, url: str) -> bytes:
    """At most so many bytes, in all within the time: a server that trickles gives one byte before each timeout."""
    deadline_s = time.monotonic() + timeout_s
    content = bytearray()
    while len(content) < limit_bytes and (part := response.read1(min(_PART_BYTES, limit_bytes - len(content)))):
        content += part
        if time.monotonic() > deadline_s:
            raise NoAnswer(f"{shown_source(url)}: only {len(content)} bytes came within {timeout_s:g} s")
    return bytes(content)


@contextmanager
def _answer(
    url: str, timeout_s: float, headers: dict[str, str], gate: GateClient
) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    target = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection("127.0.0.1", gate.port, timeout=timeout_s, context=context)
        connection.set_tunnel(parts.hostname or "", parts.port or 443)
        target = target._replace(scheme="", netloc="", path=parts.path or "/")
    else:
        connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=timeout_s)
    headers = headers | {"User-Agent": "streamtag", "Accept": "*/*"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    # A server that trickles its header ends no single wait for it.
    deadline = threading.Timer(timeout_s, _hang_up, (connection,))
    began_s = time.monotonic()
    try:
        connection.connect()
        deadline.start()
        connection.request("GET", target.geturl(), headers=headers)
        response = connection.getresponse()
        deadline.cancel()
        gate.check()
        yield response
    except (OSError, http.client.HTTPException) as error:
        gate.check()
        said = printable(in_words(error), 200) or type(error).__name__  # what it says may be the server's own words
        failure: type[RetryJob] = Unreachable
        if time.monotonic() - began_s >= timeout_s:
            said, failure = f"no answer within {timeout_s:g} s", NoAnswer  # it was we who hung up
        raise failure(f"{shown_source(url)}: cannot be reached: {said}") from None
    finally:
        deadline.cancel()
        connection.close()


def _hang_up(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError):
        connection.sock.shutdown(socket.SHUT_RDWR)
