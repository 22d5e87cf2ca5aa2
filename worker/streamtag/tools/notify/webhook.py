"""A webhook: one POST a notice, signed, to one address and nowhere else."""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import string
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.client import HTTP_PORT, HTTPS_PORT, HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

import orjson

from streamtag import __version__
from streamtag.errors import ConfigError
from streamtag.notify_settings import WebhookSink, secret_of
from streamtag.redaction import redact
from streamtag.tools.notify.notice import Notice, Unacceptable, Unreachable
from streamtag.tools.notify.tls import told, trusted_by

# What they say about one notice and not about the server: the same body will be refused tomorrow. Anything else, a
# redirect or a wrong address too, somebody may set right while the event is tried again.
REFUSALS = frozenset({400, 406, 409, 410, 411, 413, 414, 415, 422, 431})


class Webhook:
    """By the standard library's client: it follows no redirect and heeds no proxy, cookie or netrc of this machine.

    Args:
        timeout_s: for all of one POST, however slowly the server answers.
    """

    def __init__(self, sink: WebhookSink, timeout_s: float, now_s: Callable[[], float] = time.time) -> None:
        self._sink = sink
        self._timeout_s = timeout_s
        self._now_s = now_s

    def open(self) -> None:
        """Nothing to open: each notice has a connection of its own."""

    def idle(self) -> None:
        """A web server keeps no states to see to."""

    def close(self) -> None:
        """Nothing is open."""

    def send(self, notice: Notice) -> None:
        """POST it, and take any 2xx for a yes."""
        body = orjson.dumps(notice.content)
        try:
            headers = self._headers(notice, body)
            status, wait_s = self._post(body, headers)
        except ConfigError as error:
            raise Unreachable(redact(str(error))) from None
        except OSError as error:
            raise Unreachable(redact(told(error))) from None
        except HTTPException as error:
            raise Unreachable(redact(f"{type(error).__name__}: {error}")) from None
        if status in REFUSALS:
            raise Unacceptable(f"answered {status}")
        if not 200 <= status < 300:
            raise Unreachable(f"answered {status}" + (", which is not followed" if 300 <= status < 400 else ""), wait_s)

    def _headers(self, notice: Notice, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"streamtag/{__version__}",
            "X-Streamtag-Event-Id": notice.id,
            "X-Streamtag-Event-Kind": re.sub(r"[^A-Za-z0-9_-]", "_", notice.kind)[:40],  # nobody checked it
            "Connection": "close",
        }
        if secret := secret_of(self._sink.secret, self._sink.secret_file):
            headers["X-Streamtag-Signature"] = signature(secret, int(self._now_s()), body)
        return headers

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        """The status of the answer, and how long it asks to be left alone. Of its body nothing is read."""
        parts = urlsplit(self._sink.url.get_secret_value())
        host, path = parts.hostname or "", (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        path = quote(path, safe=string.punctuation)  # as a browser has it, where somebody wrote it as it reads
        # Without a port the client would take the end of an IPv6 address for one.
        if parts.scheme == "https":
            trusted = trusted_by(self._sink.tls_ca)
            at = host, parts.port or HTTPS_PORT
            connection: HTTPConnection = HTTPSConnection(*at, timeout=self._timeout_s, context=trusted)
        else:
            connection = HTTPConnection(host, parts.port or HTTP_PORT, timeout=self._timeout_s)
        # The timeout of a socket begins anew with each byte.
        is_late = threading.Event()
        guard = threading.Timer(self._timeout_s, partial(_cut, connection, is_late))
        guard.daemon = True
        guard.start()
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            asked = answer.getheader("Retry-After") or ""
            return answer.status, float(asked) if asked.isdecimal() and len(asked) < 7 else 0.0
        except (OSError, HTTPException) as error:
            if is_late.is_set() or isinstance(error, TimeoutError):  # the cut looks like something that the server did
                raise TimeoutError(f"no answer within {self._timeout_s:g} s") from None
            raise
        finally:
            guard.cancel()
            connection.close()


def signature(secret: str, timestamp_unix_s: int, body: bytes) -> str:
    """``t=<time>,v1=<hex>``: HMAC-SHA256 of time, a dot and the body, so neither can be changed or sent again later."""
    signed = hmac.new(secret.encode(), f"{timestamp_unix_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp_unix_s},v1={signed}"


def _cut(connection: HTTPConnection, is_late: threading.Event) -> None:
    is_late.set()
    if connection.sock is not None:
        with suppress(OSError):  # it is closed already
            connection.sock.shutdown(socket.SHUT_RDWR)
