"""Films of a web server: how an end is told from a break. Runs in the decoder process only.

FFmpeg ends a film whose connection broke as if it had ended there. A break of a finite source is a failure that may
pass: the source is then read anew, and what is published already passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import av
from av.container import InputContainer

from streamtag.core.sampler import FramePlan, Planned
from streamtag.errors import RejectJob, RetryJob
from streamtag.ingest.errorlog import ErrorLog
from streamtag.ingest.films import FilmReader
from streamtag.ingest.gate import GateClient
from streamtag.ingest.interlaced import Capture
from streamtag.ingest.nal_units import NalUnits
from streamtag.ingest.policy import NoAnswer
from streamtag.ingest.readers import Opened
from streamtag.ingest.videos import MAX_FAILURES_IN_A_ROW, SILENT, VideoReader
from streamtag.ingest.web import WebSource
from streamtag.settings import SourceSettings

# What FFmpeg says when a connection ended before its time; where the length is unknown it names the largest number.
_BROKEN = re.compile(r"Stream ends prematurely at (\d+), should be (\d+)|Failed to open segment|Error when loading")
_CANNOT_GO_BACK = "partial file"  # FFmpeg's words for a place in a film that it cannot go to
_UNKNOWN_LENGTH = 2**64 - 1


class WebConnection:
    """By which a film of a web server comes: whether it broke, which FFmpeg only says in its log."""

    def __init__(self, name: str, web: WebSource, log: ErrorLog, gate: GateClient) -> None:
        self._name = name
        self._web = web
        self._log = log
        self._gate = gate

    def check(self, frames: int) -> None:
        """Look at what was said since.

        Args:
            frames: that came.

        Raises:
            RejectJob: it led to where it may not, or can never be read from this server.
            RetryJob: it broke or fell silent.
        """
        said = self._log.news()
        if _CANNOT_GO_BACK in said and not self._web.ranges:
            raise RejectJob(
                f"{self._name}: its index lies at its end, and this server cannot be asked for a part of a file: "
                "let it answer Range requests, or move the index to the front "
                "(ffmpeg -i IN -c copy -movflags +faststart OUT)"
            )
        if silent := SILENT.search(said):
            raise self.silent(int(silent[1]) / 1000, frames)
        for found in _BROKEN.finditer(said):
            if found[2] and int(found[2]) == _UNKNOWN_LENGTH:
                continue
            self._gate.check()
            where = f"after {found[1]} of {found[2]} bytes" if found[1] else "in a part of it"
            raise RetryJob(f"{self._name}: the connection broke {where}, after {frames} frames")

    def silent(self, seconds: float, frames: int) -> NoAnswer:
        """What to say where nothing came for so long."""
        return NoAnswer(f"{self._name}: nothing came for {seconds:.1f} s, after {frames} frames")

    def check_end(self) -> None:
        """Nothing more comes.

        Raises:
            RejectJob: it led to where it may not.
        """
        self._gate.check()

    def note(self, opened: Opened) -> str:
        """What to know about the end of what was opened."""
        if self._web.length is not None or opened.frames:
            return ""
        return "the server does not say how long it is: whether it ended here or broke off cannot be told"


class WebVideoReader(VideoReader):
    """A film of a web server that is read from its start to its end."""

    def __init__(
        self, capture: Capture, source: str, settings: SourceSettings, connection: WebConnection, first: bytes
    ) -> None:
        super().__init__(capture, source, settings, first=first)
        self._connection = connection
        self._grabbed = 0

    def grab(self) -> bool:
        """
        Raises:
            RejectJob, RetryJob: see ``WebConnection.check``.
        """
        for failures in range(MAX_FAILURES_IN_A_ROW):
            grabbed = bool(self._capture.grab())
            self._connection.check(self._grabbed)
            if grabbed:
                self._grabbed += 1
                self.bad_packets += failures
                return True
        self._connection.check_end()
        return False

    @property
    def note(self) -> str:
        return self._connection.note(self.opened)


class WebFilmReader(FilmReader):
    """The same, of which no more is decoded than the samples need."""

    def __init__(
        self,
        container: InputContainer,
        units: NalUnits | None,
        source: str,
        settings: SourceSettings,
        connection: WebConnection,
    ) -> None:
        super().__init__(container, units, source, settings)
        self._connection = connection
        self._timeout_s = settings.read_timeout_s
        self._told = 0

    def planned(self, plan: FramePlan) -> Iterator[Planned]:
        """
        Raises:
            RejectJob, RetryJob: see ``WebConnection.check``.
        """
        for planned in super().planned(plan):
            self._connection.check(self._told)
            self._told += 1
            yield planned
        self._connection.check(self._told)
        self._connection.check_end()

    def failed_to_read(self, error: av.FFmpegError | None, waited_s: float) -> None:
        """
        Raises:
            RetryJob: it is not the film that is damaged, but the connection broke or fell silent.
        """
        self._connection.check(self._told)
        if waited_s >= 0.8 * self._timeout_s:  # FFmpeg counts in tenths of a second
            raise self._connection.silent(waited_s, self._told)
        if not isinstance(error, av.InvalidDataError):
            why = "within a frame" if error is None else error.strerror
            raise RetryJob(f"{self.name}: the connection broke ({why}), after {self._told} frames")

    @property
    def note(self) -> str:
        return "; ".join(filter(None, (super().note, self._connection.note(self.opened))))
