"""One job while this worker has it, and the messages about it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from streamtag.collectors import SourceLabel
from streamtag.core.album import PictureGate
from streamtag.core.gaps import GapNoticed
from streamtag.core.motion_gate import MotionGate
from streamtag.core.records import SUSPECT_CRASHES, Claim, Sample, StreamState
from streamtag.core.sharing import Spared
from streamtag.core.source import SourceKind, is_playlist
from streamtag.core.stream_state import Outcome, StateChanged
from streamtag.core.track import Track
from streamtag.ingest.session import DecoderSession
from streamtag.ingest.stream import Stream, Unclassified

CROWD = 16  # messages that are taken at once
NEWS_LIMIT = 4096  # about 2 MB; one reading of a decoder's socket may bring a thousand more


@dataclass(slots=True, eq=False)
class Run:
    """A claim, the stream that reads its source, and the track that publishes it."""

    claim: Claim
    track: Track  # the commits thread's alone
    stream: Stream  # the intake thread's; any thread may read ``healthy`` and ``progress``
    asked: float = 0.0  # samples a second that a live stream asks of the device; sharing takes off what gates spare
    gates: list[MotionGate] = field(default_factory=list)  # one a region, or none; under the lock of the inference loop
    picture_gates: list[PictureGate] = field(default_factory=list)  # one a region, or none; the inference thread's

    # Written by the commits thread, read by any.
    state: StreamState = StreamState.CONNECTING
    detail: str = ""  # why the stream is in this state
    outcome: Outcome | None = None
    failure: str = ""  # why the job ends here and now
    committed_s: float = 0.0  # when the last commit that Redis took was sent
    next_commit_s: float = 0.0
    newest_s: float = field(init=False)  # capture of the newest result that Redis has, or since when we wait for one
    active: tuple[str, ...] = ()  # labels that were active at the last commit
    progressed: bool = False  # results of it were committed here
    dirty: bool = True  # state or progress that Redis has not seen

    # Written by the leases thread, read by any.
    renewed_s: float = field(default_factory=time.monotonic)  # when the last renewal that Redis took was sent

    spared: Spared = field(init=False)  # the sharing thread's alone

    # Written by the sharing thread, read by any.
    offered_to: str = ""  # a worker that may take it at any time: it has not robbed us then

    # Set once, to True, by the leases or the commits thread; read by any.
    lease_lost: bool = False  # nothing more of it may be published here
    cancelled: bool = False

    # Never written again. Kept, since telling the kind of a source costs some microseconds, for each sample.
    job_id: str = field(init=False)
    live: bool = field(init=False)
    kind: SourceLabel = field(init=False)  # as metrics tell it
    local: bool = field(init=False)  # a camera of this machine
    in_segments: bool = field(init=False)  # a playlist, by its name: its samples are as old as a segment is long
    named: dict[str, str] = field(init=False)  # as log lines tell it

    def __post_init__(self) -> None:
        self.spared = Spared(self.asked)
        self.job_id, self.live = self.claim.job.job_id, self.claim.job.is_live
        self.kind = "live" if self.live else "finite"
        self.named = self.claim.job.named
        captured_unix_s = self.claim.checkpoint.last_captured_unix_s
        self.newest_s = time.monotonic() - (max(0.0, time.time() - captured_unix_s) if captured_unix_s else 0.0)
        self.local = self.claim.job.kind is SourceKind.CAMERA
        self.in_segments = is_playlist(self.claim.job.source)

    @property
    def held_s(self) -> float:
        """When the lease was last known to be ours; renewals and commits both say so."""
        return max(self.renewed_s, self.committed_s)

    @property
    def over(self) -> bool:
        """Nothing more of it is taken in."""
        return self.lease_lost or self.cancelled or bool(self.failure)

    @property
    def alone(self) -> bool:
        """Whether it is a suspect that may harm its neighbours: until it makes progress, and only while it decodes.

        A live stream never is: it would keep its worker from all other work for as long as its camera is off.
        """
        suspect = self.claim.crashes >= SUSPECT_CRASHES and not self.live
        return suspect and not self.progressed and self.state.is_decoding


class Runs:
    """The jobs of this worker, by id. Any thread may read; claims and sharing add, commits removes."""

    def __init__(self) -> None:
        self.taking = threading.Lock()  # held from before a job becomes ours in Redis until it is here
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def add(self, run: Run) -> bool:
        """Take a run in; False where the job runs here already."""
        with self._lock:
            return self._runs.setdefault(run.job_id, run) is run

    def remove(self, run: Run) -> None:
        """Forget a run."""
        with self._lock:
            if self._runs.get(run.job_id) is run:
                del self._runs[run.job_id]

    def all(self) -> list[Run]:
        """Those there are by now."""
        with self._lock:
            return list(self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)


@dataclass(frozen=True, slots=True)
class PendingSample:
    """A sample on its way to the device, with the slot its picture is in."""

    run: Run
    session: DecoderSession
    sample: Sample
    decode_s: float  # CPU that the decoder spent on it


@dataclass(frozen=True, slots=True)
class Classified:
    """A batch back from the device."""

    items: list[PendingSample]
    scores: np.ndarray  # (len(items), classes) float32


@dataclass(frozen=True, slots=True)
class Reused:
    """A sample that shows what an earlier one of its region did, and takes its scores."""

    sample: Sample
    number: int  # ``Sample.sampled`` of that one


@dataclass(frozen=True, slots=True)
class RunNews:
    """What the commits thread should know of a run, apart from its scores."""

    run: Run
    event: Reused | Unclassified | StateChanged | GapNoticed | Outcome
    unix_s: float  # when it happened


Message = Classified | RunNews


class Mailbox:
    """Messages to the commits thread, in order, and bounded.

    Batches wait while it is full. Whoever leaves news serves all streams and may not wait here, so finite sources are
    not read while it is behind.

    Args:
        limit: of messages while batches are put.
        news_limit: of messages while finite sources are read.
    """

    def __init__(self, limit: int, news_limit: int = NEWS_LIMIT) -> None:
        self._limit = limit
        self._news_limit = news_limit
        self._messages: deque[Message] = deque()
        self._changed = threading.Condition()
        self._gathering = False  # whoever takes is not to be woken by one message more
        self._woken = False  # nor to wait for the first
        self._least_until_s = 0.0
        self._whole = True  # nothing more is on its way behind what came

    def is_behind(self) -> bool:
        """Whether so much waits to be taken that no finite source should tell more."""
        return len(self._messages) >= self._news_limit

    def wake(self) -> None:
        """Let whoever takes look at its runs now: one came, or is to go, and no message says so."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def put(self, message: RunNews) -> None:
        """Leave news."""
        with self._changed:
            self._append(message, isinstance(message.event, Outcome))

    def put_batch(self, message: Classified, stopping: threading.Event) -> None:
        """Wait for room: this is how a slow Redis holds the device, and through it the decoders."""
        with self._changed:
            while len(self._messages) >= self._limit and not stopping.is_set():
                self._changed.wait(0.2)
            self._whole = False
            self._append(message)

    def all_here(self) -> None:
        """Nothing more is on its way: whoever gathers need not wait for company. Any thread may say so."""
        with self._changed:
            self._whole = True
            if self._gathering and time.monotonic() >= self._least_until_s:
                self._gathering = False
                self._changed.notify_all()

    def take(self, timeout_s: float, gather_s: float = 0.0, least_s: float = 0.0, next_s: float = 0.0) -> list[Message]:
        """Everything there is, after waiting at most ``timeout_s`` for the first.

        Args:
            gather_s: how long to let messages come together before, since being woken for each costs more than what
                most of them ask for. Less where a stream has come to its end, or many have come.
            least_s: how much of that to wait also where nothing more is on its way.
            next_s: how much longer to wait then: for the batch that comes next.
        """
        with self._changed:
            until_s = time.monotonic() + timeout_s
            if gather_s > 0 and len(self._messages) < CROWD:
                self._gathering, self._least_until_s = True, time.monotonic() + least_s
                if not self._changed.wait_for(lambda: not self._gathering, gather_s) and self._whole:
                    self._changed.wait_for(lambda: not self._gathering, next_s)
                self._gathering = False
            if not self._messages and not self._woken and (left_s := until_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
            self._woken = False
            taken = list(self._messages)
            self._messages.clear()
            self._changed.notify_all()
        return taken

    def _append(self, message: Message, urgent: bool = False) -> None:
        self._messages.append(message)
        if urgent or len(self._messages) >= CROWD:
            self._gathering = False
        if not self._gathering:
            self._changed.notify_all()
