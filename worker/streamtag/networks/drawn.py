"""Pictures of no thing, for measuring: coarse blots of colour, which tell pictures apart better than noise does."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

# Whose best classes engines are compared by, where there are no others. Of 64 a single one decides whether 99.5 %
# agree, and it may be one of which float32 is in two minds itself (engines/README.md).
COMPARED = 256
_LEAST = 16


def until_enough(pictures: np.ndarray, batch: int, seconds: float) -> Iterator[np.ndarray]:
    """The pictures in batches, the last one smaller; after so many seconds no more than the least number."""
    began_s = time.perf_counter()
    for at in range(0, len(pictures), batch):
        if at >= _LEAST and time.perf_counter() - began_s >= seconds:
            return
        yield pictures[at : at + batch]


def blots(count: int, size: int) -> np.ndarray:
    """(count, size, size, 3) uint8 RGB, the same ones each time."""
    cells = np.random.default_rng(0).integers(0, 256, (count, 6, 6, 3), np.uint8)
    side = -(-size // 6)
    return np.ascontiguousarray(cells.repeat(side, axis=1).repeat(side, axis=2)[:, :size, :size])
