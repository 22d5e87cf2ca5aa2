"""Clock cameras watched by a decoder process: what each sample shows, what is said of it, and when it was here."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Region, Sampling
from streamtag.core.records import Sample
from streamtag.ingest import decoder, geometry
from streamtag.ingest.planes import Pixels
from streamtag.ingest.request import Request
from streamtag.ingest.slots import SlotMemory
from streamtag.ingest.stream import Stream
from streamtag.settings import SourceSettings

from tests.support.rtsp import shown_unix_s
from tests.support.stream_reading import QUICK, Heard, read

WHOLE = Preprocessing(64, crop="squash")  # of which all cells can be read
SLOW_S = 0.2


@dataclass(frozen=True)
class Seen:
    """A sample of a clock camera."""

    sample: Sample
    shown_unix_s: float  # when its picture was made
    taken_unix_s: float  # when it was here

    @property
    def lag_s(self) -> float:
        """How old it truly was by then."""
        return self.taken_unix_s - self.shown_unix_s

    @property
    def error_s(self) -> float:
        """How much later it is said to have come than it was made."""
        return self.sample.captured_unix_s - self.shown_unix_s


def seen(heard: Heard, loop_s: float = 0.0) -> list[Seen]:
    """The samples whose picture can be read, which must be nearly all."""
    shown = [shown_unix_s(*one, loop_s) for one in zip(heard.pictures, heard.taken_unix_s, strict=True)]
    found = [
        Seen(sample, when, taken)
        for sample, when, taken in zip(heard.samples, shown, heard.taken_unix_s, strict=True)
        if when is not None
    ]
    assert len(found) >= 0.9 * len(shown), f"{len(found)} of {len(shown)} pictures can be read"
    return found


def watch(
    url: str,
    sampling: Sampling,
    enough: Callable[[Heard], bool],
    settings: SourceSettings = QUICK,
    decode: Callable[[Request, socket.socket, SlotMemory], None] = decoder.main,
    live: bool | None = None,
) -> Heard:
    """Read a camera until it is enough."""

    def stop(stream: Stream, heard: Heard) -> None:
        if enough(heard):
            stream.stop()

    return read(url, sampling, settings, meddle=stop, preprocessing=WHOLE, decode=decode, live=live)


def decode_slowly(request: Request, parent: socket.socket, memory: SlotMemory) -> None:
    """A decoder that takes its time over each picture, as on a machine that has other work."""
    fit = geometry.fit

    def fit_slowly(
        picture: Pixels, preprocessing: Preprocessing, out: np.ndarray, region: Region | None = None
    ) -> None:
        time.sleep(SLOW_S)
        fit(picture, preprocessing, out, region)

    geometry.fit = fit_slowly
    decoder.main(request, parent, memory)
