"""Secrets taken out of texts before they are shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s'\"]*@")
# A credential is as often in the query (cameras: ?user=..&password=..) as in the user part.
_SECRET_QUERY = re.compile(
    r"(?i)([?&;](?:[a-z_-]*(?:password|passwd|pwd|token|secret|signature|auth|apikey|api_key|key|user|usr)[a-z_-]*))=[^&;\s'\"]+"
)


def redact(text: str) -> str:
    """The same text with every credential of a URL in it replaced by ``***``."""
    return _SECRET_QUERY.sub(r"\1=***", _CREDENTIALS.sub(r"\g<scheme>***@", text))


def redact_url(url: str) -> str:
    """A server's URL for logs: scheme, host, port and path, no user, password or query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))
