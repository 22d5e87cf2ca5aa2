"""Scores of batches that are in flight together, as a process: Keras has one backend a process.

``python -m tests.reference.batches_in_flight ENGINE PRECISION PICTURES.npy OUT.npz``. Input buffers are filled again as
``pipeline/inference_loop.py`` does it: one more than may be in flight, in turns.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from dataclasses import dataclass

import numpy as np
from streamtag.networks.engines.base import Engine, Pending
from streamtag.networks.loading import build_model, compile_model
from streamtag.networks.registry import resolve
from streamtag.settings import EngineSettings, ModelSettings

IN_FLIGHT = 3
BATCH = 4


@dataclass(frozen=True, slots=True)
class Batches:
    """Scores of the same batches, each (batches, BATCH, classes)."""

    alone: np.ndarray  # nothing else on the device, and copied at once
    together: np.ndarray  # copied when all of them were there


def scores(compiled: Engine, pictures: np.ndarray) -> Batches:
    """Classify batches one by one, and then with IN_FLIGHT of them on the device.

    Args:
        pictures: (batches, BATCH, H, W, 3) uint8 RGB.
    """
    alone = np.stack([compiled.dispatch(batch.copy()).result().copy() for batch in pictures])
    buffers = _aligned((compiled.in_flight + 1, *pictures.shape[1:]))
    flights: deque[Pending] = deque()
    landed: list[np.ndarray] = []
    for number, batch in enumerate(pictures):
        buffer = buffers[number % len(buffers)]
        buffer[:] = batch
        flights.append(compiled.dispatch(buffer))
        if len(flights) == compiled.in_flight:
            landed.append(flights.popleft().result())
    landed += [flight.result() for flight in flights]
    buffers[:] = 255  # what is read of them only now is seen, too
    return Batches(alone, np.stack(landed))


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros where each row begins at a multiple of 64: such memory JAX reads in place, and not a copy of it."""
    row_bytes = -(-math.prod(shape[1:]) // 64) * 64
    memory = np.zeros(shape[0] * row_bytes + 64, np.uint8)
    rows = memory[-memory.ctypes.data % 64 :][: shape[0] * row_bytes].reshape(shape[0], row_bytes)
    return rows[:, : math.prod(shape[1:])].reshape(shape)


def engine(name: str, precision: str) -> Engine:
    """The demo network, compiled."""
    settings = EngineSettings(name=name, precision=precision, buckets=[BATCH], in_flight=IN_FLIGHT)
    bundle = resolve(ModelSettings(name="demo"))
    return compile_model(build_model(bundle, settings), bundle, settings).engine


if __name__ == "__main__":
    name, precision, given, out = sys.argv[1:]
    found = scores(engine(name, precision), np.load(given))
    np.savez(out, allow_pickle=False, alone=found.alone, together=found.together)
