"""How much a picture differs from the one before, and what it shows in the large. Runs in the decoder process."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamtag.core.motion_gate import SIDE
from streamtag.ingest.geometry import as_bgr
from streamtag.ingest.planes import Pixels, Planes

_SIGNATURE_SIZE = 32
_ROWS = 4 * _SIGNATURE_SIZE  # of a frame that are looked at
# 512 times the number of the quarter that a pixel of the signature lies in.
_QUARTERS = np.kron([[0, 1], [2, 3]], np.ones((16, 16), np.int32)) << 9


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of one picture; each number from 0 to 1."""

    scene_change: float  # colours that are others than in the picture before
    motion: float  # mean difference of the pixels; 0 is the very same picture
    luma: float  # mean brightness


class Comparison:
    """Compares each picture of a region with the one before."""

    def __init__(self) -> None:
        self._signature: np.ndarray | None = None
        self._histograms: np.ndarray | None = None

    def see(self, picture: np.ndarray, thumbnail: np.ndarray | None = None) -> Likeness:
        """Take the next picture in.

        The scene change compares colours (1 minus the intersection of 8x8x8 histograms, Swain and Ballard 1991), which
        motion mostly leaves alone and a cut does not. It does so in each quarter and takes the second largest: half of
        the picture must be new, and a banner that stays cannot hide a cut.

        Args:
            picture: (size, size, 3) uint8 RGB, the network's input.
            thumbnail: (SIDE, SIDE, 3) uint8 RGB, written in place.
        """
        signature = cv2.resize(picture, (_SIGNATURE_SIZE, _SIGNATURE_SIZE), interpolation=cv2.INTER_AREA)
        bins = (signature >> 5).astype(np.int32)
        keys = (bins[..., 0] << 6) | (bins[..., 1] << 3) | bins[..., 2] | _QUARTERS
        histograms = np.bincount(keys.ravel(), minlength=2048).reshape(4, 512) / (keys.size / 4)
        scene_change = motion = 0.0
        if self._signature is not None and self._histograms is not None:
            motion = float(cv2.absdiff(signature, self._signature).mean()) / 255.0
            distances = 1.0 - np.minimum(histograms, self._histograms).sum(axis=1)
            scene_change = float(np.sort(distances)[-2])
        self._signature, self._histograms = signature, histograms
        if thumbnail is not None:
            cv2.resize(signature, (SIDE, SIDE), dst=thumbnail, interpolation=cv2.INTER_AREA)
        return Likeness(scene_change, motion, float(signature.mean()) / 255.0)


class FrameMotion:
    """How much of a whole frame moves.

    The network may see a part of it only, and a camera does not hang because nothing happens there. Every few rows are
    looked at: of 1920 x 1080 that took 0.4 ms, and all of them 5.7 ms.
    """

    def __init__(self) -> None:
        self._before: np.ndarray | None = None

    def see(self, frame: Pixels) -> float:
        """The mean difference to the frame before, 0 to 1; 0 where that had another size."""
        pixels = frame.brightness if isinstance(frame, Planes) else as_bgr(frame)
        rows = pixels[:: max(1, len(pixels) // _ROWS)]
        height, width = rows.shape[:2]
        # Whole blocks, which OpenCV averages fast.
        down_y, down_x = max(1, height // _SIGNATURE_SIZE), max(1, width // _SIGNATURE_SIZE)
        size = (width // down_x, height // down_y)
        small = cv2.resize(rows[: size[1] * down_y, : size[0] * down_x], size, interpolation=cv2.INTER_AREA)
        before, self._before = self._before, small
        if before is None or before.shape != small.shape:
            return 0.0
        return float(cv2.absdiff(small, before).mean()) / 255.0
