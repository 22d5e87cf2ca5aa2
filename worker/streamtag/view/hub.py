"""Who watches, and how much waits for each of them. Everything here is of the event loop's thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

MAX_VIEWERS: Final = 100
MAX_VIEWERS_EACH: Final = 50  # of one address: behind a proxy, all have the same
MAX_WAITING: Final = 4  # messages for one viewer; who is further behind is told everything anew


class TooMany(Exception):
    """No room for one more who watches."""


class Viewer:
    """One browser's messages, a bounded number of them.

    Args:
        whole: everything as it is now, encoded.
    """

    def __init__(self, whole: Callable[[], bytes]) -> None:
        self._whole = whole
        self._waiting: deque[bytes] = deque()
        self._behind = True  # it has seen nothing yet
        self._news = asyncio.Event()
        self._news.set()

    @property
    def waiting_bytes(self) -> int:
        """What is kept for it."""
        return sum(map(len, self._waiting))

    def tell(self, message: bytes) -> None:
        """Keep a message for it, or no more than that it is behind."""
        if self._behind or len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            self._behind = True
        else:
            self._waiting.append(message)
        self._news.set()

    async def next(self) -> bytes:
        """The next message, once there is one."""
        await self._news.wait()
        if self._behind:
            self._behind = False
            message = self._whole()
        else:
            message = self._waiting.popleft()
        if not self._waiting:
            self._news.clear()
        return message


class Hub:
    """All who watch.

    Args:
        whole: everything as it is now, encoded.
    """

    def __init__(self, whole: Callable[[], bytes]) -> None:
        self._whole = whole
        self._viewers: dict[Viewer, str] = {}

    @property
    def viewers(self) -> list[Viewer]:
        """All who watch now."""
        return list(self._viewers)

    def join(self, address: str) -> Viewer:
        """Somebody comes.

        Raises:
            TooMany: there is no room.
        """
        if len(self._viewers) >= MAX_VIEWERS:
            raise TooMany(f"{MAX_VIEWERS} browsers watch already; close one of them")
        if sum(other == address for other in self._viewers.values()) >= MAX_VIEWERS_EACH:
            raise TooMany(f"{MAX_VIEWERS_EACH} browsers of your address watch already; close one of them")
        viewer = Viewer(self._whole)
        self._viewers[viewer] = address
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Somebody goes."""
        self._viewers.pop(viewer, None)

    def tell(self, message: bytes) -> None:
        """Tell all of them."""
        for viewer in self._viewers:
            viewer.tell(message)
