"""Users and passwords that jobs name and workers have, so that Redis holds none. Read in the decoder, at each connect.

A job is a stranger's. It could name a credential beside an address of its own, and be sent the password: so each
credential says to which hosts it may go, and goes nowhere else. It is put into the source's address for FFmpeg, which
drops it where a server redirects to another.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from streamtag.core.source import DEFAULT_PORTS
from streamtag.errors import RejectJob
from streamtag.ingest.policy import AuthFailed
from streamtag.redaction import shown_source

MAX_BYTES = 16_384  # of a file
_FORMS = "a folder with the files username, password and hosts, or a file with user:password@hosts"


class Unusable(Exception):
    """A credential is not there, or not as it should be. The text tells no content."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a credential may go: ``[scheme://]host[:port]``, or a network of addresses in place of the host."""

    scheme: str  # empty: any
    host: str
    port: int | None  # None: any

    @classmethod
    def parse(cls, text: str) -> Place:
        """
        Raises:
            ValueError: it is none.
        """
        scheme, separator, rest = text.rpartition("://")
        if separator and scheme.lower() not in DEFAULT_PORTS:
            raise ValueError("another scheme than those of sources on the network")
        if "/" in rest:
            return cls(scheme.lower(), str(ipaddress.ip_network(rest, strict=False)), None)
        parts = urlsplit(f"//{rest}")
        if not parts.hostname or parts.netloc != rest or "@" in rest:
            raise ValueError("no host")
        return cls(scheme.lower(), parts.hostname, parts.port)

    def holds(self, scheme: str, host: str, port: int) -> bool:
        """Whether a source lies there."""
        if self.scheme not in ("", scheme) or self.port not in (None, port):
            return False
        if self.host == host:
            return True
        try:
            address = ipaddress.ip_address(host)
            return address in ipaddress.ip_network(self.host)
        except ValueError:  # one of them is a name
            return False


@dataclass(frozen=True, slots=True)
class Credential:
    """A user, a password, and where they may go."""

    user: str = field(repr=False)
    password: str = field(repr=False)
    places: tuple[Place, ...]


def with_credential(source: str, name: str, folder: Path | None) -> str:
    """A source on the network with user and password in its address.

    Raises:
        RejectJob: the credential may not go there.
        AuthFailed: there is none of that name now; it may be mounted or put right later.
    """
    shown = shown_source(source)
    try:
        credential = read(name, folder)
    except Unusable as error:
        raise AuthFailed(f"{shown}: credential {name!r}: {error}") from None
    parts = urlsplit(source)
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if not any(place.holds(scheme, host, parts.port or DEFAULT_PORTS[scheme]) for place in credential.places):
        raise RejectJob(
            f"{shown}: credential {name!r} may not go to this host; its hosts say where (source.credentials)"
        )
    pair = f"{quote(credential.user, safe='')}:{quote(credential.password, safe='')}"
    return parts._replace(netloc=f"{pair}@{parts.netloc}").geturl()


def read(name: str, folder: Path | None) -> Credential:
    """The credential of that name.

    Raises:
        Unusable: there is none, or it is not what it should be.
    """
    if folder is None:
        raise Unusable("this worker has none: set source.credentials to a folder of them")
    path = folder / name
    if path.is_dir():
        user, password, hosts = (_text(path / part, f"{name}/{part}") for part in ("username", "password", "hosts"))
    else:
        pair, at, hosts = _text(path, name).rpartition("@")
        user, colon, password = pair.partition(":")
        if not (at and colon):
            raise Unusable(f"its file is not user:password@hosts (source.credentials, {name})")
    return _checked(name, user, password, hosts)


def names(folder: Path) -> list[str]:
    """What lies in the folder.

    Raises:
        OSError: it cannot be read.
    """
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def _checked(name: str, user: str, password: str, hosts: str) -> Credential:
    if not user or ":" in user:
        raise Unusable(f"its user is empty or has a colon in it, which no server takes (source.credentials, {name})")
    try:
        places = tuple(Place.parse(text) for text in re.split(r"[,\s]+", hosts) if text)
    except ValueError:
        raise Unusable(f"its hosts are not [scheme://]host[:port] or networks (source.credentials, {name})") from None
    if not places:
        raise Unusable(f"its hosts are empty, so it may go nowhere (source.credentials, {name})")
    return Credential(user, password, places)


def _text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise Unusable(f"larger than {MAX_BYTES} bytes (source.credentials, {name})")
        return content.decode().strip("\r\n")
    except FileNotFoundError:
        raise Unusable(f"there is no {name} in source.credentials; it is {_FORMS}") from None
    except UnicodeDecodeError:
        raise Unusable(f"is no text in UTF-8 (source.credentials, {name})") from None
    except OSError as error:
        raise Unusable(f"{error.strerror} (source.credentials, {name})") from None
