"""The worker's threads: started, watched, joined."""

from __future__ import annotations

import threading
from collections.abc import Callable

from streamtag.logs import log
from streamtag.pipeline.health import Health

JOIN_S = 10.0


class Threads:
    """A thread for each loop. One that dies stops the service: no silent half-life.

    Args:
        health: hears each time that a thread comes round its loop.
        on_death: called, in the dying thread, when a loop raises.
    """

    def __init__(self, health: Health, on_death: Callable[[], None]) -> None:
        self.failure: BaseException | None = None  # what ended the first thread that should not have ended
        self._health = health
        self._on_death = on_death
        self._threads: dict[str, threading.Thread] = {}

    def spawn(self, name: str, run_once: Callable[[], None], stopping: threading.Event) -> None:
        """Start a thread that calls ``run_once`` again and again until ``stopping`` is set."""

        def loop() -> None:
            try:
                while not stopping.is_set():
                    self._health.beat(name)
                    run_once()
                self._health.forget(name)
            except BaseException as error:
                self.failure = self.failure or error
                log.error("thread died", thread=name, exc_info=True)
                self._on_death()

        thread = threading.Thread(target=loop, name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def join(self, *names: str) -> None:
        """Wait for threads that were told to stop, in this order."""
        for name in names:
            if name in self._threads:
                self._threads[name].join(JOIN_S)
