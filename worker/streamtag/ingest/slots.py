"""Shared-memory slots: where a decoder leaves resized pictures, and how the parent says that it has done with them.

One byte per slot says whether it is free. The decoder alone takes slots and the parent alone frees them, so there is
nothing to lock, and freeing one is a store to memory: as a message it was a system call and the waking of a process,
a third of all the CPU that a sample cost the parent. A decoder that finds none free looks again after ``WAIT_S``, and
then ever more seldom.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections.abc import Callable, Iterator
from multiprocessing import reduction
from typing import Any

import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.motion_gate import THUMBNAIL

MAX_SLOTS = 255
WAIT_S = 0.001
# A look costs some 20 to 40 µs where others have the caches: 60 of them a sample were 1 to 1.5 ms of its 21, of eight
# films on two cores. All slots are full before a wait, so that the device has enough to do until the next look.
LONGEST_WAIT_S = 0.008
_HEADER_BYTES = 256  # the flags, and then pictures that begin on a cache line, and their thumbnails


def pauses_s() -> Iterator[float]:
    """Seconds between looks for a free slot: short at first, without an end."""
    pause_s = WAIT_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, LONGEST_WAIT_S)


class SlotMemory:
    """Memory of one session alone, to be handed to its process as an argument.

    It is anonymous (``man 2 memfd_create``): nothing stays whatever is killed, a small ``/dev/shm`` is no limit, and no
    decoder sees the pictures of another. It is sealed against another size, since a decoder that shrank it would have
    the kernel kill its parent.
    """

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self._size_bytes = size_bytes
        self.content = mmap.mmap(descriptor, size_bytes)

    def close(self) -> None:
        """Give the descriptor back; what is mapped stays for as long as somebody looks at it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __reduce__(self) -> tuple[Callable[..., SlotMemory], tuple[Any, int]]:
        return _attach, (reduction.DupFd(self._descriptor), self._size_bytes)


def _attach(descriptor: Any, size_bytes: int) -> SlotMemory:
    return SlotMemory(descriptor.detach(), size_bytes)


def allocate(count: int, preprocessing: Preprocessing) -> SlotMemory:
    """Memory for ``count`` free slots.

    Raises:
        OSError: the machine has no memory or no descriptors left.
    """
    height, width, channels = preprocessing.shape
    size_bytes = _HEADER_BYTES + count * (height * width * channels + math.prod(THUMBNAIL))
    descriptor = os.memfd_create("streamtag-slots", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size_bytes)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        memory = SlotMemory(descriptor, size_bytes)
    except OSError:
        os.close(descriptor)
        raise
    memory.content[:count] = b"\x01" * count
    return memory


class Slots:
    """A view of the slots in memory that both processes have."""

    def __init__(self, memory: SlotMemory, count: int, preprocessing: Preprocessing) -> None:
        content = np.frombuffer(memory.content, np.uint8)
        self._free = content[:count]
        thumbnails = len(content) - count * math.prod(THUMBNAIL)
        self.pictures = content[_HEADER_BYTES:thumbnails].reshape(count, *preprocessing.shape)  # (slots, H, W, 3) RGB
        self.thumbnails = content[thumbnails:].reshape(count, *THUMBNAIL)  # (slots, SIDE, SIDE, 3) RGB

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
