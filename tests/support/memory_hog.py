"""What takes the memory of a container until the kernel has to kill somebody there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tests.support.containers import Container

# A line in: so many bytes more. A line out: they are there. What lies in /tmp is memory that belongs to no process, so
# the kernel has to choose among the others.
PROGRAM = """
import sys
with open("/tmp/hog", "ab", buffering=0) as file:
    for line in sys.stdin:
        file.write(bytes(int(line)))
        print(file.tell(), flush=True)
"""
STEP_BYTES = 8 << 20


def kills(cgroup: Path) -> int:
    """How often the kernel has killed in a control group for want of memory."""
    name = "memory.oom_control" if (cgroup / "memory.oom_control").exists() else "memory.events"
    lines = dict(line.split() for line in (cgroup / name).read_text(encoding="utf-8").splitlines())
    return int(lines["oom_kill"])


def used(cgroup: Path) -> int:
    """Bytes that the kernel cannot take back: of processes, and of files in memory."""
    lines = (cgroup / "memory.stat").read_text(encoding="utf-8").splitlines()
    stat = {name: int(value) for name, value in (line.split() for line in lines)}
    return stat["total_rss"] + stat["total_shmem"] if "total_rss" in stat else stat["anon"] + stat["shmem"]


class MemoryHog:
    """Takes memory of a container while it is entered."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._cgroup = container.cgroup("memory")

    def __enter__(self) -> MemoryHog:
        self._process = self._container.start("python3", "-c", PROGRAM)
        return self

    def __exit__(self, *exception: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self._process.kill()
        self._process.wait(20)
        self._container.run("rm", "--force", "/tmp/hog")

    def leave(self, limit_bytes: int, count: int) -> None:
        """Take what is free below the limit, but for so many bytes."""
        self._take(limit_bytes - used(self._cgroup) - count)

    def until_somebody_is_killed(self, limit_bytes: int) -> None:
        """Take more and more, up to the limit, until the kernel has killed once more than now, or all is over."""
        before, taken = self._kills(), 0
        while (now := self._kills()) is not None and now == before:
            assert taken < limit_bytes, f"nobody was killed for {taken} bytes"
            self._take(STEP_BYTES)
            taken += STEP_BYTES

    def _kills(self) -> int | None:
        """None once the container has ended."""
        try:
            return kills(self._cgroup)
        except FileNotFoundError:
            return None

    def _take(self, count: int) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        self._process.stdout.readline()
