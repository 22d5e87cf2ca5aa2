"""The intake thread: one loop over the sockets of all decoders, with their watchdog."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections.abc import Callable

from streamtag.ingest.session import DecoderSession
from streamtag.ingest.stream import Stream

TICK_S = 0.2


class Intake:
    """Owns every stream of the worker. Other threads hand it work with ``call``."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        self._selector.register(self._wake_out, selectors.EVENT_READ, None)
        self._calls: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._streams: dict[str, Stream] = {}
        self._registered: dict[str, DecoderSession] = {}  # job to the session whose socket the selector watches

    def add(self, stream: Stream) -> None:
        """Start a stream, from any thread."""

        def start() -> None:
            self._streams[stream.claim.job.job_id] = stream
            stream.start()

        self.call(start)

    def call(self, action: Callable[[], None]) -> None:
        """Run something in the intake thread, from any thread."""
        with self._lock:
            self._calls.append(action)
        with contextlib.suppress(OSError):
            os.write(self._wake_in, b"\0")

    def turn(self) -> None:
        """One turn of the loop: at most ``TICK_S`` of waiting, then everything that is ready."""
        for key, _ in self._selector.select(TICK_S):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_out, 4096)
            else:
                key.data.receive()
        with self._lock:
            calls, self._calls = self._calls, []
        for action in calls:
            action()
        for stream in self._streams.values():
            stream.check()
        self._follow_sockets()

    def close(self) -> None:
        for stream in self._streams.values():
            stream.kill()
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _follow_sockets(self) -> None:
        """Keep the selector in step with the sockets, of which each connection has a new one.

        All closed ones leave before any new one enters: a new socket may have the number of a closed one.
        """
        for job_id, session in list(self._registered.items()):
            if self._streams[job_id].session is not session:
                self._selector.unregister(session)
                del self._registered[job_id]
        for job_id, stream in list(self._streams.items()):
            if stream.outcome is not None:
                del self._streams[job_id]
            elif stream.session is not None and job_id not in self._registered:
                self._selector.register(stream.session, selectors.EVENT_READ, stream)
                self._registered[job_id] = stream.session
