"""What the control groups of this process leave it of the machine: memory and processors (Linux, cgroups(7))."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def memory_bytes() -> int:
    """Memory that this process may have: the machine's, or its container's where that is less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = _numbers("memory", "memory.max", "memory.limit_in_bytes")
    return min([machine, *(int(one[0]) for one in limits)])


def cores() -> int:
    """Processors that this process may keep busy: those it may run on, or its container's share where that is less.

    A share is a quota (``docker --cpus``, ``limits.cpu`` of Kubernetes), rounded up.
    """
    allowed = len(os.sched_getaffinity(0))
    shares = [one[0] / one[1] for one in _numbers("cpu", "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")]
    return max(
        1, min([allowed, *(math.ceil(share) for share in shares if share > 0)])
    )  # -1: none, in the first version


def _numbers(controller: str, file: str, *files_v1: str) -> Iterator[list[float]]:
    """What stands in a file of each group, from the process's own up to the outermost; nothing for those without limit.

    Args:
        file: of the second version of control groups.
        files_v1: of the first, which has a file for each number.
    """
    for folder in _folders(controller):
        for names in ((file,), files_v1):
            try:
                words = " ".join((folder / name).read_text(encoding="utf-8") for name in names).split()
                numbers = [float(word) for word in words]
            except (OSError, ValueError):  # not there, or "max"
                continue
            if numbers:
                yield numbers


def _folders(controller: str) -> Iterator[Path]:
    """Of the groups that this process is in; a container may see the outermost alone."""
    try:
        lines = OWN.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = ROOT / controller if controllers else ROOT
        own = root / path.strip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))
