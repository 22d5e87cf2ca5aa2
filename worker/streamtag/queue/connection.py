"""A connection to the queue's Redis with our scripts, and Redis's failures in our words."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from streamtag.errors import QueueRefused, QueueUnavailable
from streamtag.queue.address import found_servers, open_client
from streamtag.queue.failures import REMEDY, in_our_words, is_replica
from streamtag.queue.keys import Keys
from streamtag.redaction import printable
from streamtag.redis_settings import RedisSettings

SCRIPTS = Path(__file__).parent / "scripts"
SCAN_COUNT = 1000  # keys that Redis looks at for one answer: it does nothing else meanwhile


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the server gets it."""

    text: str
    sha: str


class Connection:
    """A client of its own. Threads that must not block each other each have one."""

    def __init__(self, settings: RedisSettings, keys: Keys, timeout_s: float | None = None) -> None:
        self.keys = keys
        self.settings = settings
        # Any: redis-py's annotations allow for answers in text, which we never ask for.
        self.client: Any = open_client(settings, keys.jobs, timeout_s)
        self._scripts: dict[str, Script] = {}

    def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run ``scripts/<name>.lua`` by its hash, or by its text where the server does not know it.

        Raises:
            QueueUnavailable: Redis gives no answer, or one that may pass.
            QueueRefused: it would answer the same tomorrow.
        """
        with self.asking(f"{name} {keys[min(1, len(keys) - 1)]}"):
            script = self._scripts.get(name) or self._read(name)
            try:
                answer = self.client.evalsha(script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                # New to this server, flushed, or the server is another one since a failover, of another version even.
                answer = self.client.eval(self._read(name).text, len(keys), *keys, *arguments)
        if answer and answer[0] == b"REFUSED":
            raise QueueRefused(f"{printable(text(answer[1]))}; nothing was written. {REMEDY}")
        if answer and answer[0] == b"UNUSABLE":
            # It concerns every job of the queue: none of them must end for it.
            raise QueueUnavailable(f"{printable(text(answer[1]))}; the queue waits. {REMEDY}")
        return answer

    def ping(self) -> None:
        """Hear whether Redis answers."""
        with self.asking("PING"):
            self.client.ping()

    def servers(self) -> list[str]:
        """host:port of the servers that were found by now: the master of the Sentinels, the nodes of a cluster."""
        return found_servers(self.client)

    def scan(self, beginning: str) -> Iterator[list[str]]:
        """The names of all keys that begin so, batch by batch; each once, which Redis alone does not promise."""
        seen: set[str] = set()
        cursor = 0
        while True:
            with self.asking(f"SCAN {beginning}*", of_queue=True):
                cursor, names = self.client.scan(cursor, match=f"{_literal(beginning)}*", count=SCAN_COUNT)
            batch = {text(name) for name in names} - seen
            seen |= batch
            if batch:
                yield sorted(batch)
            if cursor == 0:
                return

    def close(self) -> None:
        """Leave the server."""
        self.client.close()

    @contextmanager
    def asking(self, command: str = "a command", *, of_queue: bool = False) -> Iterator[None]:
        """Turn redis-py's exceptions into ours, with the server named and its password not.

        Args:
            command: what is asked, and of which key.
            of_queue: it concerns the queue and no single job, so no job must end for its refusal.

        Raises:
            QueueUnavailable: no answer, or one about the server or the queue itself: it may be another one later.
            QueueRefused: an answer about this very command.
        """
        try:
            yield
        except (RedisError, OSError) as error:
            if is_replica(error):
                # It was the master once; connecting anew finds the one that is by now, behind a name or a Sentinel.
                self.client.connection_pool.disconnect()
            raise in_our_words(error, self.settings, command, of_queue) from error

    def _read(self, name: str) -> Script:
        header, _, body = (SCRIPTS / f"{name}.lua").read_text(encoding="utf-8").partition("\n")
        prelude = (SCRIPTS / "prelude.lua").read_text(encoding="utf-8")
        major = int(str(self.client.info("server")["redis_version"]).split(".")[0])
        # Before 7.0 the header is no header but a syntax error.
        whole = (f"{header}\n" if major >= 7 else "") + prelude + body
        self._scripts[name] = Script(whole, hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest())
        return self._scripts[name]


def text(value: bytes | str | None) -> str:
    """Redis's bytes as text; nothing is an empty string."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")


def stamp() -> str:
    """The time as the protocol writes it: Unix seconds with milliseconds."""
    return f"{time.time():.3f}"


def _literal(name: str) -> str:
    """The name with the characters of a glob pattern taken literally."""
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in name)
