"""The parent's side of one job's source: its decoder sessions, one after another, and the state that they make.

What the stream is doing is decided in ``core/stream_state.py``; here it meets processes and sockets.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields

from streamtag.core.bundle import Preprocessing
from streamtag.core.failure import FailureCause, FailureKind
from streamtag.core.gaps import GapNoticed
from streamtag.core.options import SamplingSettings
from streamtag.core.records import Claim, DropReason, FailReason, Sample
from streamtag.core.stream_state import News, Outcome, StateChanged, StreamLimits, StreamMachine
from streamtag.ingest import decoder, wire
from streamtag.ingest.gate import needs_gate
from streamtag.ingest.request import Request
from streamtag.ingest.session import Decode, DecoderSession, cannot_start
from streamtag.ingest.slots import MAX_SLOTS
from streamtag.ingest.turns import Turns
from streamtag.settings import SourceSettings


@dataclass(frozen=True, slots=True)
class SampleReady:
    """A sample lies in a slot of its session, until that is released."""

    session: DecoderSession
    sample: Sample
    decode_s: float  # CPU that the decoder spent on it


@dataclass(frozen=True, slots=True)
class Unclassified:
    """A sample that will not reach the device."""

    sample: Sample
    dropped: bool  # for a reason of ours; else it failed, for one of its own
    reason: DropReason | FailReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class FramesDecoded:
    """So many frames more, sampled or not."""

    count: int


StreamEvent = SampleReady | Unclassified | FramesDecoded | StateChanged | GapNoticed | Outcome


class Stream:
    """One job's source while this worker has it. Owned by the intake thread; others read ``healthy`` and ``progress``.

    Args:
        emit: takes every event, in the intake thread.
        decode: what a decoder process runs.
        turns: in which films of this machine are decoded.
    """

    def __init__(
        self,
        claim: Claim,
        preprocessing: Preprocessing,
        settings: SourceSettings,
        sampling: SamplingSettings,
        emit: Callable[[StreamEvent], None],
        decode: Decode = decoder.main,
        turns: Turns | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._job = claim.job
        self._preprocessing = preprocessing
        self._settings = settings
        self._sampling = sampling
        self._emit = emit
        self._decode = decode
        self._turns = turns
        self._now_s = now_s
        self.live = claim.job.is_live
        limits = StreamLimits(**{limit.name: getattr(settings, limit.name) for limit in fields(StreamLimits)})
        self._machine = StreamMachine(limits, self.live, claim.checkpoint, now_s(), time.time(), random.random)
        self.session: DecoderSession | None = None
        self.check_s = 0.0  # before that ``check`` finds nothing, as long as there is a session

    @property
    def healthy(self) -> bool:
        """Whether its lease may be renewed: it moves, backs off, or waits for us."""
        return self._machine.healthy(self._now_s())

    @property
    def progress(self) -> float | None:
        """From 0 to 1 where the length is known."""
        return self._machine.progress

    @property
    def outcome(self) -> Outcome | None:
        """How it ended, once it has."""
        return self._machine.outcome

    def start(self) -> None:
        """Start a decoder process for the next connection."""
        self._tell(self._machine.connecting(self._now_s()))
        session = DecoderSession(self._request(), self._decode)
        try:
            session.start()
        except (OSError, EOFError) as error:
            # No memory, no processes, no descriptors left on this machine: no fault of the source.
            self._failed(FailureKind.RETRY, cannot_start(error), FailureCause.MACHINE, counts=False)
        else:
            self.session = session

    def receive(self) -> bool:
        """Take in what the decoder has said; call when its socket is readable. False when there was nothing."""
        session = self.session
        if session is None:
            return False
        messages = session.receive()
        if messages is None:
            how, fork_server_died = session.how_it_ended(), session.fork_server_died()
            reason = f"the decoder process died ({how}) at frame {self._machine.decoded}"
            self._failed(FailureKind.RETRY, reason, FailureCause.DIED, counts=not fork_server_died)
            return True
        if messages:
            self._machine.heard(self._now_s())
        self._take_all(session, messages)
        return bool(messages)

    def hold_back(self) -> None:
        """Leave what the decoder has to say for later: that it is silent meanwhile is no fault of its own."""
        self._machine.heard(self._now_s())

    def check(self) -> None:
        """Look at the clock. Call a few times a second while there is no session, and from ``check_s`` on."""
        now_s = self._now_s()
        if self._machine.may_connect(now_s):
            self.start()
        else:
            self._tell(self._machine.check(now_s))
        self.check_s = self._machine.nothing_until_s()

    def stop(self) -> None:
        """End here and now, with everything that the decoder has delivered."""
        session = self.session
        if session is not None:
            session.kill()  # or one that never pauses would keep us here
            while messages := session.receive():
                self._take_all(session, [one for one in messages if not isinstance(one, wire.DecoderFailed)])
        self._tell(self._machine.stop())

    def kill(self) -> None:
        """End the decoder at once; nothing more is told."""
        self._machine.stop()
        self._close_session()

    def break_off(self, error: Exception) -> None:
        """This connection ends for a reason that nobody foresaw."""
        self._failed(FailureKind.RETRY, f"internal error: {type(error).__name__}: {error}", FailureCause.INTERNAL)

    def _request(self) -> Request:
        job, machine = self._job, self._machine
        regions = tuple(job.regions.values())
        return Request(
            source=job.source,
            credential=job.credential,
            live=machine.live,
            sampling=job.sampling,
            default_fps=self._sampling.usual_fps(machine.live),
            preprocessing=self._preprocessing,
            settings=self._settings,
            slots=min(MAX_SLOTS, self._settings.slots * len(regions)),
            resume_index=-1 if machine.live else machine.last_index,
            decoded=machine.decoded if machine.live else 0,
            sampled=machine.delivered,
            may_turn_live=job.live is None,
            decode=self._sampling.decode,
            regions=regions,
            # Each frame gives as many samples, so the number of the last one tells how far its frame is.
            # One of the network or a camera waits for what comes, in which time no other should.
            turns=None if machine.live or needs_gate(job.source) else self._turns,
            resume_regions=(machine.delivered - 1) % len(regions) + 1,
        )

    def _take_all(self, session: DecoderSession, messages: list[wire.Message]) -> None:
        before = self._machine.decoded
        for message in messages:
            if self.session is session:  # nothing counts after a last word
                self._take(session, message)
        if self._machine.decoded > before:
            self._emit(FramesDecoded(self._machine.decoded - before))

    def _take(self, session: DecoderSession, message: wire.Message) -> None:
        machine = self._machine
        match message:
            case wire.SampleMessage(sample, motion, luma, decode_s):
                now_s = self._now_s()
                sample = machine.placed(sample, now_s, time.time())
                news = machine.count(sample.decoded, now_s)
                if news := news + machine.sample(sample, motion, luma, now_s):
                    self._tell(news)
                self._emit(SampleReady(session, sample, decode_s))
            case wire.Progress(decoded):
                self._tell(machine.count(decoded, self._now_s()))
            case wire.Opened():
                machine.opened(message.frames, self._now_s())
            case wire.FrameFailed() | wire.FrameDropped():
                now_s = self._now_s()
                self._tell(machine.count(message.decoded, now_s))
                dropped = isinstance(message, wire.FrameDropped)
                sample = machine.placed(message.sample, now_s, time.time())
                self._tell(machine.unclassifiable(sample, failed=not dropped))
                if dropped and message.reason == decoder.LAGGING:
                    machine.gave_up()
                self._emit(Unclassified(sample, dropped, message.reason, message.detail))
            case wire.Ended(decoded, _, note):
                machine.count(decoded, self._now_s())
                self._tell(machine.ended(note, self._now_s()))
            case wire.DecoderFailed(failure, reason, cause):
                self._failed(failure, reason, cause)

    def _failed(self, kind: FailureKind, reason: str, cause: FailureCause | None, counts: bool = True) -> None:
        self._tell(self._machine.failed(kind, reason, self._now_s(), counts, cause))

    def _tell(self, news: Iterable[News]) -> None:
        if not self._machine.connected:
            self._close_session()
        for event in news:
            self._emit(event)

    def _close_session(self) -> None:
        """Close our end; the pictures stay readable for samples that are still in a batch."""
        if self.session is not None:
            self.session.close()
            self.session = None
