"""What a stream is doing, told from what its decoder says and from the clock. Pure: clock and chance are arguments.

::

    connecting ──sample──▶ live ◀──▶ stalled, frozen, black            (live sources only)
        ▲                   │ failed, or silent for too long
        │ back-off over     ▼
        └────────── reconnecting, auth_failed ──attempts used up──▶ failed     (finite sources only)

What a live stream missed is told before the sample with which it goes on (``gaps.py``); how long it may be silent is
told from its packets (``continuity.py``).

``ended`` and ``failed`` are told by the ``Outcome``: the last samples are still on their way when it comes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from streamtag.core.backoff import full_jitter_s
from streamtag.core.continuity import Continuity
from streamtag.core.failure import CAUSE_OF_KIND, Failure, FailureCause, FailureKind
from streamtag.core.gaps import GapNoticed, Gaps
from streamtag.core.live_clock import StreamTime
from streamtag.core.picture_watch import PictureWatch
from streamtag.core.records import Checkpoint, Sample, StreamState

READ_SLACK_S = 0.5  # for the decoder to say by itself that nothing comes
AUTH_TRIES = 2  # refusals of a user or password after which it is tried seldom
AUTH_JITTER = 0.25
MAX_AGE_S = 5.0  # of a sample; more is a wall clock that was set since it came


class OutcomeKind(StrEnum):
    """How a stream ended."""

    ENDED = "ended"  # read to its end
    REJECTED = "rejected"  # can never succeed, or failed too often
    STOPPED = "stopped"  # by us: its job goes on elsewhere
    TURNED_LIVE = "turned_live"  # before its first sample: its job goes on here as that of a live source


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The stream is doing something else by now."""

    state: StreamState
    detail: str = ""
    failure: Failure | None = None  # of the connection, after which there will be another


@dataclass(frozen=True, slots=True)
class Outcome:
    """The last that is heard of a stream."""

    kind: OutcomeKind
    decoded: int = 0
    sampled: int = 0
    reason: str = ""  # why it was rejected, or what to know about a file that ended
    failure: Failure | None = None  # of its last connection


News = StateChanged | GapNoticed | Outcome


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The settings of ``source`` that decide about a stream's state."""

    watchdog_s: float
    open_timeout_s: float
    read_timeout_s: float
    backoff_s: float
    backoff_cap_s: float
    attempts: int
    auth_retry_s: float
    frozen_s: float
    black_luma: float


