"""Where the queue's Redis is, and a client of it: a server, the master that Sentinels name, or a cluster's node."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool, SSLConnection, parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from streamtag.errors import ConfigError
from streamtag.queue.slot_client import Node, SlotClient
from streamtag.redaction import redact_url
from streamtag.redis_settings import RedisSettings

CONNECT_S = 5.0
DEFAULT_PORT = 6379
_LOCAL = ("127.0.0.1", "localhost")  # where redis-cli looks by itself


def open_client(settings: RedisSettings, key: str, timeout_s: float | None = None) -> redis.Redis:
    """A client that connects when it is first asked for something.

    Args:
        key: one of the queue, by which a cluster tells the node.

    Raises:
        ConfigError: the address cannot be one, or a file of the certificate is not there.
    """
    server = _server(settings)
    common = _common(settings, timeout_s)
    if settings.sentinels:
        return _master(settings, server, common)
    if settings.cluster:
        if server.pop("db", 0):
            raise ConfigError("redis.url: a cluster has no numbered databases; leave the number out, or give 0")
        host, port = server.pop("host"), server.pop("port")
        seeds = [Node(host, port), *map(Node.parse, settings.cluster_nodes)]
        return SlotClient(key, seeds, common | server)
    return redis.Redis.from_pool(ConnectionPool(**(common | server)))


def found_servers(client: redis.Redis) -> list[str]:
    """host:port of the servers that a client was told of, and that its settings need not name."""
    if isinstance(client, SlotClient):
        return [f"{node.host}:{node.port}" for node in client.nodes]
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool) and pool.master_address is not None:
        host, port = pool.master_address
        return [f"{host}:{port}"]
    return []


def where(settings: RedisSettings) -> str:
    """The server for messages: no user and no password."""
    if settings.sentinels:
        return f"master {settings.sentinel_name!r} of the Sentinels {', '.join(settings.sentinels)}"
    url = settings.url.get_secret_value()
    if not (settings.host or settings.port):
        return redact_url(url)
    options = {"host": "localhost", "port": DEFAULT_PORT} | (_read(url) or {})
    return f"{url.partition('://')[0]}://{settings.host or options['host']}:{settings.port or options['port']}"


def redis_cli(settings: RedisSettings, client: redis.Redis) -> str:
    """How redis-cli is told which server that is; user and password are left to whoever types it."""
    options = _server(settings)
    if "path" in options:
        return f"redis-cli -s {shlex.quote(options['path'])}"
    node = Node(options["host"], options["port"])
    if isinstance(client.connection_pool, SentinelConnectionPool) and (found := found_servers(client)):
        node = Node.parse(found[0])
    words = ["redis-cli"]
    words += ["-h", shlex.quote(node.host)] if node.host not in _LOCAL else []
    words += ["-p", str(node.port)] if node.port != DEFAULT_PORT else []
    words += ["--tls"] if uses_tls(settings) else []
    words += ["--cacert", shlex.quote(str(settings.tls_ca))] if settings.tls_ca else []
    return " ".join(words)


def user(settings: RedisSettings) -> str:
    """Whom the server knows us as."""
    options = _read(settings.url.get_secret_value()) or {}
    return settings.username or options.get("username") or "default"


def uses_tls(settings: RedisSettings) -> bool:
    """Whether the server is spoken to under TLS: a ``rediss://`` URL, or a certificate in the settings."""
    return settings.url.get_secret_value().startswith("rediss:") or bool(settings.tls_ca or settings.tls_cert)


def _server(settings: RedisSettings) -> dict[str, Any]:
    """Address, user and encryption in redis-py's words: the URL's, and over them what is set apart."""
    options = _read(settings.url.get_secret_value())
    if options is None:
        # The reason is not repeated: it quotes the address, and with it the password.
        raise ConfigError(
            "redis.url: no valid address; it is redis://[user:password@]host:port/number, with / ? # @ : % in a "
            "password written as %2F %3F %23 %40 %3A %25; or give the password as it is in redis.password"
        )
    apart = {
        "host": settings.host,
        "port": settings.port,
        "username": settings.username,
        "password": settings.password.get_secret_value(),
    }
    options |= {name: value for name, value in apart.items() if value}
    if "path" not in options:
        options = {"host": "localhost", "port": DEFAULT_PORT} | options
    if uses_tls(settings):
        options |= {"connection_class": SSLConnection} | _tls_files(settings)
    return options


def _read(url: str) -> dict[str, Any] | None:
    """The URL as redis-py reads it; None where that is not what was meant.

    A ``/ ? #`` in a password ends the part of the URL that it is in, and what is left may look like another address.
    """
    try:
        options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        parts = urlsplit(url)
        options.get("connection_class", Connection)(**{name: options[name] for name in options if name in parts.query})
    except (ValueError, TypeError):
        return None
    return None if parts.fragment or "@" in parts.path or "@" in parts.query else options


def _tls_files(settings: RedisSettings) -> dict[str, str]:
    files = {"tls_ca": settings.tls_ca, "tls_cert": settings.tls_cert, "tls_key": settings.tls_key}
    names = {"tls_ca": "ssl_ca_certs", "tls_cert": "ssl_certfile", "tls_key": "ssl_keyfile"}
    for name, path in files.items():
        if path is not None and not Path(path).is_file():
            raise ConfigError(f"redis.{name}: no such file: {path}")
    return {names[name]: str(path) for name, path in files.items() if path is not None}


def _common(settings: RedisSettings, timeout_s: float | None) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s or settings.timeout_s,
        "socket_connect_timeout": min(CONNECT_S, settings.timeout_s),
        # Retries are ours to decide: redis-py would send a command again that may have been carried out.
        "retry": Retry(NoBackoff(), 0),
        # The answers to stream commands have another shape under RESP3.
        "protocol": 2,
        "client_name": "streamtag",
        # Older servers do not know CLIENT SETINFO, which would need a right of its own besides.
        "driver_info": None,
    }


def _master(settings: RedisSettings, server: dict[str, Any], common: dict[str, Any]) -> redis.Redis:
    """A client that asks the Sentinels for the master whenever it connects."""
    own = {
        "username": settings.sentinel_username or None,
        "password": settings.sentinel_password.get_secret_value() or None,
    }
    tls = {name: value for name, value in server.items() if name.startswith("ssl_")}
    encrypted = {"ssl": True} if server.pop("connection_class", None) is SSLConnection else {}
    to_sentinel = common | {"socket_timeout": common["socket_connect_timeout"]} | own | tls | encrypted
    nodes = [Node.parse(text) for text in settings.sentinels]
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call]
        [(node.host, node.port) for node in nodes], sentinel_kwargs=to_sentinel
    )
    to_master = {name: value for name, value in server.items() if name not in ("host", "port", "path")}
    master: redis.Redis = sentinel.master_for(settings.sentinel_name, **(common | to_master | encrypted))
    return master
