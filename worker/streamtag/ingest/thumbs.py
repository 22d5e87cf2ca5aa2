"""From a picture in memory to a small JPEG file. The pixels are our own, no stranger's file is read here."""

from __future__ import annotations

import cv2
import numpy as np

_QUALITIES = (80, 50, 20)  # the next where a picture is all noise


def to_jpeg(picture: np.ndarray, longer_px: int, most_bytes: int) -> bytes:
    """A picture as a JPEG file, made smaller where it is larger than ``longer_px``.

    Args:
        picture: (H, W, 3) uint8 RGB.

    Returns:
        Nothing where it would take more than ``most_bytes`` at any quality.
    """
    # Halves by the mean of four, the rest by a linear resize: 85 us at 299 pixels where the mean over areas takes 650.
    while max(picture.shape[:2]) >= 2 * longer_px:
        height, width = picture.shape[:2]
        picture = cv2.resize(picture, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    height, width = picture.shape[:2]
    if (longer := max(height, width)) > longer_px:
        size = (max(1, round(width * longer_px / longer)), max(1, round(height * longer_px / longer)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    for quality in _QUALITIES:
        done, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done and len(content) <= most_bytes:
            return bytes(content)
    return b""
