"""From a decoded picture to the network's input: the one implementation for the worker, ``classify`` and evaluation.

Geometry is done here, in the decoder process, on uint8; the arithmetic of normalisation belongs to the network's
compiled graph (``networks/engines/normalising.py``), so that a quarter of the bytes cross to the device.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Region
from streamtag.ingest.planes import Part, Pixels, Planes

# Keras reports its ImageNet accuracies for a central crop of this fraction of the shorter side.
CENTER_FRACTION = 0.875


def fit(picture: Pixels, preprocessing: Preprocessing, out: np.ndarray, region: Region | None = None) -> None:
    """Crop or pad, resize, and turn into RGB.

    Args:
        picture: (h, w, 3) or (h, w) or (h, w, 4) uint8 in OpenCV's channel order, or planes.
        out: (size, size, 3) uint8, written in place.
        region: what takes the place of the whole picture.
    """
    size, crop = preprocessing.size, preprocessing.crop
    part = part_of(picture.shape, region)
    if crop == "center":
        part = _center(part)
    inner = Part(0, 0, size, size)
    if crop == "pad":
        inner = padded(part, size)
        out[:] = 0
    inner.of(out)[:] = _shrunk(picture, part, inner.rows, inner.columns)


def cut(picture: np.ndarray, region: Region) -> np.ndarray:
    """A region of a picture, whole pixels and at least one, whatever its size: a stream may change it at any time."""
    return part_of(picture.shape, region).of(picture)


def as_bgr(picture: Pixels) -> np.ndarray:
    """(h, w, 3) uint8 BGR of planes, or of a grey, 16-bit or transparent picture. Nothing shows through the last."""
    if isinstance(picture, Planes):
        return picture.whole()
    pixels = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
    if pixels.ndim == 2:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    return pixels[:, :, :3] if pixels.shape[2] == 4 else pixels


def part_of(shape: tuple[int, ...], region: Region | None) -> Part:
    """Where a region is in a picture of this shape; None is all of it."""
    height, width = shape[:2]
    if region is None:
        return Part(0, 0, height, width)
    x, y, part_width, part_height = region
    left, top = min(width - 1, round(x * width)), min(height - 1, round(y * height))
    right, bottom = round((x + part_width) * width), round((y + part_height) * height)
    return Part(top, left, max(1, bottom - top), max(1, right - left))


def _center(part: Part) -> Part:
    return part.middle(*[max(1, round(min(part.rows, part.columns) * CENTER_FRACTION))] * 2)


def padded(part: Part, size: int) -> Part:
    """What is not border of the square that a part becomes."""
    scale = size / max(part.rows, part.columns)
    return Part(0, 0, size, size).middle(max(1, round(part.rows * scale)), max(1, round(part.columns * scale)))


def _shrunk(picture: Pixels, part: Part, height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 RGB.

    Whole blocks are averaged first, then what is left is interpolated: free of aliasing and far cheaper than INTER_AREA
    all the way. A whole-factor INTER_AREA is a fast path of OpenCV; the fractional one cost 7.4 ms of a 1080p frame.
    """
    down, right = _block(part.rows // height), _block(part.columns // width)
    part = part.middle(part.rows - part.rows % down, part.columns - part.columns % right)
    if isinstance(picture, Planes):
        if min(down, right) > 1:
            return picture.rgb([_resize(*one, height, width) for one in picture.parts(part, down, right)])
        picture = picture.whole()  # its colours would be blurred
    resized = _resize(as_bgr(part.of(picture)), down, right, height, width)
    return np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))


def _block(pixels: int) -> int:
    """How many to average: an even number, as a colour may be that of two. Of three, colours are not averaged."""
    return max(1, pixels if pixels <= 3 else pixels - pixels % 2)


def _resize(picture: np.ndarray, down: int, right: int, height: int, width: int) -> np.ndarray:
    if down > 1 or right > 1:
        rows, columns = picture.shape[0] // down, picture.shape[1] // right
        picture = cv2.resize(picture[: rows * down, : columns * right], (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR))
