"""From a decoded picture to the network's input: the one implementation for the worker, ``classify`` and evaluation.

Geometry is done here, in the decoder process, on uint8; the arithmetic of normalisation belongs to the network's
compiled graph (``networks/engines/normalising.py``), so that a quarter of the bytes cross to the device.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Region

# Keras reports its ImageNet accuracies for a central crop of this fraction of the shorter side.
CENTER_FRACTION = 0.875


def fit(picture: np.ndarray, preprocessing: Preprocessing, out: np.ndarray, region: Region | None = None) -> None:
    """Crop or pad, resize, and turn BGR into RGB.

    Args:
        picture: (h, w, 3) or (h, w) or (h, w, 4) uint8 in OpenCV's channel order.
        out: (size, size, 3) uint8, written in place.
        region: what takes the place of the whole picture.
    """
    picture, size = as_bgr(picture if region is None else cut(picture, region)), preprocessing.size
    if preprocessing.crop == "center":
        resized = _resize(_center(picture), size, size)
    elif preprocessing.crop == "squash":
        resized = _resize(picture, size, size)
    else:
        resized = _padded(picture, size)
    cv2.cvtColor(resized, cv2.COLOR_BGR2RGB, dst=out)


def cut(picture: np.ndarray, region: Region) -> np.ndarray:
    """A region of a picture, whole pixels and at least one, whatever its size: a stream may change it at any time."""
    height, width = picture.shape[:2]
    x, y, part_width, part_height = region
    left, top = min(width - 1, round(x * width)), min(height - 1, round(y * height))
    right, bottom = round((x + part_width) * width), round((y + part_height) * height)
    return picture[top : max(top + 1, bottom), left : max(left + 1, right)]


def _padded(picture: np.ndarray, size: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    inner_height, inner_width = max(1, round(height * scale)), max(1, round(width * scale))
    resized = _resize(picture, inner_height, inner_width)
    top, left = (size - inner_height) // 2, (size - inner_width) // 2
    canvas = np.zeros((size, size, 3), np.uint8)
    canvas[top : top + inner_height, left : left + inner_width] = resized
    return canvas


def as_bgr(picture: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 BGR of a grey, 16-bit or transparent picture. Transparency is dropped, not blended."""
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
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
    resized: np.ndarray = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized
