"""A stream read to its end, and everything that it told on the way."""

from __future__ import annotations

import selectors
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Job, Sampling
from streamtag.core.records import Checkpoint, Claim, Sample, StreamState
from streamtag.ingest.session import DecoderSession
from streamtag.ingest.stream import Outcome, Stream
from streamtag.ingest.wire import SampleMessage
from streamtag.settings import SamplingSettings, SourceSettings

from tests.support.waiting import LIMIT_S

PREPROCESSING = Preprocessing(32)
DEFAULT = Sampling()
QUICK = SourceSettings(backoff_s=0.05, attempts=3)


@dataclass
class Listener:
    """Keeps everything that a stream tells."""

    samples: list[Sample] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    lost: list[tuple[str, Sample, str, str]] = field(default_factory=list)
    states: list[StreamState] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    decoded: int = 0

    def on_sample(self, stream: Stream, session: DecoderSession, message: SampleMessage) -> None:
        self.samples.append(message.sample)
        self.pictures.append(session.picture(message.sample.slot).copy())
        session.release(message.sample.slot)

    def on_lost(self, stream: Stream, kind: str, sample: Sample, reason: str, detail: str) -> None:
        self.lost.append((kind, sample, reason, detail))

    def on_decoded(self, stream: Stream, frames: int) -> None:
        self.decoded += frames

    def on_state(self, stream: Stream, state: StreamState, detail: str) -> None:
        self.states.append(state)
        self.details.append(detail)

    def on_gap(self, stream: Stream, reason: str) -> None:
        pass

    def on_outcome(self, stream: Stream, outcome: Outcome) -> None:
        self.outcome = outcome


def read(source: str | Path, sampling: Sampling = DEFAULT, settings: SourceSettings = QUICK, **more: Any) -> Listener:
    """Run a stream to its end. ``more``: ``resume`` a frame index, ``meddle`` called with the stream every turn."""
    listener = Listener()
    checkpoint = Checkpoint(last_index=more.get("resume", -1))
    claim = Claim(Job("j", str(source), sampling=sampling), "1-0", 1, 1, checkpoint)
    stream = Stream(claim, PREPROCESSING, settings, SamplingSettings(), listener)
    stream.start()
    deadline_s = time.monotonic() + LIMIT_S
    while listener.outcome is None:
        assert time.monotonic() < deadline_s, (listener.states, listener.details)
        if stream.session is not None:
            with selectors.DefaultSelector() as selector:
                selector.register(stream.session, selectors.EVENT_READ)
                selector.select(0.05)
            stream.receive()
        else:
            time.sleep(0.01)
        stream.check()
        if "meddle" in more:
            more["meddle"](stream, listener)
    return listener
