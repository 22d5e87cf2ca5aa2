"""What every reader of a source offers: frame by frame, with what is known of the whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from streamtag.core.sampler import FramePlan, Planned, Timeline
from streamtag.errors import RejectJob
from streamtag.ingest.planes import Pixels

# So many frames may be decoded before one that is shown earlier, and then held back for it (H.264, H.265).
MOST_REORDERED = 16


class CorruptFrame(Exception):
    """One frame cannot be decoded; the next may."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of a source once it is open. Zero where it does not say."""

    width: int
    height: int
    fps: float
    frames: int
    guessed: bool = False  # how many there are, by how long it is

    @classmethod
    def told(cls, width: float, height: float, fps: float, frames: float, guessed: bool = False) -> Opened:
        """By what a container says, less what cannot be: a frame each tick of its clock is what it says for want of a
        rate, and of a container that does not count its frames, their number is the duration times that.
        """
        believable = 0 < fps < 1000
        frames = int(frames) if believable and 0 < frames < 1e9 else 0
        return cls(int(width), int(height), fps if believable else 0.0, frames, guessed)

    def timeline(self) -> Timeline:
        """Of its frames."""
        return Timeline(1.0 / (self.fps or 25.0))


class Fate(Enum):
    """What may become of a frame."""

    SAMPLE = auto()  # a sample, if it is due
    OLD = auto()  # none: it was made before we came, or cannot be decoded yet
    LAGGING = auto()  # a lost sample, if it is due: we are too late for it
    DAMAGED = auto()  # a failed one: a part of it, or of what it needs, was lost on its way


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a frame before it is decoded."""

    captured_unix_s: float | None = None  # when it arrived; None: just now
    key: bool = False  # it can be decoded without others
    fate: Fate = Fate.SAMPLE
    held_s: float = 0.0  # how long it was held back, as what comes in bursts is


_NOTHING_KNOWN = Facts()


def check_size(name: str, width: float, height: float, max_pixels: int) -> None:
    """Refuse pictures of more pixels than a source may have.

    Raises:
        RejectJob: these have.
    """
    if width * height > max_pixels:
        raise RejectJob(f"{name}: {width:.0f} x {height:.0f} pixels is more than source.max_pixels ({max_pixels})")


class Reader(ABC):
    """A source that is open: ``planned`` moves on frame by frame, ``retrieve`` decodes the frame last told of.

    A picture is good until the next is retrieved, which may take its place in memory.
    """

    opened: Opened
    still = False  # its frames are pictures, and no film
    counts_damaged = False  # also a packet that is damaged is one of its frames
    path = ""  # the file of the picture last told of; empty where frames are no files of their own

    @property
    def bad_packets(self) -> int:
        """That could not be read, or not decoded."""
        return 0

    @property
    def note(self) -> str:
        """What to know about its end."""
        return ""

    @abstractmethod
    def planned(self, plan: FramePlan) -> Iterator[Planned]:
        """Each frame, in the order of showing, with what is to become of it.

        Args:
            plan: asked in that order; by some readers several frames ahead.
        """

    def frames(self) -> Iterator[Planned]:
        """Each frame, and each is wanted."""
        return self.planned(FramePlan(lambda *_: True, self.opened.timeline(), 0, -1))

    def facts(self) -> Facts:
        """What is known of the frame last told of."""
        return _NOTHING_KNOWN

    @abstractmethod
    def retrieve(self) -> Pixels:
        """The frame last told of, upright: (h, w, 3) uint8 BGR, or its planes.

        Raises:
            CorruptFrame: it cannot be decoded.
            RejectJob: it is too large; a source may change its size at any time.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Nothing more is read."""


class OneByOne(Reader):
    """A reader that learns of a frame when it has come to it: it plans no further ahead."""

    @abstractmethod
    def grab(self) -> bool:
        """Move on by one frame; False at the end."""

    @abstractmethod
    def pts_s(self) -> float | None:
        """When the frame last grabbed is shown, as far as the source says."""

    def planned(self, plan: FramePlan) -> Iterator[Planned]:
        while self.grab():
            facts = self.facts()
            yield plan.next(self.pts_s(), facts.key, facts.fate is not Fate.OLD)
