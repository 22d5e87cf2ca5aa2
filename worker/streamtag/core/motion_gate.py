"""Which samples need not be classified, since they show what the last one showed. Pure: pictures and times come in.

What is compared are the mean colours of some blocks of the picture, and what counts is the block that changed most: a
person far off changes few of them, and noise is averaged away within each.

A sample is compared with the last one that was classified and not with the one before it, or slow changes would add up
unseen. The answer depends on pictures and presentation times alone, so a second reading of a file has the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SIDE = 16  # blocks a row and column
THUMBNAIL = (SIDE, SIDE, 3)  # uint8 RGB


@dataclass(frozen=True, slots=True)
class Reference:
    """The last sample of a stream, or of a region of it, that was classified."""

    number: int  # ``Sample.sampled``
    pts_s: float
    thumbnail: bytes = field(repr=False)  # THUMBNAIL
    scores: np.ndarray = field(repr=False)  # (classes,) float32


class MotionGate:
    """Looks at each sample of one region of a stream, in their order.

    Args:
        change: difference up to which a picture shows the same, 0 to 1.
        max_s: seconds of presentation time after which a sample is classified, whatever it shows.
        reference: where an earlier owner of the job stopped.
    """

    def __init__(self, change: float, max_s: float, reference: Reference | None = None) -> None:
        self._change = change
        self._max_s = max_s
        self._number = 0
        self.looked = 0  # samples so far
        self.spared = 0  # of them, those that need not be classified
        if reference is not None:
            self._keep(reference.number, reference.pts_s, reference.thumbnail)

    def look(self, number: int, pts_s: float, thumbnail: bytes) -> int | None:
        """The number of the sample whose scores this one may take; None where it is to be classified."""
        self.looked += 1
        if self._number and 0 <= pts_s - self._pts_s < self._max_s and self._shows(thumbnail):
            self.spared += 1
            return self._number
        self._keep(number, pts_s, thumbnail)
        return None

    def lost(self, number: int) -> None:
        """A sample that was to be classified was not: the next one is."""
        if number == self._number:
            self._number = 0

    def _shows(self, thumbnail: bytes) -> bool:
        return bool(np.abs(_blocks(thumbnail) - self._blocks).max() <= self._change * 255)

    def _keep(self, number: int, pts_s: float, thumbnail: bytes) -> None:
        self._number, self._pts_s, self._blocks = number, pts_s, _blocks(thumbnail)


def _blocks(thumbnail: bytes) -> np.ndarray:
    return np.frombuffer(thumbnail, np.uint8).astype(np.int16)
