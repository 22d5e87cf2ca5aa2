"""The page's own files: read once, and answered from memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

FOLDER: Final = Path(__file__).parent / "static"
PAGE: Final = "index.html"
_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class File:
    """A file and what its answer says of it."""

    content: bytes
    kind: str
    tag: str

    def answer(self, request: Request) -> Response:
        """The file, or that the browser has it already."""
        headers = {"etag": self.tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.kind, headers=headers)


def read_files() -> dict[str, File]:
    """All of them by name."""
    return {path.name: _read(path) for path in sorted(FOLDER.iterdir()) if path.suffix in _KINDS}


def _read(path: Path) -> File:
    content = path.read_bytes()
    return File(content, _KINDS[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:20]}"')
