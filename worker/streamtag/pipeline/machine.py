"""What this machine or container has, against what a worker is asked to do."""

from __future__ import annotations

import math
import os
from pathlib import Path

from streamtag.core.bundle import Preprocessing
from streamtag.errors import MachineTooSmall
from streamtag.pipeline.slots import Slots
from streamtag.settings import Settings

CGROUPS = Path("/sys/fs/cgroup")


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


def memory_bytes() -> int:
    """Memory that this process may have: the machine's, or its container's where that is less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_limits()])


def _limits() -> list[int]:
    """Of the control groups that this process is in, from its own up to the outermost."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    (unified,) = [line.removeprefix("0::") for line in lines if line.startswith("0::")] or [""]
    own = CGROUPS / unified.strip("/")
    files = [folder / "memory.max" for folder in (own, *own.parents) if folder.is_relative_to(CGROUPS)]
    files.append(CGROUPS / "memory/memory.limit_in_bytes")  # of the first version of control groups
    found = []
    for file in files:
        try:
            found.append(int(file.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return found


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
