"""What every reader of a source offers: frame by frame, with what is known of the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class CorruptFrame(Exception):
    """One frame cannot be decoded; the next may."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known of a source once it is open. Zero where it does not say."""

    width: int
    height: int
    fps: float
    frames: int


class Reader(Protocol):
    """A source that is open. ``grab`` moves on by one frame, ``retrieve`` decodes the frame last grabbed."""

    opened: Opened
    bad_packets: int
    path: str  # the file of the picture last grabbed; empty where frames are no files of their own

    @property
    def note(self) -> str:
        """What to know about its end."""

    def grab(self) -> bool: ...
    def pts_s(self) -> float | None: ...
    def retrieve(self) -> np.ndarray: ...
    def close(self) -> None: ...
