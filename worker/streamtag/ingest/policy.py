"""Which sources a job may name. Runs in the decoder process, where a slow name server hurts nobody else."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from streamtag.core.source import SourceKind, source_kind
from streamtag.errors import RejectJob, RetryJob
from streamtag.redaction import shown_source
from streamtag.settings import SourceSettings

MAX_REDIRECTS = 5
# Link-local holds the metadata service of most clouds; these are the addresses of the others.
_METADATA = tuple(
    ipaddress.ip_network(network)
    for network in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32")
)


class AuthFailed(RetryJob):
    """The server wants other credentials."""


def allowed(source: str, settings: SourceSettings) -> str:
    """The source as it may be opened: a path for files, a URL whose redirects have been followed for HTTP.

    Raises:
        RejectJob: the settings do not allow it, or it is not there.
        RetryJob: the network does not answer; that may pass.
    """
    kind = source_kind(source)
    scheme = (
        source.partition("://")[0].lower() if "://" in source else ("camera" if kind is SourceKind.CAMERA else "file")
    )
    if scheme not in settings.schemes:
        known = ", ".join(settings.schemes)
        raise RejectJob(f"{shown_source(source)}: scheme {scheme!r} is not allowed here (source.schemes: {known})")
    if kind is SourceKind.CAMERA:
        return source
    if kind is SourceKind.RTSP:
        check_host(source, settings)
        return source
    if kind is SourceKind.HTTP:
        return _follow_redirects(source, settings)
    path = unquote(urlsplit(source).path) if scheme == "file" and "://" in source else source
    check_path(Path(path), settings)
    return path


def check_path(path: Path, settings: SourceSettings) -> None:
    """Refuse a file that lies where jobs may not read.

    Raises:
        RejectJob: the path, links followed, lies outside ``source.file_roots``.
    """
    if not settings.file_roots:
        return
    real = Path(os.path.realpath(path))  # unlike Path.resolve it takes links that turn in a circle
    if not any(real.is_relative_to(root.resolve()) for root in settings.file_roots):
        roots = ", ".join(str(root) for root in settings.file_roots)
        raise RejectJob(
            f"{shown_source(str(path))}: lies outside the folders that jobs may read (source.file_roots: {roots})"
        )


def check_host(url: str, settings: SourceSettings) -> None:
    """Refuse a host that jobs may not reach.

    Raises:
        RejectJob: the URL has no host, or an address of it is not allowed.
        RetryJob: its name cannot be resolved now.
    """
    parts = urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RejectJob(f"{shown_source(url)}: {error}") from None
    if not host:
        raise RejectJob(f"{shown_source(url)}: the URL names no host")
    try:
        found = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RetryJob(f"{shown_source(url)}: host {host!r} cannot be resolved: {error}") from None
    networks = [ipaddress.ip_network(network, strict=False) for network in settings.networks]
    for address_text in {entry[4][0] for entry in found}:
        address = ipaddress.ip_address(str(address_text).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        if networks and not any(address in network for network in networks):
            raise RejectJob(
                f"{shown_source(url)}: address {address} is not in source.networks ({', '.join(settings.networks)})"
            )
        if not networks and (address.is_link_local or any(address in network for network in _METADATA)):
            raise RejectJob(
                f"{shown_source(url)}: {address} is a link-local or metadata address, which jobs may not reach; "
                "name its network in source.networks to allow it"
            )


def _follow_redirects(url: str, settings: SourceSettings) -> str:
    """Follow redirects ourselves, each hop checked: FFmpeg would follow one to anywhere."""
    for _hop in range(MAX_REDIRECTS + 1):
        check_host(url, settings)
        status, location = _probe(url, settings.open_timeout_s)
        if status in (301, 302, 303, 307, 308) and location:
            target = urljoin(url, location)
            scheme = urlsplit(target).scheme
            if scheme not in ("http", "https") or scheme not in settings.schemes:
                raise RejectJob(f"{shown_source(url)}: redirects to scheme {scheme!r}, which is not allowed")
            url = target
            continue
        if status in (401, 403):
            raise AuthFailed(f"{shown_source(url)}: the server answered {status}; check user and password in the URL")
        if status in (408, 425, 429) or status >= 500:
            raise RetryJob(f"{shown_source(url)}: the server answered {status}")
        if status >= 400:
            raise RejectJob(f"{shown_source(url)}: the server answered {status}; check the address")
        return url
    raise RejectJob(f"{shown_source(url)}: more than {MAX_REDIRECTS} redirects")


def _probe(url: str, timeout_s: float) -> tuple[int, str]:
    """Status and Location of a GET whose body is not read."""
    with _answer(url, timeout_s, {"Range": "bytes=0-0"}) as response:
        return response.status, response.headers.get("Location", "")


def download(url: str, limit_bytes: int, timeout_s: float) -> bytes:
    """The body of a URL that ``allowed`` has passed.

    Raises:
        RejectJob: it is larger than the limit.
        RetryJob: the network does not answer; that may pass.
    """
    with _answer(url, timeout_s, {}) as response:
        if response.status != 200:
            raise RetryJob(f"{shown_source(url)}: the server answered {response.status}")
        content = response.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise RejectJob(f"{shown_source(url)}: larger than {limit_bytes} bytes")
    return content


@contextmanager
def _answer(url: str, timeout_s: float, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, parts.port, timeout=timeout_s, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
    headers = headers | {"User-Agent": "streamtag", "Accept": "*/*"}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    try:
        connection.request("GET", urlunsplit(("", "", parts.path or "/", parts.query, "")), headers=headers)
        yield connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        raise RetryJob(f"{shown_source(url)}: cannot be reached: {error or type(error).__name__}") from None
    finally:
        connection.close()
