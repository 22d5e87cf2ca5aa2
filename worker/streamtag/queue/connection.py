"""One Redis connection pool with our scripts, and Redis's failures in our words."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import AuthenticationError, AuthorizationError, RedisError, ResponseError
from redis.retry import Retry

from streamtag.errors import ConfigError, QueueRefused, QueueUnavailable
from streamtag.queue.keys import Keys
from streamtag.redaction import redact, redact_url
from streamtag.settings import RedisSettings

SCRIPTS = Path(__file__).parent / "scripts"

# Error replies that say something about the server and not about the job that asked: they may pass.
_PASSING = {
    "BUSY": "a script runs too long there; wait, or end it with SCRIPT KILL",
    "CLUSTERDOWN": "wait until the cluster is complete again",
    "LOADING": "it is reading its data from disk; wait",
    "MASTERDOWN": "it is a replica without its master; wait, or name the master in redis.url",
    "MISCONF": "it cannot write its data to disk; see its log",
    "NOREPLICAS": "too few replicas follow it (min-replicas-to-write)",
    "NOSCRIPT": "its scripts were flushed meanwhile",
    "OOM": "it is out of memory: raise maxmemory there, or lower redis.results_maxlen, redis.events_maxlen or "
    "redis.expire_s; jobs wait until there is room",
    "READONLY": "it is a replica; wait for the failover to end, or name the master in redis.url",
    "TRYAGAIN": "the cluster moves this queue's slot; wait",
    "ASK": "it is a cluster that is moving this queue's slot; wait",
    "MOVED": "it is a node of a cluster and the queue is on another one; name that node in redis.url",
    "NOAUTH": "check user and password in redis.url",
    "WRONGPASS": "check user and password in redis.url",
    "NOPERM": "let its user run the commands of Streamtag (ACL SETUSER)",
}
_CODE = re.compile(rf"(?:^|[:\s-])({'|'.join(_PASSING)})(?=\s|$)")


class GroupMissing(QueueUnavailable):
    """The stream or its group is gone. It passes: the claims thread makes it anew."""


class Connection:
    """A client of its own. Threads that must not block each other each have one."""

    def __init__(self, settings: RedisSettings, keys: Keys, timeout_s: float | None = None) -> None:
        self.keys = keys
        self.settings = settings
        try:
            # Retries are ours to decide: redis-py would send a command again that may have been carried out.
            # RESP2, because the answers to stream commands have another shape under RESP3.
            # Any: redis-py's annotations allow for answers in text, which we never ask for.
            self.client: Any = redis.Redis.from_url(
                settings.url.get_secret_value(),
                socket_timeout=timeout_s or settings.timeout_s,
                socket_connect_timeout=min(5.0, settings.timeout_s),
                retry=Retry(NoBackoff(), 0),
                protocol=2,
                client_name="streamtag",
            )
        except ValueError:
            # The reason is not repeated: it quotes the address, and with it the password.
            raise ConfigError(
                "redis.url: no valid address; it is redis://[user:password@]host:port/number, with / ? # @ : in a "
                "password written as %2F %3F %23 %40 %3A"
            ) from None
        self._scripts: dict[str, Script] = {}

    def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run ``scripts/<name>.lua`` by its hash, loading it where the server does not know it.

        Raises:
            QueueUnavailable: Redis gives no answer, or one that may pass.
            QueueRefused: it would answer the same tomorrow.
        """
        with translated(self.settings, f"{name} {keys[min(1, len(keys) - 1)]}"):
            script = self._scripts.get(name) or self._register(name)
            return script(keys=list(keys), args=list(arguments))

    def ping(self) -> None:
        with translated(self.settings):
            self.client.ping()

    def close(self) -> None:
        self.client.close()

    def _register(self, name: str) -> Script:
        text = (SCRIPTS / f"{name}.lua").read_text(encoding="utf-8")
        major = int(str(self.client.info("server")["redis_version"]).split(".")[0])
        if major < 7:
            # Before 7.0 the header is no header but a syntax error.
            text = text.removeprefix("#!lua\n")
        self._scripts[name] = self.client.register_script(text)
        return self._scripts[name]


@contextmanager
def translated(settings: RedisSettings, command: str = "a command") -> Iterator[None]:
    """Turn redis-py's exceptions into ours, with the server named and its password not.

    Args:
        command: what was asked, and of which key.

    Raises:
        QueueUnavailable: no answer, or one about the server itself: it may be another one later.
        QueueRefused: an answer about this very command.
    """
    where = redact_url(settings.url.get_secret_value())
    try:
        yield
    except (AuthenticationError, AuthorizationError) as error:
        reason = f"{redact(str(error))}; {_PASSING['NOAUTH']}"
        raise QueueUnavailable(f"Redis at {where} refuses us: {reason}") from error
    except ResponseError as error:
        if "NOGROUP " in str(error):  # before 7.0 a script's answer has the code within its text
            raise GroupMissing(
                f"Redis at {where} lost the queue: deleted, flushed, or failed over without it"
            ) from error
        if code := _passing_code(error):
            raise QueueUnavailable(f"Redis at {where} answers {code}: {_PASSING[code]}") from error
        raise QueueRefused(
            f"Redis at {where} refuses {command}: {redact(str(error))}; look at that key with redis-cli, and remove "
            "what is not Streamtag's"
        ) from error
    except (RedisError, OSError) as error:
        reason = redact(str(error)) or type(error).__name__
        raise QueueUnavailable(
            f"Redis at {where} cannot be reached: {reason}; is it running, and is redis.url right?"
        ) from error


def _passing_code(error: ResponseError) -> str:
    """The code of a reply that may pass, else nothing. Before 7.0 that of a script's command is within its text."""
    if error.status_code in _PASSING:
        return str(error.status_code)
    if "can't run this command" in str(error):  # how scripts say NOPERM
        return "NOPERM"
    found = _CODE.search(str(error))
    return found.group(1) if found else ""


def text(value: bytes | str | None) -> str:
    """Redis's bytes as text; nothing is an empty string."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")


def stamp() -> str:
    """The time as the protocol writes it: Unix seconds with milliseconds."""
    return f"{time.time():.3f}"
