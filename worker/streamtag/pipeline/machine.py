"""What this machine or container has, against what a worker is asked to do."""

from __future__ import annotations

import math

from streamtag.control_groups import memory_bytes
from streamtag.core.bundle import Preprocessing
from streamtag.errors import MachineTooSmall
from streamtag.pipeline.slots import Slots
from streamtag.settings import Settings


def check_memory(settings: Settings, preprocessing: Preprocessing) -> None:
    """See whether the pictures of all jobs could wait here at once; the network and the decoders come besides.

    They are in anonymous memory, so that the size of ``/dev/shm`` does not matter, and that of the container does:
    the kernel would kill the worker in the middle of its work.

    Raises:
        MachineTooSmall: they could not.
    """
    jobs, slots = Slots(settings.worker.slots).most, settings.source.slots
    wanted, there = jobs * slots * math.prod(preprocessing.shape), memory_bytes()
    if wanted > there:
        raise MachineTooSmall(
            f"worker.slots: the pictures of {jobs} jobs may take {_gigabytes(wanted)} (source.slots: {slots} each), "
            f"and this machine or container has {_gigabytes(there)}; lower worker.slots or source.slots"
        )


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
