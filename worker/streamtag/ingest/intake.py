"""The intake thread: one loop over the sockets of all decoders, with their watchdog."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable

from streamtag.core.boundary import JobBoundary
from streamtag.ingest.session import DecoderSession
from streamtag.ingest.stream import Stream
from streamtag.logs import log

TICK_S = 0.2  # between looks at the clock for streams that are to be connected
CHECK_S = 0.5  # and for those that are: what they wait for takes seconds
HELD_BACK_S = 0.02  # between looks while a finite source waits whose decoder has something to say


class Intake:
    """Owns every stream of the worker. Other threads hand it streams to start, stop or kill.

    Args:
        is_behind: whether what the streams tell is not taken any more, as in an outage of Redis. Finite sources then
            wait, or a film of broken frames would fill the memory with what is wrong with each.
        gather_s: tells how long samples of live streams may wait for those of others, where all streams are live: to be
            woken for each costs more than all that is done with it.
        on_gathered: called at the end of each turn, when all that came in it is emitted.
    """

    def __init__(
        self,
        is_behind: Callable[[], bool] = lambda: False,
        gather_s: Callable[[], float] = lambda: 0.0,
        on_gathered: Callable[[], None] = lambda: None,
    ) -> None:
        self._is_behind = is_behind
        self._gather_s = gather_s
        self._on_gathered = on_gathered
        self.gathers = False  # what is emitted has waited for company already
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        self._calls_only = selectors.DefaultSelector()
        for selector in (self._selector, self._calls_only):
            selector.register(self._wake_out, selectors.EVENT_READ, None)
        self._calls: list[tuple[Stream, Callable[[], None]]] = []  # by any thread, under the lock
        self._lock = threading.Lock()
        # From here on the intake thread alone: each stream, with its session whose socket the selector watches.
        self._streams: dict[Stream, DecoderSession | None] = {}
        self._turned_s = self._checked_s = 0.0
        self._came = self._connects = False  # the last turn found something; one of them is to be connected
        self._changed = False  # one of them has another session by now, or has ended

    def add(self, stream: Stream) -> None:
        """Start a stream."""

        def start() -> None:
            self._streams[stream] = None
            self._changed = True
            stream.start()

        self._call(stream, start)

    def call(self, stream: Stream, action: Callable[[], None]) -> None:
        """Do something about a stream in the intake thread."""
        self._call(stream, action)

    def stop(self, stream: Stream) -> None:
        """End a stream with everything that its decoder has delivered."""
        self._call(stream, stream.stop)

    def kill(self, stream: Stream) -> None:
        """End a stream at once."""
        self._call(stream, stream.kill)

    def wake(self) -> None:
        """Let the turn end that waits. Any thread may call it."""
        with contextlib.suppress(OSError):
            os.write(self._wake_in, b"\0")

    def gathered_s(self) -> float:
        """How long what is emitted has waited for company, at most. Any thread may ask."""
        return self._gather_s() if self.gathers else 0.0

    def run_once(self) -> None:
        """One turn of the loop: at most ``CHECK_S`` of waiting, then everything that is ready."""
        self._gather()
        behind, held_back = self._is_behind(), False
        ready = self._selector.select(TICK_S if self._connects else CHECK_S)
        self._came = bool(ready)
        for key, _ in ready:
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_out, 4096)
            elif behind and not key.data.live:
                key.data.hold_back()
                held_back = True
            else:
                self._guarded(key.data, key.data.receive)
        with self._lock:
            calls, self._calls = self._calls, []
        for stream, action in calls:
            self._guarded(stream, action)
        self._check()
        self._on_gathered()
        if self._changed:
            self._changed = False
            self._follow_sockets()
        if held_back:
            time.sleep(HELD_BACK_S)  # its socket stays readable: the selector would not wait

    def _gather(self) -> None:
        """Let what comes come together; only a call of another thread does not wait, and what comes after a silence."""
        if self.gathers and self._came and (left_s := self._turned_s + self._gather_s() - time.monotonic()) > 0:
            self._calls_only.select(left_s)

    def _check(self) -> None:
        """Each turn those that may connect, the others now and then, and not before anything can be the matter: of many
        streams one is always ready, and to look at all the others cost as much as all that is done with a sample.
        """
        self._turned_s = now_s = time.monotonic()
        all_of_them = now_s - self._checked_s >= CHECK_S
        if all_of_them:
            self._checked_s = now_s
        elif not self._connects:
            return
        for stream, session in self._streams.items():
            if session is None or (all_of_them and now_s >= stream.check_s):
                self._guarded(stream, stream.check)

    def close(self) -> None:
        """Kill what is left and give the descriptors back. Call when the thread has ended."""
        for stream in self._streams:
            self._guarded(stream, stream.kill)
        self._selector.close()
        self._calls_only.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _call(self, stream: Stream, action: Callable[[], None]) -> None:
        with self._lock:
            self._calls.append((stream, action))
        self.wake()

    def _guarded(self, stream: Stream, action: Callable[[], object]) -> None:
        def end_connection(error: Exception) -> None:
            log.error("stream failed within the worker", exc_info=error)
            stream.break_off(error)

        with JobBoundary(end_connection):
            action()
        if stream.session is not self._streams.get(stream) or stream.outcome is not None:
            self._changed = True

    def _follow_sockets(self) -> None:
        """Keep the selector in step with the sockets, of which each connection has a new one.

        All closed ones leave before any new one enters: a new socket may have the number of a closed one.
        """
        for stream, watched in self._streams.items():
            if watched is not None and stream.session is not watched:
                self._selector.unregister(watched)
                self._streams[stream] = None
        for stream, watched in list(self._streams.items()):
            if stream.outcome is not None:
                del self._streams[stream]
            elif watched is None and stream.session is not None:
                self._selector.register(stream.session, selectors.EVENT_READ, stream)
                self._streams[stream] = stream.session
        self._connects = None in self._streams.values()
        self.gathers = self._gather_s() > 0 and all(stream.live for stream in self._streams)
