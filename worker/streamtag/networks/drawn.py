"""Pictures of no thing, for measuring: coarse blots of colour, which tell pictures apart better than noise does."""

from __future__ import annotations

import numpy as np


def blots(count: int, size: int) -> np.ndarray:
    """(count, size, size, 3) uint8 RGB, the same ones each time."""
    cells = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3), np.uint8)
    side = -(-size // 6)
    return np.ascontiguousarray(cells.repeat(side, axis=1).repeat(side, axis=2)[:, :size, :size])
