"""A client of the one node of a cluster that holds a queue.

All keys of a queue carry one hash tag, so they lie in one slot, and the slot's owner is all that a connection needs to
know: who that is, is asked when connecting, and again when a node says MOVED or is gone. redis-py's own client of
clusters was tried first (8.1): it asks another node for the keys of each blocking read (two commands more a read), and
when that other node is down its reads fail for ever, though the queue's own node is well.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.client import Pipeline
from redis.connection import ConnectionPool
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, ConnectionError, MovedError, ResponseError, TimeoutError

from streamtag.queue.asking import ask_each

MAX_REDIRECTS = 5
REDIRECT_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Node:
    """Where a server listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Node:
        """``host:port``, an IPv6 address in brackets."""
        host, _, port = text.rpartition(":")
        return cls(host.strip("[]"), int(port))


class SlotClient(redis.Redis):
    """Speaks to the owner of a key's slot, and follows it.

    Args:
        seeds: nodes to ask first for the owner.
        options: of every connection, without its address.
    """

    def __init__(self, key: str, seeds: Sequence[Node], options: dict[str, Any]) -> None:
        self._key = key
        self._seeds = list(seeds)
        self._nodes: list[Node] = []  # as last heard
        self._options = options
        self._owner: Node | None = None
        super().__init__(connection_pool=self._pool(self._seeds[0]))
        self.auto_close_connection_pool = True

    @property
    def nodes(self) -> list[Node]:
        """Of the cluster, as last heard."""
        return list(self._nodes)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Ask the owner. A command that a node redirects was not carried out, so it is sent to the next."""
        if str(args[0]).upper() == "SCAN":
            # It names no key, so no node would say that the slot is elsewhere by now.
            self.execute_command("TYPE", self._key)
        for turn in range(MAX_REDIRECTS):
            self._find_owner()
            try:
                return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
            except MovedError as error:
                self._follow(Node(error.host or self._owner_host(), error.port))
            except AskError as error:
                return self._ask_once(Node(error.host or self._owner_host(), error.port), args, options)
            except (ConnectionError, TimeoutError, ClusterDownError):
                self.forget_owner()
                raise
            time.sleep(REDIRECT_PAUSE_S * turn)
        raise ClusterDownError("its nodes do not agree on who holds the queue")

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        """Commands that are sent together, to the owner. What a node redirects is for the caller to ask again."""
        self._find_owner()
        return _OwnersPipeline(self, transaction, shard_hint)

    def ask_each(self, commands: Sequence[Sequence[object]]) -> list[Any]:
        """``asking.ask_each``, of the owner. What it redirects is for the caller to ask again."""
        self._find_owner()
        try:
            return ask_each(self, commands)
        except (ConnectionError, TimeoutError):
            self.forget_owner()
            raise

    def forget_owner(self) -> None:
        """Ask who it is before the next command: perhaps another node is promoted in its place."""
        self._owner = None

    def _find_owner(self) -> None:
        if self._owner is not None:
            return
        trouble: Exception | None = None
        for node in dict.fromkeys([*self._nodes, *self._seeds]):
            try:
                with self._to(node) as client:
                    slots = client.execute_command("CLUSTER SLOTS")
            except ResponseError as error:
                if "cluster support disabled" in str(error):
                    text = f"{node.host}:{node.port} is no node of a cluster: set redis.cluster: false"
                    raise ConnectionError(text) from None
                raise
            except (ConnectionError, TimeoutError) as error:
                trouble = error
                continue
            if owner := self._read(slots, node):
                self._follow(owner)
                return
            trouble = ClusterDownError("no node of the cluster holds this queue's slot")
        raise trouble or ClusterDownError("no node of the cluster is known")

    def _read(self, slots: list[Any], asked: Node) -> Node | None:
        """The owner of our slot, and the nodes to ask next time."""
        wanted = key_slot(self._key.encode())
        owner, nodes = None, []
        for first, last, *servers in slots:
            # A node that does not know its own address sends none: it is the one that was asked.
            found = [Node((host or b"").decode() or asked.host, port) for host, port, *_ in servers]
            nodes += found
            if first <= wanted <= last:
                owner = found[0]
        self._nodes = nodes
        return owner

    def _follow(self, owner: Node) -> None:
        if owner != self._owner:
            previous, self.connection_pool = self.connection_pool, self._pool(owner)
            previous.disconnect()
        self._owner = owner

    def _ask_once(self, node: Node, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """While a slot moves, keys that are gone from its owner are asked for at the next one, each time anew."""
        with self._to(node) as client:
            client.execute_command("ASKING")
            return client.execute_command(*args, **options)

    def _to(self, node: Node) -> redis.Redis:
        client = redis.Redis(connection_pool=self._pool(node), single_connection_client=True)
        client.auto_close_connection_pool = True
        return client

    def _pool(self, node: Node) -> ConnectionPool:
        return ConnectionPool(host=node.host, port=node.port, **self._options)

    def _owner_host(self) -> str:
        return self._owner.host if self._owner else ""


class _OwnersPipeline(Pipeline):
    """Commands on their way to the owner, who may be gone."""

    def __init__(self, client: SlotClient, transaction: bool, shard_hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send them."""
        try:
            return super().execute(raise_on_error)
        except (ConnectionError, TimeoutError):
            self._client.forget_owner()
            raise
