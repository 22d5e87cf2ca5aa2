"""A connection to the queue's Redis with our scripts, and Redis's failures in our words."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import AskError, MovedError, NoPermissionError, NoScriptError, RedisError

from streamtag.errors import QueueRefused, QueueUnavailable
from streamtag.queue.address import found_servers, open_client, where
from streamtag.queue.asking import ask_each
from streamtag.queue.failures import REMEDY, in_our_words, is_replica
from streamtag.queue.keys import Keys
from streamtag.queue.slot_client import SlotClient
from streamtag.redaction import printable
from streamtag.redis_settings import RedisSettings

SCRIPTS = Path(__file__).parent / "scripts"
Call = tuple[Sequence[str], Sequence[Any]]  # a script's keys and arguments
# The server does not know the script, or another node has the slot: the answer to the same call alone is another.
NOT_CARRIED_OUT = (NoScriptError, MovedError, AskError)
OLDEST_REDIS = (6, 2)  # older ones know neither ranges that leave their beginning out nor XTRIM MINID
SCAN_COUNT = 1000  # keys that Redis looks at for one answer: it does nothing else meanwhile


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the server gets it."""

    text: str
    sha: str


class Connection:
    """A client of its own. Threads that must not block each other each have one.

    Args:
        answered: told how long each question took, also one that got no answer.
    """

    def __init__(
        self,
        settings: RedisSettings,
        keys: Keys,
        timeout_s: float | None = None,
        answered: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._answered = answered
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
            answer = self._ask_each([("EVALSHA", script.sha, len(keys), *keys, *arguments)])[0]
            if isinstance(answer, NOT_CARRIED_OUT):
                # New to this server, flushed, or the server is another one since a failover, of another version even.
                # redis-py's own way finds the node that has the slot by now; it takes twice as long.
                answer = self.client.eval(self._read(name).text, len(keys), *keys, *arguments)
            elif isinstance(answer, Exception):
                raise answer
        return _checked(answer)

    def script_each(self, name: str, calls: Sequence[Call]) -> list[Any]:
        """Run a script for several jobs in one round trip. Each call is a step of its own: the server may do others
        between them, and one that fails leaves the rest as they are.

        Returns:
            For each call its answer, or the ``QueueUnavailable`` or ``QueueRefused`` that ``script`` would have raised.
        """
        if len(calls) < 2:
            return [self._alone(name, call) for call in calls]
        try:
            with self.asking(f"{name} of {len(calls)} jobs", of_queue=True):
                script = self._scripts.get(name) or self._read(name)
                commands = [("EVALSHA", script.sha, len(keys), *keys, *arguments) for keys, arguments in calls]
                replies = self._ask_each(commands)
        except QueueUnavailable as error:
            return [error] * len(calls)
        return self._sorted_out(name, calls, replies)

    def ask_each(self, what: str, commands: Sequence[Sequence[object]]) -> list[Any]:
        """Send commands that only read, in one round trip; a ``ResponseError`` in the place of what one is refused.

        Raises:
            QueueUnavailable: Redis does not answer, or another node has the queue by now.
        """
        with self.asking(what, of_queue=True):
            replies = self._ask_each(commands)
            for reply in replies:
                if isinstance(reply, MovedError | AskError) and isinstance(self.client, SlotClient):
                    self.client.forget_owner()
                if isinstance(reply, MovedError | AskError | NoPermissionError):
                    raise reply
        return replies

    def _ask_each(self, commands: Sequence[Sequence[object]]) -> list[Any]:
        client = self.client
        return client.ask_each(commands) if isinstance(client, SlotClient) else ask_each(client, commands)

    def _sorted_out(self, name: str, calls: Sequence[Call], replies: Sequence[Any]) -> list[Any]:
        outcomes: list[Any] = []
        away: QueueUnavailable | None = None
        for call, reply in zip(calls, replies, strict=True):
            if not isinstance(reply, NOT_CARRIED_OUT):
                outcomes.append(self._read_reply(name, call, reply))
                continue
            # Once more by itself, which knows what to do about it; no more when the server has gone meanwhile.
            outcomes.append(away or self._alone(name, call))
            if isinstance(outcomes[-1], QueueUnavailable):
                away = outcomes[-1]
        return outcomes

    def _alone(self, name: str, call: Call) -> Any:
        try:
            return self.script(name, *call)
        except (QueueRefused, QueueUnavailable) as error:
            return error

    def _read_reply(self, name: str, call: Call, reply: Any) -> Any:
        keys = call[0]
        try:
            if isinstance(reply, Exception):
                with self._in_our_words(f"{name} {keys[min(1, len(keys) - 1)]}", of_queue=False):
                    raise reply
            return _checked(reply)
        except (QueueRefused, QueueUnavailable) as error:
            return error

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
    def asking(self, command: str = "a command", *, of_queue: bool = False, at_once: bool = True) -> Iterator[None]:
        """Turn redis-py's exceptions into ours, with the server named and its password not.

        Args:
            command: what is asked, and of which key.
            of_queue: it concerns the queue and no single job, so no job must end for its refusal.
            at_once: the server answers at once; how long it takes says nothing where it may wait.

        Raises:
            QueueUnavailable: no answer, or one about the server or the queue itself: it may be another one later.
            QueueRefused: an answer about this very command.
        """
        began_s = time.monotonic()
        try:
            with self._in_our_words(command, of_queue):
                yield
        finally:
            if at_once:
                self._answered(time.monotonic() - began_s)

    @contextmanager
    def _in_our_words(self, command: str, of_queue: bool) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            if is_replica(error):
                # It was the master once; connecting anew finds the one that is by now, behind a name or a Sentinel.
                self.client.connection_pool.disconnect()
            raise in_our_words(error, self.settings, command, of_queue) from error

    def check_version(self) -> None:
        """See to it that this Redis knows what the queue asks of it, before anything is asked.

        Raises:
            QueueUnavailable: it is too old, or does not answer.
        """
        with self.asking("INFO", of_queue=True):
            self._version()

    def _version(self) -> tuple[int, ...]:
        version = str(self.client.info("server")["redis_version"])
        found = tuple(int(part) for part in version.split(".")[:2])
        if found < OLDEST_REDIS:
            raise QueueUnavailable(f"Redis at {where(self.settings)} is {version}, too old: install 6.2 or newer")
        return found

    def _read(self, name: str) -> Script:
        header, _, body = (SCRIPTS / f"{name}.lua").read_text(encoding="utf-8").partition("\n")
        prelude = (SCRIPTS / "prelude.lua").read_text(encoding="utf-8")
        # Before 7.0 the header is no header but a syntax error.
        whole = (f"{header}\n" if self._version() >= (7, 0) else "") + prelude + body
        self._scripts[name] = Script(whole, hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest())
        return self._scripts[name]


def _checked(answer: Any) -> Any:
    """What a script answers, if it is none of the two answers that are the same everywhere.

    Raises:
        QueueRefused: it concerns the job.
        QueueUnavailable: it concerns every job of the queue, and none of them must end for it.
    """
    if answer and answer[0] == b"REFUSED":
        raise QueueRefused(f"{printable(text(answer[1]))}; nothing was written. {REMEDY}")
    if answer and answer[0] == b"UNUSABLE":
        raise QueueUnavailable(f"{printable(text(answer[1]))}; the queue waits. {REMEDY}")
    return answer


def text(value: bytes | str | None) -> str:
    """Redis's bytes as text; nothing is an empty string."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")


def stamp() -> str:
    """The time as the protocol writes it: Unix seconds with milliseconds."""
    return f"{time.time():.3f}"


def _literal(name: str) -> str:
    """The name with the characters of a glob pattern taken literally."""
    return "".join(f"\\{char}" if char in "*?[]\\" else char for char in name)
