"""One job while this worker has it, and the messages about it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from streamtag.core.records import Claim, Sample, StreamState
from streamtag.core.track import Track
from streamtag.ingest.session import DecoderSession
from streamtag.ingest.stream import Outcome, Stream


@dataclass(slots=True, eq=False)
class Run:
    """Who writes what: ``track`` and ``outcome`` the commits thread, ``stream`` intake, the flags anyone, once."""

    claim: Claim
    track: Track
    stream: Stream | None = None
    state: StreamState = StreamState.CONNECTING
    detail: str = ""  # why the stream is in this state
    outcome: Outcome | None = None
    renewed_s: float = field(default_factory=time.monotonic)  # when the lease was last known to be ours
    lost: bool = False  # nothing more of it may be published here
    cancelled: bool = False
    next_commit_s: float = 0.0
    changed: bool = True  # state or progress that Redis has not seen
    job_id: str = ""
    live: bool = False

    def __post_init__(self) -> None:
        # Once, not for each sample: telling the kind of a source costs some microseconds.
        self.job_id, self.live = self.claim.job.job_id, self.claim.job.is_live

    @property
    def alone(self) -> bool:
        """Whether its attempts so far make it a suspect that may harm its neighbours."""
        return self.claim.attempts > 2


class Runs:
    """The jobs of this worker, by id. Any thread may read; claims adds and commits removes."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()

    def add(self, run: Run) -> bool:
        """False where the job runs here already."""
        with self._lock:
            return self._runs.setdefault(run.job_id, run) is run

    def remove(self, run: Run) -> None:
        with self._lock:
            if self._runs.get(run.job_id) is run:
                del self._runs[run.job_id]

    def all(self) -> list[Run]:
        with self._lock:
            return list(self._runs.values())

    def __len__(self) -> int:
        return len(self._runs)


@dataclass(frozen=True, slots=True)
class Item:
    """A sample on its way to the device, with the slot its picture is in."""

    run: Run
    session: DecoderSession
    sample: Sample
    decode_s: float  # CPU that the decoder spent on it


@dataclass(frozen=True, slots=True)
class Classified:
    """A batch back from the device."""

    items: list[Item]
    scores: np.ndarray  # (len(items), classes) float32


@dataclass(frozen=True, slots=True)
class Unclassified:
    """A sample that never reached the device."""

    run: Run
    sample: Sample
    kind: str  # dropped | frame_failed
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A stream's state became another."""

    run: Run
    state: StreamState
    detail: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A live stream was not read for a while."""

    run: Run
    until_unix_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A source is read to its end, or given up."""

    run: Run
    outcome: Outcome


Message = Classified | Unclassified | StateChange | Gap | Ended


class Mailbox:
    """Messages to the commits thread, in order. Batches wait while it is full; small news never do."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: deque[Message] = deque()
        self._changed = threading.Condition()

    def put(self, message: Message) -> None:
        with self._changed:
            self._messages.append(message)
            self._changed.notify_all()

    def put_batch(self, message: Classified, stopping: threading.Event) -> None:
        """Wait for room: this is how a slow Redis holds the device, and through it the decoders."""
        with self._changed:
            while len(self._messages) >= self._limit and not stopping.is_set():
                self._changed.wait(0.2)
            self._messages.append(message)
            self._changed.notify_all()

    def take(self, timeout_s: float) -> list[Message]:
        """Everything there is, after waiting at most ``timeout_s`` for the first."""
        with self._changed:
            if not self._messages:
                self._changed.wait(timeout_s)
            taken = list(self._messages)
            self._messages.clear()
            self._changed.notify_all()
        return taken
