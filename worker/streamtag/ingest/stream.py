"""The parent's side of one job's source: its decoder processes, one after another, and what the stream is doing.

Owned by the intake thread. Of a session only ``picture`` and ``release`` are used elsewhere.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from streamtag.core.bundle import Preprocessing
from streamtag.core.records import Claim, Sample, StreamState
from streamtag.core.stream_state import FailureKind
from streamtag.ingest import decoder, wire
from streamtag.ingest.session import Decode, DecoderSession
from streamtag.settings import SamplingSettings, SourceSettings

_CONNECTED = (StreamState.LIVE, StreamState.FROZEN, StreamState.BLACK)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stream ended."""

    kind: str  # end | reject | stopped
    decoded: int = 0
    sampled: int = 0
    reason: str = ""  # why it was rejected, or what to know about a file that ended


class Listener(Protocol):
    """What a stream tells. Called in the intake thread."""

    def on_sample(self, stream: Stream, session: DecoderSession, message: wire.SampleMessage) -> None: ...
    def on_lost(self, stream: Stream, kind: str, sample: Sample, reason: str, detail: str) -> None: ...
    def on_decoded(self, stream: Stream, frames: int) -> None: ...
    def on_state(self, stream: Stream, state: StreamState, detail: str) -> None: ...
    def on_gap(self, stream: Stream, reason: str) -> None: ...
    def on_outcome(self, stream: Stream, outcome: Outcome) -> None: ...


