"""Shared-memory slots: where a decoder leaves resized pictures, and how the parent says that it has done with them.

A byte a slot says whether it is free. The decoder alone takes slots and the parent alone frees them, so there is
nothing to lock, and freeing one is a store to memory: as a message it was a system call and the waking of a process,
a third of all the CPU that a sample cost the parent. A decoder that finds none free looks again after ``WAIT_S``.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext
from typing import Any

import numpy as np

from streamtag.core.bundle import Preprocessing

MAX_SLOTS = 255
WAIT_S = 0.001
_HEADER_BYTES = 256  # the flags, and then pictures that begin on a cache line


class Slots:
    """A view of the slots in memory that both processes have.

    Args:
        memory: what ``allocate`` returned, in either process.
    """

    def __init__(self, memory: Any, count: int, preprocessing: Preprocessing) -> None:
        content = np.frombuffer(memory, np.uint8)
        self._free = content[:count]
        self.pictures = content[_HEADER_BYTES:].reshape(count, *preprocessing.shape)  # (slots, H, W, 3) uint8 RGB

    def take(self) -> int | None:
        """A free slot, the lowest: the one used last is the one that is still in the caches. Decoder only."""
        slot = int(self._free.argmax())
        if not self._free[slot]:
            return None
        self._free[slot] = 0
        return slot

    def release(self, slot: int) -> None:
        """Let the decoder write to this slot again."""
        self._free[slot] = 1


def allocate(count: int, preprocessing: Preprocessing, context: ForkServerContext | None = None) -> Any:
    """Memory for ``count`` free slots, to be handed to a process.

    It is anonymous, in a file that is unlinked at once: nothing stays in /dev/shm whatever is killed.
    """
    height, width, channels = preprocessing.shape
    memory = (context or multiprocessing).RawArray("B", _HEADER_BYTES + count * height * width * channels)
    np.frombuffer(memory, np.uint8)[:count] = 1
    return memory
