"""Frames of a stream as pictures, as large as they are wanted and no larger than they are.

They are decoded in the caged process as everywhere; here are only their pixels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.failure import FailureKind
from streamtag.core.job import Region, Sampling
from streamtag.core.source import SourceKind, source_kind
from streamtag.errors import StreamtagError
from streamtag.ingest import geometry, wire
from streamtag.ingest.request import Request
from streamtag.ingest.session import DecoderSession
from streamtag.redaction import shown_source, without_name
from streamtag.settings import Settings

SLOTS = 4


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a stream by presentation time. What is taken from it stays together when a data set is split."""

    start_s: float = 0.0
    end_s: float = math.inf

    def __str__(self) -> str:
        return "all" if self == Span() else f"{self.start_s:g}-{self.end_s:g}".replace("inf", "end")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which frames of which source.

    Attributes:
        source: a video, an address or ``camera:N``.
        spans: that the frames are wanted of; what is after them is not read.
        longer_px: of a picture's longer side at most.
        for_s: how long to look at a live source; None for one with an end.
        region: that the network sees of each frame; None is all of it.
        credential: by name, for a source on the network.
    """

    source: str
    spans: tuple[Span, ...] = (Span(),)
    longer_px: int = 640
    sampling: Sampling = field(default_factory=Sampling)
    for_s: float | None = None
    region: Region | None = None
    credential: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One that was looked at."""

    pts_s: float
    picture: np.ndarray  # (H, W, 3) uint8 RGB
    share: float  # of the way to the last that is wanted, 0 to 1


def whole_frames(wanted: Wanted, settings: Settings) -> Iterator[Frame]:
    """Every sample as a picture as large as is wanted, and no larger than it is."""
    live, longer_px, own_px = wanted.for_s is not None, wanted.longer_px, wanted.longer_px
    last_s = max(span.end_s for span in wanted.spans)
    until_s = math.inf
    while True:
        request = _request(wanted, settings, live, longer_px)
        with DecoderSession(request) as session:
            opened = wire.Opened(0, 0, 0.0, 0)
            for message in session.messages(settings.source.watchdog_s):
                match message:
                    case wire.Opened():
                        opened = message
                        own_px = max(_shape(opened, wanted.region))
                        if own_px < longer_px:
                            break  # and once more: made larger than it is, it would only be blurred
                        until_s = time.monotonic() + wanted.for_s if wanted.for_s is not None else math.inf
                    case wire.SampleMessage(sample):
                        picture = _unpadded(session.picture(sample.slot), _shape(opened, wanted.region)).copy()
                        session.release(sample.slot)
                        share = _share(wanted, opened, sample.decoded, sample.pts_s, last_s, until_s)
                        yield Frame(sample.pts_s, picture, share)
                        if sample.pts_s > last_s:
                            return
                    case wire.DecoderFailed(failure, reason):
                        if failure is FailureKind.LIVE:
                            reason = "it goes on for ever; say for how long to look at it (--for SECONDS)"
                        raise StreamtagError(f"{shown_source(wanted.source)}: {without_name(reason, wanted.source)}")
                    case wire.Ended():
                        return
                if time.monotonic() > until_s:
                    return
        if own_px >= longer_px:
            return
        longer_px = own_px


def _request(wanted: Wanted, settings: Settings, live: bool, longer_px: int) -> Request:
    return Request(
        source=wanted.source,
        live=live,
        sampling=wanted.sampling,
        default_fps=settings.sampling.usual_fps(live),
        preprocessing=Preprocessing(longer_px, crop="pad"),
        settings=settings.guarded_source(),
        slots=SLOTS,
        resume_index=-1,
        decoded=0,
        sampled=0,
        may_turn_live=not live,
        regions=(wanted.region,),
        credential=wanted.credential if "://" in wanted.source else "",
    )


def _shape(opened: wire.Opened, region: Region | None) -> tuple[int, int]:
    """(height, width) of what is looked at of each frame."""
    part = geometry.part_of((max(1, opened.height), max(1, opened.width)), region)
    return part.rows, part.columns


def _unpadded(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Without the borders that make it square."""
    return geometry.padded(geometry.part_of(shape, None), len(picture)).of(picture)


def _share(wanted: Wanted, opened: wire.Opened, decoded: int, pts_s: float, last_s: float, until_s: float) -> float:
    if wanted.for_s is not None:
        return min(1.0, max(0.0, 1.0 - (until_s - time.monotonic()) / wanted.for_s))
    shares = [pts_s / last_s if 0 < last_s < math.inf else 0.0, decoded / opened.frames if opened.frames else 0.0]
    return min(1.0, max(shares))


def is_live(source: str) -> bool:
    """Whether a source has no end, by its kind."""
    return source_kind(source) in (SourceKind.RTSP, SourceKind.CAMERA)


def at_rate_of(wanted: Wanted, step_s: float) -> Wanted:
    """The frames that a job's samples were, where the job does not say which."""
    if wanted.sampling.chooses:
        return wanted
    return replace(wanted, sampling=Sampling(fps=min(1000.0, max(0.001, round(1 / step_s, 4)))))
