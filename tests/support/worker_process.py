"""A worker as a process, whose log and metrics a test can read."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from streamtag.settings import Settings

from tests.support.command_line import environment
from tests.support.waiting import LIMIT_S, eventually

NULL = ("engine.name=null", "worker.commit_s=0.05")
# One sample in flight at a time and small commits, so that a job lasts long enough to be shot at.
SLOW = ("worker.commit_s=0.05", "worker.commit_results=4", "engine.buckets=[1,2]", "source.slots=3")


class Worker:
    """``streamtag run`` as a process. Its log is read as it comes.

    Args:
        launcher: a command that becomes the one given to it: another user, other limits.
        command: of ``streamtag``, where another one that serves is wanted.
    """

    def __init__(
        self,
        settings: Settings,
        *overrides: str,
        env: dict[str, str] | None = None,
        launcher: Sequence[str] = (),
        command: str = "run",
    ) -> None:
        line = [*launcher, sys.executable, "-m", "streamtag", command]
        for override in overrides:
            line += ["--set", override]
        self.process = subprocess.Popen(
            line,
            env=environment(settings) | (env or {}),
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        self.log: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.raw.append(line)
            try:
                self.log.append(json.loads(line))
            except ValueError:
                continue

    def said(self, event: str, **fields: Any) -> dict[str, Any] | None:
        for line in list(self.log):
            if line.get("event") == event and all(line.get(name) == value for name, value in fields.items()):
                return line
        return None

    def ready(self, limit_s: float = LIMIT_S) -> Worker:
        """Wait until it is; one that does not get so far is ended."""

        def check() -> bool:
            assert self.process.poll() is None, "".join(self.raw)[-3000:]
            return self.said("ready") is not None

        try:
            eventually(check, "worker is ready", limit_s)
        except BaseException:
            self.kill()
            raise
        return self

    def get(self, path: str, accept: str = "text/plain") -> tuple[int, str]:
        line = eventually(lambda: self.said("http"), "worker names its address", 30)
        url = line["metrics"].removesuffix("/metrics") + path
        try:
            request = urllib.request.Request(url, headers={"Accept": accept})
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric over its labels but those given."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, limit_s: float = 60) -> int:
        return self.process.wait(limit_s)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)


def start_worker(
    workers: list[Worker], settings: Settings, *overrides: str, env: dict[str, str] | None = None
) -> Worker:
    worker = Worker(settings, *overrides, env=env)
    workers.append(worker)
    return worker.ready()
