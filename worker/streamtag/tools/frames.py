"""The network's inputs from pictures and videos, without Redis: what one decoder process after another hands over."""

from __future__ import annotations

import multiprocessing.connection
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.records import Sample, Sampling
from streamtag.core.source import is_picture
from streamtag.ingest import decoder, wire
from streamtag.ingest.slots import MAX_SLOTS
from streamtag.ingest.stream import Ring, forkserver, start_decoder
from streamtag.settings import Settings


@dataclass(frozen=True, slots=True)
class InputFrame:
    """One sample as the network will see it."""

    source: str
    sample: Sample
    picture: np.ndarray  # (H, W, 3) uint8 RGB


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture, frame or whole source that could not be read, and why."""

    source: str
    detail: str
    whole: bool = True  # False: one frame of a video


class Reading:
    """
    Args:
        ahead: inputs that may wait decoded, about.
    """

    def __init__(self, settings: Settings, preprocessing: Preprocessing, ahead: int) -> None:
        self._settings = settings
        self._preprocessing = preprocessing
        self._slots = min(MAX_SLOTS, max(settings.source.slots, ahead))
        self._context = forkserver()

    def frames(self, sources: Sequence[str], sampling: Sampling | None = None) -> Iterator[InputFrame | Unreadable]:
        """Every sample of the sources in order: one of a picture, many of a video.

        Args:
            sources: pictures, videos, URLs; no folders (``classify.expand``).
        """
        pictures: list[str] = []
        for source in sources:
            if is_picture(source) and "://" not in source:
                pictures.append(source)
                continue
            yield from self._pictures(pictures)
            pictures = []
            yield from self._one(source, sampling or Sampling())
        yield from self._pictures(pictures)

    def _one(self, source: str, sampling: Sampling) -> Iterator[InputFrame | Unreadable]:
        for event in self._read(source, (), sampling):
            yield Unreadable(source, event) if isinstance(event, str) else event

    def _pictures(self, paths: list[str]) -> Iterator[InputFrame | Unreadable]:
        """Pictures share one decoder process; one that kills it is named, and the rest go on in a new one."""
        at = 0
        while at < len(paths):
            answered = 0
            failure = ""
            for event in self._read(paths[at], tuple(paths[at:]), Sampling()):
                if isinstance(event, str):
                    failure = event
                    break
                if isinstance(event, InputFrame):
                    answered = event.sample.index + 1
                else:
                    answered += 1
                    event = Unreadable(event.source, event.detail)
                yield event
            at += answered
            if failure and at < len(paths):
                yield Unreadable(paths[at], failure)
                at += 1

    def _read(
        self, source: str, pictures: tuple[str, ...], sampling: Sampling
    ) -> Iterator[InputFrame | Unreadable | str]:
        """Decode one source. A text is the reason why it ended too soon."""
        request = decoder.Request(
            source=source,
            live=False,
            sampling=sampling,
            default_fps=self._settings.sampling.finite_fps,
            preprocessing=self._preprocessing,
            settings=self._settings.source,
            slots=self._slots,
            resume_index=-1,
            decoded=0,
            sampled=0,
            start_pts_s=0.0,
            pictures=pictures,
        )
        ring, process = start_decoder(request, self._context)
        try:
            for message in self._messages(ring):
                if isinstance(message, wire.SampleMessage):
                    sample = message.sample
                    picture = ring.pictures[sample.slot].copy()
                    ring.release(sample.slot)
                    yield InputFrame(pictures[sample.index] if pictures else source, sample, picture)
                elif message["type"] == "frame_failed":
                    name = pictures[message["index"]] if pictures else source
                    yield Unreadable(name, message["detail"], whole=False)
                elif message["type"] == "failed":
                    yield str(message["reason"])
                    return
                elif message["type"] not in ("opened", "progress"):
                    return
        finally:
            process.kill()
            ring.parent.close()

    def _messages(self, ring: Ring) -> Iterator[wire.Message]:
        """What the decoder says, as it says it; a decoder that falls silent or dies ends with ``failed``."""
        patience_s = self._settings.source.watchdog_s
        while multiprocessing.connection.wait([ring.parent], patience_s):
            messages = ring.receive()
            if messages is None:
                yield {"type": "failed", "reason": "the decoder process died on it"}
                return
            yield from messages
        yield {"type": "failed", "reason": f"the decoder gave no sign of life for {patience_s:.0f} s"}
