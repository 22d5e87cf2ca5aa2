"""From a decoded picture to the network's input: the one implementation for the worker, ``classify`` and evaluation.

Geometry is done here, in the decoder process, on uint8; the arithmetic of normalisation belongs to the network's
compiled graph (``engines/base.py``), so that a quarter of the bytes cross to the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

Mode = Literal["tf", "caffe", "caffe-rounded", "torch"]
Crop = Literal["center", "squash", "pad"]

# Keras reports its ImageNet accuracies for a central crop of this fraction of the shorter side.
CENTER_FRACTION = 0.875


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes the network's input."""

    size: int  # height and width of the input, pixels
    mode: Mode = "tf"  # normalisation inside the graph, see engines/normalising.py
    crop: Crop = "center"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3) of the input, uint8 RGB."""
        return (self.size, self.size, 3)

    def fit(self, picture: np.ndarray, out: np.ndarray) -> None:
        """Crop or pad, resize, and turn BGR into RGB.

        Args:
            picture: (h, w, 3) or (h, w) or (h, w, 4) uint8 in OpenCV's channel order.
            out: (size, size, 3) uint8, written in place.
        """
        picture = as_bgr(picture)
        if self.crop == "center":
            resized = _resize(_center(picture), self.size, self.size)
        elif self.crop == "squash":
            resized = _resize(picture, self.size, self.size)
        else:
            resized = self._padded(picture)
        cv2.cvtColor(resized, cv2.COLOR_BGR2RGB, dst=out)

    def _padded(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        scale = self.size / max(height, width)
        inner_height, inner_width = max(1, round(height * scale)), max(1, round(width * scale))
        resized = _resize(picture, inner_height, inner_width)
        top, left = (self.size - inner_height) // 2, (self.size - inner_width) // 2
        canvas = np.zeros((self.size, self.size, 3), np.uint8)
        canvas[top : top + inner_height, left : left + inner_width] = resized
        return canvas


def as_bgr(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 BGR of a grey, 16-bit or transparent picture. Transparency is dropped, not blended."""
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    return picture[:, :, :3] if picture.shape[2] == 4 else picture


def _center(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    side = max(1, round(min(height, width) * CENTER_FRACTION))
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def _resize(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Average whole blocks first, then interpolate: free of aliasing and far cheaper than INTER_AREA all the way.

    A whole-factor INTER_AREA is a fast path of OpenCV; the fractional one cost 7.4 ms of a 1080p frame.
    """
    rows, columns = picture.shape[:2]
    down_y, down_x = max(1, rows // height), max(1, columns // width)
    if down_y > 1 or down_x > 1:
        rows, columns = rows // down_y, columns // down_x
        picture = cv2.resize(
            picture[: rows * down_y, : columns * down_x], (columns, rows), interpolation=cv2.INTER_AREA
        )
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
