"""A worker's processes as the kernel sees them: its decoders, gates and servers, with what they hold.

A worker that was killed cannot be asked for its children, and they are not its children any more. But each has the
environment that the worker was started with, and in it the prefix of keys that no other test has.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from streamtag.settings import Settings

from tests.support.waiting import eventually

SHARED_MEMORY = Path("/dev/shm")


def processes_of(settings: Settings) -> list[psutil.Process]:
    """Every process of the workers of one queue, whoever is its parent by now."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("STREAMTAG_REDIS__PREFIX") == settings.redis.prefix and _runs(process):
                found.append(process)
    return found


def decoders_of(worker_pid: int) -> list[psutil.Process]:
    """The decoder processes of a worker, oldest first. A gate listens on a port, a decoder never does."""
    found = []
    with suppress(psutil.Error):
        for server in psutil.Process(worker_pid).children():
            found += [child for child in server.children() if _runs(child) and not _listens(child)]
    return sorted(found, key=psutil.Process.create_time)


def assert_no_process_left(settings: Settings, limit_s: float = 30.0) -> None:
    """All that the workers of this queue ever started is gone; memory files and descriptors go with their processes."""

    def none_left() -> bool:
        return not processes_of(settings)

    try:
        eventually(none_left, "no process is left", limit_s)
    except AssertionError:
        left = {process.pid: " ".join(process.cmdline())[:200] for process in processes_of(settings)}
        raise AssertionError(f"left after {limit_s} s: {left}") from None


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a worker and all below it hold at one moment."""

    processes: int
    threads: int
    memory_bytes: int  # proportional: what processes share is counted once
    own_memory_bytes: int  # of the worker itself
    descriptors: Counter[str]  # of the worker itself, by kind: ``memfd``, ``socket``, ``pipe``, ``file``, ``other``
    all_descriptors: int  # of the worker and all below it
    shared_memory: frozenset[str]  # files in /dev/shm that any of them has mapped or open

    @classmethod
    def of(cls, worker_pid: int) -> Footprint:
        worker = psutil.Process(worker_pid)
        tree = [worker, *worker.children(recursive=True)]
        alive = threads = memory_bytes = own_memory_bytes = descriptors = 0
        shared: set[str] = set()
        for process in tree:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):  # it went while we looked
                memory = process.memory_full_info()
                paths = _targets(process.pid)
                shared |= {path for path in paths if path.startswith(f"{SHARED_MEMORY}/")}
                shared |= _mapped(process)
                memory_bytes += memory.pss
                own_memory_bytes += memory.pss if process == worker else 0
                threads += process.num_threads()
                descriptors += len(paths)
                alive += 1
        kinds = Counter(_kind(path) for path in _targets(worker_pid))
        return cls(alive, threads, memory_bytes, own_memory_bytes, kinds, descriptors, frozenset(shared))


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _listens(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any(one.status == psutil.CONN_LISTEN for one in process.net_connections("tcp"))
    return False


def _targets(pid: int) -> list[str]:
    """What each descriptor of a process leads to."""
    found = []
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.append(str(link.readlink()))
    return found


def _mapped(process: psutil.Process) -> set[str]:
    return {one.path for one in process.memory_maps() if one.path.startswith(f"{SHARED_MEMORY}/")}


def _kind(target: str) -> str:
    for kind, start in (("memfd", "/memfd:"), ("socket", "socket:"), ("pipe", "pipe:"), ("file", "/")):
        if target.startswith(start):
            return kind
    return "other"
