"""A worker as a process, ``streamtag run``, as it is started on a machine: for what can only be seen from outside."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from streamtag.errors import StreamtagError
from streamtag.ingest.cage import die_with_parent
from streamtag.tools.embedded import EmbeddedRedis

LIMIT_S = 300.0  # until it is ready: a first start measures its engines
LEAVING_S = 40.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class WorkerProcess:
    """One that is ready."""

    pid: int
    ready_s: float  # from its start until it was
    ready_cpu_s: float  # processor time that this took, over all its threads
    metrics_url: str

    def metric(self, name: str) -> float:
        """A metric without labels."""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


@contextmanager
def worker_process(
    arguments: Sequence[str], server: EmbeddedRedis, module: Sequence[str] = ("streamtag", "run")
) -> Iterator[WorkerProcess]:
    """Start one, wait until it is ready, and let it drain at the end.

    Args:
        arguments: of ``streamtag run``.
        server: its queue, in place of the one that ``arguments`` or the environment name.
        module: what Python runs in its place, with the same ``--set`` and the same log.

    Raises:
        StreamtagError: it ends before, or takes too long.
    """
    own = ("log.format=json", "log.level=info", "http.port=0", "worker.drain_s=2", *server.overrides())
    command = [sys.executable, "-m", *module, *arguments]
    for setting in own:
        command += ["--set", setting]
    began_s = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=die_with_parent, start_new_session=True)
    assert process.stderr is not None
    # What it goes on to say is read and forgotten: a full pipe would stop it.
    reading = threading.Thread(target=_read_all, args=(process.stderr.fileno(),))
    try:
        worker = _ready(process, began_s)
        reading.start()
        yield worker
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(LEAVING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if reading.ident is not None:
            reading.join()
        process.stderr.close()


def _read_all(descriptor: int) -> None:
    while os.read(descriptor, 65536):
        pass


def _ready(process: subprocess.Popen[bytes], began_s: float) -> WorkerProcess:
    assert process.stderr is not None
    descriptor, rest, said, url = process.stderr.fileno(), b"", "nothing", ""
    while (left_s := began_s + LIMIT_S - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left_s)[0]:
            break
        read = os.read(descriptor, 65536)
        if not read:
            raise StreamtagError(f"the worker ended before it was ready; it said last: {said}")
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            said = line.decode("utf-8", "replace")
            told = _event(line)
            url = str(told.get("metrics", url))
            if told.get("event") == "ready":
                return WorkerProcess(process.pid, time.monotonic() - began_s, cpu_s(process.pid), url)
    raise StreamtagError(f"the worker was not ready within {LIMIT_S:g} s; it said last: {said}")


def _event(line: bytes) -> dict[str, object]:
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def cpu_s(pid: int) -> float:
    """Processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a process that are there."""

    resident: int
    private: int  # of these, what no other process has, too


def memory(pid: int) -> Memory:
    """What a process takes now."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    sizes = {
        name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in text.splitlines()[1:])
    }
    return Memory(sizes["Rss"], sizes["Private_Clean"] + sizes["Private_Dirty"])


def descendants(pid: int) -> list[int]:
    """Its children, and theirs."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text(encoding="utf-8").split()):
            found += [child, *descendants(child)]
    return found
