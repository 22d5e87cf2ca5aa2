"""One Redis connection pool with our scripts, and Redis's failures in our words."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.retry import Retry

from streamtag.errors import ConfigError, QueueUnavailable
from streamtag.queue.keys import Keys
from streamtag.redaction import redact, redact_url
from streamtag.settings import RedisSettings

SCRIPTS = Path(__file__).parent / "scripts"


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
        except ValueError as error:
            raise ConfigError(f"redis.url: {redact(str(error))}") from None
        self._scripts: dict[str, Script] = {}

    def script(self, name: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run ``scripts/<name>.lua`` by its hash, loading it where the server does not know it.

        Raises:
            QueueUnavailable: Redis cannot be reached, or refuses.
        """
        with translated(self.settings):
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
def translated(settings: RedisSettings) -> Iterator[None]:
    """Turn redis-py's exceptions into ours, with the server named and its password not."""
    where = redact_url(settings.url.get_secret_value())
    try:
        yield
    except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
        raise QueueUnavailable(
            f"Redis at {where} refuses us: {redact(str(error))}; check user and password in redis.url"
        ) from error
    except ResponseError as error:
        if is_no_group(error):
            raise
        raise QueueUnavailable(f"Redis at {where} answered: {redact(str(error))}") from error
    except (RedisError, OSError) as error:
        reason = redact(str(error)) or type(error).__name__
        raise QueueUnavailable(
            f"Redis at {where} cannot be reached: {reason}; is it running, and is redis.url right?"
        ) from error


def is_no_group(error: Exception) -> bool:
    return str(error).startswith("NOGROUP")


def text(value: bytes | str | None) -> str:
    """Redis's bytes as text; nothing is an empty string."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")


def stamp() -> str:
    """The time as the protocol writes it: Unix seconds with milliseconds."""
    return f"{time.time():.3f}"
