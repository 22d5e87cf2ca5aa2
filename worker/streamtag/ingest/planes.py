"""Frames as codecs have them: brightness in one plane, colours in two others, mostly coarser.

The network's input is small. To shrink the planes and to convert what is left takes half of what it takes to convert
all of a frame of 1080p and to shrink that (``worker/README.md``); both are sums of the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np


class Part(NamedTuple):
    """Of a picture, in its pixels."""

    top: int
    left: int
    rows: int
    columns: int

    def of(self, picture: np.ndarray) -> np.ndarray:
        """What of a picture, (h, w, ...), lies there."""
        return picture[self.top : self.top + self.rows, self.left : self.left + self.columns]

    def middle(self, rows: int, columns: int) -> Part:
        """So much of it."""
        return Part(self.top + (self.rows - rows) // 2, self.left + (self.columns - columns) // 2, rows, columns)


@dataclass(frozen=True, slots=True)
class Planes:
    """A decoded frame, upright.

    Attributes:
        brightness: (h, w) uint8.
        colours: two of uint8, each with as many rows and columns or fewer.
        to_rgb: (3, 4) float32, by which red, green and blue come of the three and 1.
        whole: converts all of it: (h, w, 3) uint8 BGR.
    """

    brightness: np.ndarray
    colours: tuple[np.ndarray, np.ndarray]
    to_rgb: np.ndarray
    whole: Callable[[], np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (*self.brightness.shape, 3)

    def parts(self, part: Part, down: int, right: int) -> Iterator[tuple[np.ndarray, int, int]]:
        """A part of the frame in each plane, with the rows and the columns of it that make as much of the picture.

        Args:
            down, right: as many rows and columns of brightness.
        """
        height, width = self.brightness.shape
        for plane in (self.brightness, *self.colours):
            by_y, by_x = len(plane) / height, plane.shape[1] / width
            yield _of_coarser(plane, part, by_y, by_x), max(1, int(down * by_y)), max(1, int(right * by_x))

    def rgb(self, small: Sequence[np.ndarray]) -> np.ndarray:
        """(h, w, 3) uint8 RGB of parts that are alike in size by now."""
        return np.asarray(cv2.transform(cv2.merge(small), self.to_rgb))


def _of_coarser(plane: np.ndarray, part: Part, by_y: float, by_x: float) -> np.ndarray:
    """What lies in a part of a picture that has more rows and columns; it may begin within a pixel."""
    top, left = part.top * by_y, part.left * by_x
    rows, columns = max(1, round(part.rows * by_y)), max(1, round(part.columns * by_x))
    if top.is_integer() and left.is_integer():
        return Part(int(top), int(left), rows, columns).of(plane)
    return np.asarray(cv2.getRectSubPix(plane, (columns, rows), (left + (columns - 1) / 2, top + (rows - 1) / 2)))


Pixels: TypeAlias = np.ndarray | Planes  # (h, w, 3) uint8 BGR, or what it is made of
