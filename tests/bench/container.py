"""How long a container of the image takes to be ready, and what memory it has then and at work.

As root, with the image built (``make image-test``): ``python -m tests.bench.container``. What it gave is in
``RESULTS.md``; the memory request of ``k8s/base/worker.yaml`` rests on it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from streamtag.client import Client
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import plan, write_clip

from tests.support import RedisServer, eventually, redis_binaries, settings_for
from tests.support.command_line import environment
from tests.support.containers import Container, Containers
from tests.support.ports import free_port

FILMS = 16  # the slots of the manifest
FILM_S = 10.0
LOOK_S = 0.2
MIB = 1 << 20
IN_THE_IMAGE = ("demo", "efficientnet-lite0")  # with their weights; those of others are random, of the same size


@dataclass
class Memory:
    """Of a container's control group, looked at again and again; both are bytes.

    Attributes:
        own: what cannot be taken back: anonymous, and the slots' shared memory.
        counted: what Kubernetes goes by: all but files that nobody has read lately.
    """

    folder: Path
    own: list[int] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)

    def look(self) -> None:
        """Once more."""
        lines = (self.folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        stat = {name: int(number) for name, number in (line.split() for line in lines)}
        usage = next(self.folder / name for name in ("memory.usage_in_bytes", "memory.current") if self._has(name))
        self.own.append(stat.get("total_rss", stat.get("anon", 0)) + stat.get("total_shmem", stat.get("shmem", 0)))
        inactive = stat.get("total_inactive_file", stat.get("inactive_file", 0))
        self.counted.append(int(usage.read_text(encoding="utf-8")) - inactive)

    def _has(self, name: str) -> bool:
        return (self.folder / name).exists()

    def told(self) -> str:
        """Now, and at most so far."""
        now, most = f"{self.own[-1] // MIB}", f"{max(self.own) // MIB}"
        return f"{now} MiB, {most} at most (counted: {self.counted[-1] // MIB}, {max(self.counted) // MIB})"


@contextmanager
def watched(worker: Container) -> Iterator[Memory]:
    """Its memory, looked at by a thread as long as this lasts."""
    memory, ended = Memory(worker.cgroup("memory")), threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_S):
            with suppress(OSError):
                memory.look()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()


def used_s(worker: Container) -> float:
    """Processor time of a container so far."""
    folder = worker.cgroup("cpuacct")
    if (folder / "cpuacct.usage").exists():
        return int((folder / "cpuacct.usage").read_text(encoding="utf-8")) / 1e9
    stat = dict(line.split() for line in (folder / "cpu.stat").read_text(encoding="utf-8").splitlines())
    return int(stat["usage_usec"]) / 1e6


def ready(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def measured(containers: Containers, settings: Settings, film: Path, network: str, engine: str) -> str:
    """A row of the table."""
    port = free_port()
    chosen = {name: value for name, value in environment(settings).items() if name.startswith("STREAMTAG_")}
    chosen |= {"STREAMTAG_MODEL__NAME": network, "STREAMTAG_ENGINE__NAME": engine}
    if network not in IN_THE_IMAGE:
        chosen["STREAMTAG_MODEL__WEIGHTS"] = "random"
    chosen |= {"STREAMTAG_HTTP__PORT": str(port), "STREAMTAG_WORKER__SLOTS": str(FILMS)}
    options = [*(f"--env={name}={value}" for name, value in chosen.items()), f"--volume={film.parent}:/films:ro"]
    with ExitStack() as stack:
        began_s = time.monotonic()
        worker = stack.enter_context(containers.running("localhost/streamtag:test", options=options))
        memory = stack.enter_context(watched(worker))
        eventually(lambda: ready(port), "it is ready", limit_s=600)
        start_s, start_cpu_s = time.monotonic() - began_s, used_s(worker)
        time.sleep(2)
        idle = memory.told()
        of = settings.model_copy(update={"model": settings.model.model_copy(update={"name": network})})
        client = stack.enter_context(Client(settings=of))
        jobs = [client.submit(f"/films/{film.name}", every=1).job_id for _ in range(FILMS)]
        eventually(lambda: all(client.status(job).counters.published > 3 for job in jobs), "all run", limit_s=600)
        row = f"| {network}, {engine} | {start_s:.0f} s ({start_cpu_s:.0f} s of CPU) | {idle} | {memory.told()} |"
        for job in jobs:
            client.cancel(job)
    return row


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["demo", "efficientnet-lite0", "xception"])
    parser.add_argument("--engines", nargs="+", default=["auto", "openvino", "tf_graph"])
    options = parser.parse_args()
    say(f"load {os.getloadavg()[0]:.0f} at the start\n")
    say(f"| network, engine | ready after | memory then | with {FILMS} films |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        film = Path(folder) / "film.mp4"
        write_clip(film, plan(FILM_S, 1), 1)
        for network in options.networks:
            for engine in options.engines:
                with RedisServer(redis_binaries()[0], Path(tempfile.mkdtemp(dir=folder))) as server:
                    say(measured(Containers(), settings_for(server), film, network, engine))
    say(f"\nload {os.getloadavg()[0]:.0f} at the end")


if __name__ == "__main__":
    main()
