"""A stream read to its end, and everything that it told on the way."""

from __future__ import annotations

import contextlib
import itertools
import selectors
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from streamtag.core.bundle import Preprocessing
from streamtag.core.gaps import GapNoticed, GapReason
from streamtag.core.job import Job, Sampling
from streamtag.core.options import SamplingSettings
from streamtag.core.records import Checkpoint, Claim, Counters, Sample, StreamState
from streamtag.core.stream_state import Outcome, StateChanged
from streamtag.ingest import decoder
from streamtag.ingest.stream import FramesDecoded, SampleReady, Stream, StreamEvent, Unclassified
from streamtag.settings import SourceSettings

from tests.support.waiting import LIMIT_S

PREPROCESSING = Preprocessing(32)
DEFAULT = Sampling()
QUICK = SourceSettings(backoff_s=0.05, attempts=3)


@dataclass
class Heard:
    """Everything that a stream emitted."""

    samples: list[Sample] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    taken_unix_s: list[float] = field(default_factory=list)  # when each sample was here
    decode_s: list[float] = field(default_factory=list)  # CPU spent on each
    unclassified: list[Unclassified] = field(default_factory=list)
    states: list[StreamState] = field(default_factory=list)
    states_at_s: list[float] = field(default_factory=list)  # by the monotonic clock
    details: list[str] = field(default_factory=list)
    gaps: list[GapReason] = field(default_factory=list)
    outcome: Outcome | None = None
    decoded: int = 0

    def take(self, event: StreamEvent) -> None:
        """Keep an event, and a copy of its picture."""
        match event:
            case SampleReady(session, sample, decode_s):
                self.taken_unix_s.append(time.time())
                self.decode_s.append(decode_s)
                self.samples.append(sample)
                self.pictures.append(session.picture(sample.slot).copy())
                session.release(sample.slot)
            case Unclassified():
                self.unclassified.append(event)
            case FramesDecoded(count):
                self.decoded += count
            case StateChanged(state, detail):
                self.states.append(state)
                self.states_at_s.append(time.monotonic())
                self.details.append(detail)
            case GapNoticed(reason):
                self.gaps.append(reason)
            case Outcome():
                self.outcome = event


def read(source: str | Path, sampling: Sampling = DEFAULT, settings: SourceSettings = QUICK, **more: Any) -> Heard:
    """Run a stream to its end.

    Args:
        more: ``resume`` the last sample of an earlier owner; ``live``, ``roi`` and ``credential`` as the job says;
            ``meddle`` called with the stream every turn; ``preprocessing``; ``decode`` what the decoder process runs;
            ``sampled`` the worker's own settings; ``turns`` in which it is decoded.
    """
    heard = Heard()
    checkpoint = Checkpoint()
    if (last := more.get("resume")) is not None:
        regions = len(more["roi"]) if isinstance(more.get("roi"), dict) else 1
        counters = Counters(last.decoded, last.sampled, last.sampled, regions=regions)
        checkpoint = Checkpoint(last_index=last.index, counters=counters)
    named = {name: more[name] for name in ("live", "roi", "credential") if name in more}
    job = Job("j", str(source), sampling=sampling, **named)
    claim = Claim(job, "1-0", 1, 1, checkpoint)
    preprocessing, sampled = more.get("preprocessing", PREPROCESSING), more.get("sampled", SamplingSettings())
    decode, turns = more.get("decode", decoder.main), more.get("turns")
    stream = Stream(claim, preprocessing, settings, sampled, heard.take, decode, turns)
    stream.start()
    deadline_s = time.monotonic() + LIMIT_S
    while heard.outcome is None:
        assert time.monotonic() < deadline_s, (heard.states, heard.details)
        if stream.session is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(stream.session, selectors.EVENT_READ)
                selector.select(0.05)
            stream.receive()
        else:
            time.sleep(0.01)
        stream.check()
        if "meddle" in more:
            more["meddle"](stream, heard)
    return heard


class PeakMemory:
    """To meddle with ``read``: the most memory that any process below this one had resident, bytes."""

    def __init__(self) -> None:
        self.peak_bytes = 0

    def __call__(self, stream: Stream, heard: Heard) -> None:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                self.peak_bytes = max(self.peak_bytes, child.memory_info().rss)


def assert_alike(pictures: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> None:
    """Two readers have read the same frames; one may convert all and shrink that, and the other shrink at first."""
    own, shown = (np.asarray(some, np.float32) for some in (pictures, others))
    off = [float(np.abs(one - other).mean()) for one, other in zip(own, shown, strict=True)]
    assert max(off, default=0.0) < 1.0  # of 255
    for pair in itertools.pairwise(range(len(own))):
        for at, besides in (pair, pair[::-1]):
            assert off[at] < np.abs(own[at] - shown[besides]).mean() + 0.1, "it is the picture of the frame beside it"
