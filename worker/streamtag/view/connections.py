"""Connections to the page, which do not stay for nothing: who connects asks within a time.

uvicorn closes a connection that falls silent between two requests, and no other. Those that never ask count towards its
limit all the same, beyond which it answers nobody: a few hundred of them were the end of the page for everybody.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from streamtag.logs import log

MAX_CONNECTIONS: Final = 400
ASK_S: Final = 10.0  # for a whole request, however many pieces it comes in


class AskingProtocol(H11Protocol):
    """A connection that is closed when its request takes too long; the oldest such one when there is no room.

    While it is answered it may take its time: a browser listens for as long as it shows the page.
    """

    _deadline: asyncio.TimerHandle | None = None  # while its request is not whole

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own, too
        """Somebody comes."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) >= MAX_CONNECTIONS:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Somebody goes."""
        self._wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A piece of a request, which gives no more time for the rest of it."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """The time for the next request begins."""
        self._wait()
        super().on_response_complete()
        self._look()  # the next request may have come before

    @property
    def asks_until_s(self) -> float | None:
        """When its time to ask is over, by the loop's clock; None while it is answered."""
        return self._deadline.when() if self._deadline else None

    def _wait(self) -> None:
        self._wait_no_more()
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(ASK_S, self.transport.close)

    def _look(self) -> None:
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._wait_no_more()

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _make_room(self) -> None:
        others = [one for one in self.connections if isinstance(one, AskingProtocol) and one is not self]
        waiting = [(until_s, id(one), one) for one in others if (until_s := one.asks_until_s) is not None]
        if waiting:
            oldest = min(waiting)[-1]
            oldest.transport.close()
            oldest.connections.discard(oldest)  # at once, since more than one may come before it is lost


class _Faults(logging.Handler):
    """Ours are lines of our log; what strangers ask wrongly is no news, nor a line each of somebody else's making."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        log.error("an answer of the page failed", because=record.getMessage().strip(), exc_info=error)


def log_faults() -> None:
    """Have our log tell what uvicorn finds wrong with our answers."""
    logger = logging.getLogger("uvicorn.error")
    logger.handlers, logger.propagate = [_Faults(logging.ERROR)], False
    logger.setLevel(logging.ERROR)
