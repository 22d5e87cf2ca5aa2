"""The network's inputs from pictures and videos, without Redis: what one decoder process after another hands over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Region, Sampling
from streamtag.core.records import Sample
from streamtag.ingest import wire
from streamtag.ingest.pictures import is_one_picture
from streamtag.ingest.request import Request
from streamtag.ingest.session import DecoderSession
from streamtag.ingest.slots import MAX_SLOTS
from streamtag.redaction import without_name
from streamtag.settings import Settings

Key = TypeVar("Key")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class InputFrame:
    """One sample as the network will see it."""

    source: str
    sample: Sample
    picture: np.ndarray  # (H, W, 3) uint8 RGB
    share: float | None = None  # of its video that is read by then, 0 to 1, where the length is known


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A picture, frame or whole source that could not be read, and why."""

    source: str
    detail: str  # without the name of the source
    whole: bool = True  # False: one frame of a video
    region: int = 0  # of a picture


class Reading:
    """Network inputs of pictures and videos, read by decoder processes.

    Args:
        ahead: inputs that may wait decoded, about.
        regions: of each picture or frame, an input each; None is all of it.
        credential: by name, for sources on the network.
    """

    def __init__(
        self,
        settings: Settings,
        preprocessing: Preprocessing,
        ahead: int,
        regions: tuple[Region | None, ...] = (None,),
        credential: str = "",
    ) -> None:
        self._settings = settings
        self._preprocessing = preprocessing
        self._regions = regions
        self._credential = credential
        self._slots = min(MAX_SLOTS, max(settings.source.slots, ahead, len(regions)))
        self.notes: dict[str, str] = {}  # what to know of sources that were read to their end, where that is something

    def frames(self, sources: Sequence[str], sampling: Sampling | None = None) -> Iterator[InputFrame | Unreadable]:
        """Every sample of the sources in order: one of a picture, many of a video, each as many as there are regions.

        Args:
            sources: pictures, videos, URLs; no folders (``classify.expand``).
        """
        pictures: list[str] = []
        for source in sources:
            if is_one_picture(source) and "://" not in source:
                pictures.append(source)
                continue
            yield from self._pictures(pictures)
            pictures = []
            yield from self._one(source, sampling or Sampling())
        yield from self._pictures(pictures)

    def _one(self, source: str, sampling: Sampling) -> Iterator[InputFrame | Unreadable]:
        for event in self._read(source, (), sampling):
            yield _unreadable(source, event) if isinstance(event, str) else event

    def _pictures(self, paths: list[str]) -> Iterator[InputFrame | Unreadable]:
        """Pictures share one decoder process; one that kills it is named, and the rest go on in a new one."""
        at, regions = 0, len(self._regions)
        while at < len(paths):
            answered = 0
            failure = ""
            for event in self._read(paths[at], tuple(paths[at:]), Sampling()):
                if isinstance(event, str):
                    failure = event
                    break
                answered += 1
                yield event if isinstance(event, InputFrame) else replace(event, whole=True)
            pictures, told = divmod(answered, regions)
            at += pictures
            if failure and at < len(paths):
                for region in range(told, regions):
                    yield _unreadable(paths[at], failure, region=region)
                at += 1

    def _read(
        self, source: str, pictures: tuple[str, ...], sampling: Sampling
    ) -> Iterator[InputFrame | Unreadable | str]:
        """Decode one source. A text is the reason why it ended too soon."""
        request = Request(
            source=source,
            live=False,
            sampling=sampling,
            default_fps=self._settings.sampling.finite_fps,
            preprocessing=self._preprocessing,
            settings=self._settings.guarded_source(),
            slots=self._slots,
            resume_index=-1,
            decoded=0,
            sampled=0,
            pictures=pictures,
            regions=self._regions,
            credential=self._credential if "://" in source else "",
        )
        with DecoderSession(request) as session:
            length = 0
            for message in session.messages(self._settings.source.watchdog_s):
                match message:
                    case wire.Opened():
                        length = message.frames
                    case wire.SampleMessage(sample):
                        picture = session.picture(sample.slot).copy()
                        session.release(sample.slot)
                        name = pictures[sample.index] if sample.index < len(pictures) else source
                        share = min(1.0, sample.decoded / length) if length and not pictures else None
                        yield InputFrame(name, sample, picture, share)
                    case wire.FrameFailed():
                        name = pictures[message.index] if message.index < len(pictures) else source
                        yield _unreadable(name, message.detail, whole=False, region=message.region)
                    case wire.Ended(note=note) if note:
                        self.notes[source] = note
                    case wire.DecoderFailed():
                        yield message.reason


def _unreadable(source: str, reason: str, *, whole: bool = True, region: int = 0) -> Unreadable:
    return Unreadable(source, without_name(reason, source), whole, region)


def in_batches(
    events: Iterable[tuple[Key, InputFrame | Unreadable]],
    size: int,
    infer: Callable[[list[InputFrame]], Iterable[Outcome]],
) -> Iterator[tuple[Key, Outcome | Unreadable]]:
    """What inference makes of each frame, in the order of the frames; so many at a time.

    Args:
        events: frames and what could not be read, each with what its user wants back beside the outcome.
        infer: frames to an outcome of each.
    """
    waiting: list[tuple[Key, InputFrame]] = []

    def outcomes() -> Iterator[tuple[Key, Outcome]]:
        if waiting:
            keys, frames = zip(*waiting, strict=True)
            waiting.clear()
            yield from zip(keys, infer(list(frames)), strict=True)

    for key, event in events:
        if isinstance(event, Unreadable):
            yield from outcomes()
            yield key, event
            continue
        waiting.append((key, event))
        if len(waiting) == size:
            yield from outcomes()
    yield from outcomes()