@dataclass(slots=True)
class Stream:
    """One job's source while this worker has it."""

    claim: Claim
    preprocessing: Preprocessing
    settings: SourceSettings
    sampling: SamplingSettings
    listener: Listener
    decode: Decode = decoder.main  # what a decoder process runs
    now_s: Callable[[], float] = time.monotonic

    live: bool = False
    state: StreamState = StreamState.CONNECTING
    session: DecoderSession | None = None
    outcome: Outcome | None = None
    progress: float | None = None  # 0 to 1 where the length is known
    heard_s: float = 0.0  # when the decoder last gave a sign of life
    retry_s: float | None = None  # end of the back-off, while in one
    _frames: int = 0
    _decoded: int = 0
    _last_index: int = -1
    _delivered: int = 0  # number of the last sample that the listener heard of
    _failures: int = 0
    _started_s: float = field(default=0.0)
    _still_since_s: float | None = None
    _had_sample: bool = False

    def __post_init__(self) -> None:
        checkpoint = self.claim.checkpoint
        self.live = self.claim.job.is_live
        self._last_index = checkpoint.last_index
        self._delivered = checkpoint.counters.get("sampled", 0)
        self._started_s = self.now_s()
        if self.live:
            self._decoded = checkpoint.counters.get("decoded", 0)

    @property
    def healthy(self) -> bool:
        """Whether its lease may be renewed: it moves, backs off, or waits for us."""
        patience_s = self.settings.watchdog_s + self.settings.open_timeout_s
        return self.retry_s is not None or self.now_s() - self.heard_s < patience_s

    def start(self) -> None:
        """Start a decoder process for the next connection."""
        self.retry_s = None
        self.heard_s = self.now_s()
        try:
            self._spawn()
        except OSError as error:
            # No memory, no processes, no descriptors left on this machine: the other streams go on.
            self._failed(FailureKind.RETRY, f"no decoder process could be started: {error}")
            return
        if self.state is not StreamState.RECONNECTING:
            self._enter(StreamState.CONNECTING)

    def _spawn(self) -> None:
        checkpoint, job = self.claim.checkpoint, self.claim.job
        request = decoder.Request(
            source=job.source,
            live=self.live,
            sampling=job.sampling,
            default_fps=self.sampling.live_fps if self.live else self.sampling.finite_fps,
            preprocessing=self.preprocessing,
            settings=self.settings,
            slots=self.settings.slots,
            resume_index=-1 if self.live else self._last_index,
            decoded=self._decoded if self.live else 0,
            sampled=self._delivered if self.live else 0,
            start_pts_s=self._live_pts_s(checkpoint.last_captured_unix_s, checkpoint.last_pts_s) if self.live else 0.0,
        )
        session = DecoderSession(request, self.decode)
        session.start()
        self.session = session

    def receive(self) -> bool:
        """Take in what the decoder has said; call when its socket is readable. False when there was nothing."""
        if self.session is None:
            return False
        messages = self.session.receive()
        if messages is None:
            self._process_gone()
            return True
        if messages:
            self.heard_s = self.now_s()
        for message in messages:
            self._take(message)
        return bool(messages)

    def check(self) -> None:
        """The watchdog: look at the clock. Call a few times a second."""
        now_s = self.now_s()
        if self.retry_s is not None:
            if now_s >= self.retry_s:
                self.start()
            return
        if self.session is None:
            return
        silent_s = now_s - self.heard_s
        if silent_s > self.settings.watchdog_s:
            self._failed(FailureKind.RETRY, f"the decoder gave no sign of life for {silent_s:.0f} s and was killed")
        elif self.live and self.state in _CONNECTED and silent_s > self.settings.read_timeout_s / 2:
            self._enter(StreamState.STALLED)

    def stop(self) -> None:
        """End here and now, with everything that the decoder has delivered."""
        while self.receive():
            pass
        if self.outcome is None:
            self._end(Outcome("stopped", self._decoded, self._delivered))

    def kill(self) -> None:
        """End the decoder at once; nothing more is told."""
        self.outcome = self.outcome or Outcome("stopped")
        self._close_session()

    def _sample(self, message: wire.SampleMessage) -> None:
        sample = message.sample
        self._last_index, self._delivered = sample.index, sample.sampled
        self._count_decoded(sample.decoded)
        self._failures = 0
        if self.live:
            if not self._had_sample and self.claim.checkpoint.last_captured_unix_s:
                self.listener.on_gap(self, "handover")
            elif self.state is StreamState.RECONNECTING:
                self.listener.on_gap(self, "reconnect")
            self._look(message)
        elif self.state is not StreamState.LIVE:
            self._enter(StreamState.LIVE)
        self._had_sample = True
        assert self.session is not None
        self.listener.on_sample(self, self.session, message)

    def _look(self, message: wire.SampleMessage) -> None:
        """Name what a live picture shows: nothing new, nothing at all, or life."""
        now_s = self.now_s()
        if message.motion > 0 or not self._had_sample:
            self._still_since_s = None
        elif self._still_since_s is None:
            self._still_since_s = now_s
        if message.luma < self.settings.black_luma:
            self._enter(StreamState.BLACK)
        elif self._still_since_s is not None and now_s - self._still_since_s >= self.settings.frozen_s:
            self._enter(StreamState.FROZEN)
        else:
            self._enter(StreamState.LIVE)

    def _take(self, message: wire.Message) -> None:
        match message:
            case wire.SampleMessage():
                self._sample(message)
            case wire.Progress(decoded):
                self._count_decoded(decoded)
            case wire.Opened():
                self._frames = message.frames
            case wire.FrameFailed() | wire.FrameDropped():
                self._count_decoded(message.decoded)
                self._last_index, self._delivered = message.index, message.sampled
                kind = "dropped" if isinstance(message, wire.FrameDropped) else "frame_failed"
                self.listener.on_lost(self, kind, message.sample, message.reason, message.detail)
            case wire.Ended():
                self._count_decoded(message.decoded)
                self._ended(message.note)
            case wire.DecoderFailed(failure, reason):
                self._failed(failure, reason)

    def _ended(self, note: str) -> None:
        if self.live:
            self._failed(FailureKind.RETRY, "the stream ended or stopped answering")
        else:
            self._end(Outcome("end", self._decoded, self._delivered, note))

    def _process_gone(self) -> None:
        """The socket is at its end: the process left without a last word."""
        if self.outcome is not None or self.retry_s is not None:
            self._close_session()
            return
        how = self.session.how_it_ended() if self.session is not None else "never started"
        self._failed(FailureKind.RETRY, f"the decoder process died ({how}) at frame {self._decoded}")

    def _failed(self, kind: FailureKind, reason: str) -> None:
        """This connection failed: end the job, or back off and connect again."""
        self._close_session()
        self._failures += 1
        if kind is FailureKind.REJECT or (not self.live and self._failures >= self.settings.attempts):
            self._enter(StreamState.FAILED, reason)
            self._end(Outcome("reject", self._decoded, self._delivered, reason))
        else:
            # Full jitter: a fleet that lost one camera server does not come back all at once.
            grown_s = self.settings.backoff_s * 2.0 ** min(self._failures - 1, 16)
            self.retry_s = self.now_s() + random.uniform(0, min(self.settings.backoff_cap_s, grown_s))
            self._enter(StreamState.AUTH_FAILED if kind is FailureKind.AUTH else StreamState.RECONNECTING, reason)

    def _end(self, outcome: Outcome) -> None:
        self._close_session()
        self.outcome = outcome
        if outcome.kind == "end":
            self.progress = 1.0
            self._enter(StreamState.ENDED)
        self.listener.on_outcome(self, outcome)

    def _close_session(self) -> None:
        """Close our end; the pictures stay readable for samples that are still in a batch."""
        if self.session is not None:
            self.session.close()
            self.session = None

    def _enter(self, state: StreamState, detail: str = "") -> None:
        if state is not self.state or detail:
            self.state = state
            self.listener.on_state(self, state, detail)

    def _count_decoded(self, decoded: int) -> None:
        self.listener.on_decoded(self, max(0, decoded - self._decoded))
        self._decoded = decoded
        if self._frames and not self.live:
            self.progress = min(1.0, self._decoded / self._frames)

    def _live_pts_s(self, captured_unix_s: float, pts_s: float) -> float:
        """Live time goes on across connections and owners: seconds since the stream's first frame ever."""
        if captured_unix_s:
            return pts_s + max(0.0, time.time() - captured_unix_s)
        return self.now_s() - self._started_s if self._had_sample else 0.0