class StreamMachine:
    """One stream from its first connection to its outcome. Every method takes what happened and returns the news.

    Args:
        now_s, unix_s: the time by the monotonic clock, by which all the rest goes, and by the wall clock, which alone
            tells how long nobody read the stream.
        chance: a number from 0 to 1, evenly; for the back-off.
    """

    def __init__(
        self,
        limits: StreamLimits,
        live: bool,
        checkpoint: Checkpoint,
        now_s: float,
        unix_s: float,
        chance: Callable[[], float],
    ) -> None:
        self.live = live
        self.state = StreamState.CONNECTING
        self.connected = False  # there should be a decoder
        self._opened = False  # and it has the source open
        self.outcome: Outcome | None = None
        self.retry_s: float | None = None  # end of the back-off, while in one
        self.decoded = checkpoint.counters.decoded if live else 0
        self.delivered = checkpoint.counters.sampled  # number of the last sample whose fate was told
        self.last_index = checkpoint.last_index
        self._limits = limits
        self._chance = chance
        self._frames = 0
        self._failures = 0  # of the source, since the last sample
        self._tries = 0  # connections, since the last sample
        self._refusals = 0  # of user or password, since the last sample
        self._heard_s = now_s  # when the decoder last gave a sign of life
        self._continuity = Continuity(limits.read_timeout_s)
        self._pictures = PictureWatch(limits.frozen_s, limits.black_luma)
        self._first_index: int | None = None  # the connection's first frame with a sample, which has none before it
        handed_over = live and checkpoint.last_captured_unix_s > 0
        self._gaps = Gaps(handed_over)
        last_s, missed_s = checkpoint.last_pts_s, max(0.0, unix_s - checkpoint.last_captured_unix_s)
        self._time = StreamTime(now_s - last_s - missed_s, last_s) if handed_over else StreamTime()

    # Questions.

    @property
    def progress(self) -> float | None:
        """From 0 to 1 where the length is known."""
        if self.outcome is not None and self.outcome.kind is OutcomeKind.ENDED:
            return 1.0
        return min(1.0, self.decoded / self._frames) if self._frames and not self.live else None

    def healthy(self, now_s: float) -> bool:
        """Whether its lease may be renewed: it moves, backs off, or waits for us."""
        return self.retry_s is not None or now_s - self._heard_s < self._limits.watchdog_s + self._limits.open_timeout_s

    def may_connect(self, now_s: float) -> bool:
        """Whether the back-off is over."""
        return self.retry_s is not None and now_s >= self.retry_s

    # What happened.

    def connecting(self, now_s: float) -> list[News]:
        """A decoder is being started."""
        self.retry_s = None
        self.connected, self._opened, self._first_index = True, False, None
        self._heard_s = now_s
        self._continuity.connecting()
        self._gaps.connecting()
        self._time.connecting()
        return [] if self.state is StreamState.RECONNECTING else self._enter(StreamState.CONNECTING)

    def heard(self, now_s: float) -> None:
        """The decoder said something."""
        self._heard_s = now_s

    def opened(self, frames: int, now_s: float) -> None:
        """The source is open; 0 frames where their number is not known."""
        self._frames, self._opened = frames, True
        self._continuity.opened(now_s)

    def count(self, decoded: int, now_s: float) -> list[News]:
        """So many frames came by now, decoded or not."""
        if decoded <= self.decoded:
            return []
        self.decoded = decoded
        self._continuity.packet(now_s, self._gaps.begun)
        return self._enter(self._pictures.state) if self.state is StreamState.STALLED else []

    def placed(self, sample: Sample, now_s: float, unix_s: float) -> Sample:
        """A sample that came, with its presentation time: as its decoder has it, it counts from this connection on."""
        if not self.live:
            return sample
        age_s = min(max(0.0, unix_s - sample.captured_unix_s), MAX_AGE_S)
        pts_s = self._time.place_s(sample.pts_s, now_s - age_s)
        return sample if pts_s == sample.pts_s else replace(sample, pts_s=pts_s)

    def unclassifiable(self, sample: Sample, failed: bool = False) -> list[News]:
        """A sample came without a picture. Where that is its own fault, the stream sends all the same."""
        self._know(sample)
        return self._enter(self._pictures.state) if failed and self.live and not self.state.has_pictures else []

    def sample(self, sample: Sample, motion: float, luma: float, now_s: float) -> list[News]:
        """A sample came; the news are from before it.

        Args:
            motion: difference to the sample before, 0 to 1; 0 is the very same picture.
            luma: mean brightness, 0 to 1.
        """
        self._know(sample)
        self._first_index = sample.index if self._first_index is None else self._first_index
        self._failures = self._tries = self._refusals = 0
        news: list[News] = []
        missed = self._gaps.told()
        if self.live:
            news += missed
            news += self._enter(self._pictures.see(None if sample.index == self._first_index else motion, luma, now_s))
        elif self.state is not StreamState.LIVE:
            news += self._enter(StreamState.LIVE)
        return news

    def gave_up(self) -> None:
        """The decoder was too far behind, and passes samples over up to what is new."""
        self._gaps.gave_up()

    def ended(self, note: str, now_s: float) -> list[News]:
        """The decoder has read the source to its end."""
        if self.live:
            return self.failed(FailureKind.RETRY, "the stream ended or stopped answering", now_s)
        self.state = StreamState.ENDED
        return self._over(OutcomeKind.ENDED, note)

    def failed(
        self, kind: FailureKind, reason: str, now_s: float, counts: bool = True, cause: FailureCause | None = None
    ) -> list[News]:
        """This connection failed: end the job, or back off and connect again.

        Args:
            counts: False where the source has no part in it.
            cause: where the kind does not tell.
        """
        if self.outcome is not None:
            return []
        if kind is FailureKind.LIVE:
            return self._over(OutcomeKind.TURNED_LIVE, reason)
        self.connected = False
        failure = Failure(cause or CAUSE_OF_KIND[kind], self._opened)
        self._gaps.broke_off()
        self._failures += counts
        self._tries += 1
        if kind is FailureKind.REJECT or (not self.live and self._failures >= self._limits.attempts):
            self.state = StreamState.FAILED
            return self._over(OutcomeKind.REJECTED, reason, failure)
        self._refusals += kind is FailureKind.AUTH
        self.retry_s = now_s + self._backoff_s(kind)
        state = StreamState.AUTH_FAILED if kind is FailureKind.AUTH else StreamState.RECONNECTING
        return self._enter(state, reason, failure)

    def check(self, now_s: float) -> list[News]:
        """The watchdog: look at the clock."""
        if not self.connected:
            return []
        silent_s = now_s - self._heard_s
        if silent_s > self._limits.watchdog_s:
            reason = f"the decoder gave no sign of life for {silent_s:.0f} s and was killed"
            return self.failed(FailureKind.RETRY, reason, now_s, cause=FailureCause.SILENT)
        if not self.live:
            return []
        nothing_s = self._continuity.silent_s(now_s)
        if nothing_s > self._limits.read_timeout_s + READ_SLACK_S:
            reason = f"nothing came for {nothing_s:.1f} s"
            return self.failed(FailureKind.RETRY, reason, now_s, cause=FailureCause.TIMEOUT)
        if self.state.has_pictures and self._continuity.stands_still(now_s):
            return self._enter(StreamState.STALLED)
        return []

    def nothing_until_s(self) -> float:
        """Before that ``check`` has nothing to say while it is connected, whatever is heard meanwhile."""
        until_s = self._heard_s + self._limits.watchdog_s
        return min(until_s, self._continuity.moves_until_s(self._heard_s)) if self.live else until_s

    def stop(self) -> list[News]:
        """End here and now, with everything that was delivered."""
        return [] if self.outcome is not None else self._over(OutcomeKind.STOPPED, "")

    def _over(self, kind: OutcomeKind, reason: str, failure: Failure | None = None) -> list[News]:
        self.connected, self.retry_s = False, None
        self.outcome = Outcome(kind, self.decoded, self.delivered, reason, failure)
        return [self.outcome]

    def _backoff_s(self, kind: FailureKind) -> float:
        if kind is FailureKind.AUTH and self._refusals >= AUTH_TRIES:
            # Many cameras lock an account that is tried too often: also for those who know the password.
            return self._limits.auth_retry_s * (1.0 + AUTH_JITTER * self._chance())
        return full_jitter_s(self._tries, self._limits.backoff_s, self._limits.backoff_cap_s, self._chance())

    def _know(self, sample: Sample) -> None:
        if sample.index != self.last_index:  # a frame may have several
            self._gaps.know(sample.pts_s, sample.captured_unix_s)
        self.last_index, self.delivered = sample.index, sample.sampled

    def _enter(self, state: StreamState, detail: str = "", failure: Failure | None = None) -> list[News]:
        if state is self.state and not detail and failure is None:
            return []
        self.state = state
        return [StateChanged(state, detail, failure)]
