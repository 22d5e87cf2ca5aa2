"""What every reader of a source offers: frame by frame, with what is known of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import numpy as np

from streamtag.errors import RejectJob


class CorruptFrame(Exception):
    """One frame cannot be decoded; the next may."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of a source once it is open. Zero where it does not say."""

    width: int
    height: int
    fps: float
    frames: int

    @classmethod
    def told(cls, width: float, height: float, fps: float, frames: float) -> Opened:
        """By what a container says, less what cannot be: a frame each tick of its clock is what it says for want of a
        rate, and of a container that does not count its frames, their number is the duration times that.
        """
        believable = 0 < fps < 1000
        frames = int(frames) if believable and 0 < frames < 1e9 else 0
        return cls(int(width), int(height), fps if believable else 0.0, frames)


class Fate(Enum):
    """What may become of a frame."""

    SAMPLE = auto()  # a sample, if it is due
    OLD = auto()  # none: it was made before we came, or cannot be decoded yet
    LAGGING = auto()  # a lost sample, if it is due: we are too late for it
    DAMAGED = auto()  # a failed one: a part of it, or of what it needs, was lost on its way


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the frame last grabbed before it is decoded."""

    captured_unix_s: float | None = None  # when it arrived; None: just now
    key: bool = False  # it can be decoded without others
    fate: Fate = Fate.SAMPLE


NOTHING_KNOWN = Facts()


def check_size(name: str, width: float, height: float, max_pixels: int) -> None:
    """Refuse pictures of more pixels than a source may have.

    Raises:
        RejectJob: these have.
    """
    if width * height > max_pixels:
        raise RejectJob(f"{name}: {width:.0f} x {height:.0f} pixels is more than source.max_pixels ({max_pixels})")


class Reader(Protocol):
    """A source that is open. ``grab`` moves on by one frame, ``retrieve`` decodes the frame last grabbed.

    A frame is good until the next is retrieved, which may take its place in memory.
    """

    opened: Opened
    path: str  # the file of the picture last grabbed; empty where frames are no files of their own

    @property
    def bad_packets(self) -> int:
        """That could not be read, or not decoded."""

    @property
    def note(self) -> str:
        """What to know about its end."""

    def grab(self) -> bool: ...
    def facts(self) -> Facts: ...
    def pts_s(self) -> float | None: ...
    def retrieve(self) -> np.ndarray: ...
    def close(self) -> None: ...
