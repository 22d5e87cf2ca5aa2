"""Limits of the kernel on a process that runs, set and lifted from outside."""

from __future__ import annotations

import random
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

# A user whom nobody else is: the number of processes is limited by user, and root's never is. Files it reads as root.
LONELY_UID = random.randrange(40_000, 60_000)
AS_LONELY = (
    *("setpriv", f"--reuid={LONELY_UID}", f"--regid={LONELY_UID}", "--clear-groups"),
    *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
)


def is_allowed(*launcher: str) -> bool:
    """Whether this machine lets us launch anything so."""
    try:
        return subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def first_free_descriptor(pid: int) -> int:
    """The number that the next file it opens will have."""
    taken = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(len(taken) + 1) if number not in taken)


@contextmanager
def limited(kind: int, soft: int, *pids: int) -> Iterator[None]:
    """Processes of ours, for as long as it lasts.

    Args:
        kind: ``resource.RLIMIT_...``.
    """
    before = {pid: resource.prlimit(pid, kind) for pid in pids}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, kind, (soft, hard))
    try:
        yield
    finally:
        for pid, earlier in before.items():
            with suppress(ProcessLookupError):  # it ended meanwhile
                resource.prlimit(pid, kind, earlier)


@contextmanager
def no_more_processes_of_lonely() -> Iterator[None]:
    """That user has as many as it may have. Only the user itself may say so without a right that containers lack."""
    count = 0
    for process in _of_lonely():
        with suppress(psutil.NoSuchProcess):
            count += process.num_threads()
    _limit_lonely(count)
    try:
        yield
    finally:
        _limit_lonely(10_000)
        _limit_lonely(10_000)  # what was forked meanwhile, too


def _of_lonely() -> list[psutil.Process]:
    found = psutil.process_iter(["uids"])
    return [process for process in found if process.info["uids"] and process.info["uids"].real == LONELY_UID]


def _limit_lonely(processes: int) -> None:
    for process in _of_lonely():
        command = [*AS_LONELY[:4], "prlimit", f"--pid={process.pid}", f"--nproc={processes}:"]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 0 or not psutil.pid_exists(process.pid), done.stderr
