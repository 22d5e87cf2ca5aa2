"""The answers of the wall: what goes on, as server-sent events, and the small pictures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from streamtag.queue.fleet import FleetNow
from streamtag.view.feed import Feed
from streamtag.view.guard import address_of
from streamtag.view.hub import Hub, TooMany, Viewer
from streamtag.view.thumbs import Thumbs

MAX_THUMBS: Final = 100  # in one answer
QUIET_S: Final = 2.0  # after which a browser hears that the server is there


class Wall:
    """What all browsers see, and each of them.

    Args:
        want: called for each sign that somebody watches.
        about: what the page is told of this server, once.
        is_stopping: whether the answers must end.
    """

    def __init__(
        self, thumbs: Thumbs, want: Callable[[], None], about: dict[str, Any], is_stopping: Callable[[], bool]
    ) -> None:
        self.feed = Feed()
        self.hub = Hub(self._whole)
        self._thumbs = thumbs
        self._want = want
        self._about = about
        self._is_stopping = is_stopping
        self._trouble = ""
        self._has_seen = False

    def see(self, fleet: FleetNow) -> None:
        """Tell a look to all who watch. In the event loop's thread, as everything here."""
        message = self.feed.see(fleet)
        self._trouble = ""
        if self._has_seen:
            self.hub.tell(_event("change", message))
        else:
            self._has_seen = True
            self.hub.tell(self._whole())

    def tell_trouble(self, trouble: str) -> None:
        """Tell that there is nothing to see, and why."""
        self._trouble = trouble
        self.hub.tell(_event("trouble", {"text": trouble}))

    async def live(self, request: Request) -> Response:
        """``/api/live``: everything, then what changes, for as long as the browser stays."""
        try:
            viewer = self.hub.join(address_of(request.scope))
        except TooMany as error:
            return PlainTextResponse(f"{error}\n", 503, {"retry-after": "10"})
        self._want()
        return StreamingResponse(
            self._told(viewer),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def thumbs(self, request: Request) -> Response:
        """``/api/thumbs?of=1@,2@17.5``: pictures of streams by number that are not those that the browser has."""
        asked = request.query_params.get("of", "").split(",")[:MAX_THUMBS]
        now_s = time.monotonic()
        found = {}
        for text, _, version in (one.partition("@") for one in asked):
            job_id = self.feed.job_id(int(text)) if text.isascii() and text.isdigit() and len(text) < 12 else None
            thumb = self._thumbs.get(job_id, now_s) if job_id is not None else None
            if thumb is not None and thumb.jpeg_base64 and thumb.version != version:
                found[text] = [thumb.version, thumb.jpeg_base64]
        return Response(orjson.dumps(found), media_type="application/json", headers={"cache-control": "no-store"})

    async def _told(self, viewer: Viewer) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 1000\n\n"
            while not self._is_stopping():
                self._want()
                try:
                    yield await asyncio.wait_for(viewer.next(), QUIET_S)
                except TimeoutError:
                    yield b"event: quiet\ndata:\n\n"
        finally:
            self.hub.leave(viewer)

    def _whole(self) -> bytes:
        if not self._has_seen:
            return _event("trouble", {"text": self._trouble}) if self._trouble else b": wait\n\n"
        whole = _event("whole", self.feed.whole() | {"about": self._about})
        return whole + _event("trouble", {"text": self._trouble}) if self._trouble else whole


def _event(name: str, content: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(content))
