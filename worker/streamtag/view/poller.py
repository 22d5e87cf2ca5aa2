"""The one thread that looks at Redis, once a second while somebody watches, however many they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from streamtag.errors import QueueRefused, QueueUnavailable
from streamtag.logs import log
from streamtag.queue.connection import Connection
from streamtag.queue.fleet import FleetNow, FleetReader
from streamtag.redaction import redact
from streamtag.view.events import EventLog
from streamtag.view.thumbs import Thumbs

PERIOD_S: Final = 1.0
IDLE_S: Final = 10.0  # it goes on for so long when the last one has left: who reloads the page finds it fresh


class Poller(threading.Thread):
    """Looks, and tells what it saw.

    Args:
        connection: of its own.
    """

    def __init__(self, connection: Connection, events: EventLog, thumbs: Thumbs) -> None:
        super().__init__(name="poller", daemon=True)
        self._connection = connection
        self._reader = FleetReader(connection)
        self._events = events
        self._thumbs = thumbs
        self._seen: Callable[[FleetNow], None] = lambda fleet: None
        self._trouble: Callable[[str], None] = lambda text: None
        self._broken: Callable[[], None] = lambda: None
        self.error: Exception | None = None
        self._wanted = threading.Event()
        self._wanted_s = float("-inf")
        self._stopping = False
        self._is_away = False

    def begin(
        self, seen: Callable[[FleetNow], None], trouble: Callable[[str], None], broken: Callable[[], None]
    ) -> None:
        """Start.

        Args:
            seen: told each look.
            trouble: told why there is none.
            broken: called when it can go on no more.
        """
        self._seen, self._trouble, self._broken = seen, trouble, broken
        self.start()

    def want(self) -> None:
        """Somebody watches."""
        self._wanted_s = time.monotonic()
        self._wanted.set()

    def stop(self) -> None:
        """End soon."""
        self._stopping = True
        self._wanted.set()

    def run(self) -> None:
        """Look again and again. A bug here ends the server: a page that shows nothing new would be worse."""
        try:
            self._run()
        except Exception as error:
            self.error = error
            self._broken()

    def _run(self) -> None:
        while not self._stopping:
            began_s = time.monotonic()
            if began_s - self._wanted_s > IDLE_S:
                self._wanted.clear()
                if began_s - self._wanted_s > IDLE_S:  # nobody came between the two
                    self._wanted.wait()
                continue
            self._look(began_s)
            time.sleep(max(0.0, began_s + PERIOD_S - time.monotonic()))

    def _look(self, now_s: float) -> None:
        try:
            fleet = self._reader.read(self._events.read(self._connection))
            newest = {job_id: stream.thumb for job_id, stream in fleet.streams.items()}
            self._thumbs.read(self._connection, newest, now_s)
        except (QueueUnavailable, QueueRefused) as error:
            if not self._is_away:
                log.warning("Redis does not tell about the queue", error=str(error))
            self._is_away = True
            self._trouble(redact(str(error)))
            return
        if self._is_away:
            log.info("Redis tells about the queue again")
        self._is_away = False
        self._seen(fleet)
