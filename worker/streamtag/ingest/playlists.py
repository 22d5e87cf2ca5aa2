"""What an HLS playlist says of itself: whether it goes on for ever, and what it leads to."""

from __future__ import annotations

import re
from urllib.parse import urljoin

MAX_BYTES = 4 * 1024**2


def is_playlist(first: bytes) -> bool:
    """Whether a content begins as a playlist does."""
    return first.removeprefix(b"\xef\xbb\xbf").startswith(b"#EXTM3U")


def variant(text: str, url: str) -> str | None:
    """The address of the first variant that a master playlist names; None where it is no master playlist."""
    found = re.search(r"^#EXT-X-STREAM-INF:[^\n]*\n(?:#[^\n]*\n|\s*\n)*([^#\s][^\n]*)", text, re.MULTILINE)
    return urljoin(url, found[1].strip()) if found else None


def is_live(text: str) -> bool:
    """Whether more segments will follow: no end is marked (RFC 8216, 4.3.3.4 and 4.3.3.5)."""
    return not re.search(r"^#EXT-X-(ENDLIST|PLAYLIST-TYPE:\s*VOD)\s*$", text, re.MULTILINE)
