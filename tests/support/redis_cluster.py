"""A cluster of real servers: three masters, a replica of each."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from redis.crc import key_slot

from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, ServerGroup
from tests.support.waiting import eventually

# A node is taken for dead, and its replica promoted, after about twice this.
NODE_TIMEOUT_MS = 1000


class RedisCluster(ServerGroup):
    """Six nodes on 127.0.0.1."""

    def __init__(self, executable: str, folder: Path) -> None:
        self.nodes = []
        for number in range(6):
            place = folder / f"node-{number}"
            place.mkdir(parents=True)
            options = ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)]
            # The bus's own port would be 10,000 above, which is no port any more for some.
            options += ["--cluster-port", str(free_port())]
            self.nodes.append(RedisServer(executable, place, *options))

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{node.port}" for node in self.nodes]

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def owner(self, key: str, asked: RedisServer | None = None) -> RedisServer:
        """The master that holds a key."""
        slot = key_slot(key.encode())
        for first, last, master, *_ in self.slots(asked):
            if first <= slot <= last:
                return self._node(int(master[1]))
        raise AssertionError(f"nobody holds slot {slot}")

    def slots(self, asked: RedisServer | None = None) -> list[Any]:
        """``CLUSTER SLOTS`` of one node."""
        with (asked or self.nodes[0]).client() as client:
            answer: list[Any] = client.execute_command("CLUSTER SLOTS")
            return answer

    def masters(self) -> list[RedisServer]:
        """Those that hold slots."""
        return [self._node(port) for port in sorted({int(master[1]) for _, _, master, *_ in self.slots()})]

    def name(self, node: RedisServer) -> str:
        """The id of a node within the cluster."""
        with node.client() as client:
            return str(client.execute_command("CLUSTER MYID"))

    def _node(self, port: int) -> RedisServer:
        return next(node for node in self.nodes if node.port == port)

    def _is_whole(self) -> bool:
        for node in self.nodes:
            with node.client() as client:
                info: Any = client.cluster("info")
                replicas = [servers for _, _, *servers in self.slots(node) if len(servers) == 2]
                if info["cluster_state"] != "ok" or len(replicas) != 3:
                    return False
        return True

    def _cli(self, *arguments: str) -> None:
        program = shutil.which("redis-cli")
        assert program, "redis-cli is missing: it comes with redis-server (Debian: redis-tools)"
        done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        self._cli("--cluster", "create", *self.addresses, "--cluster-replicas", "1", "--cluster-yes")
        eventually(self._is_whole, "the cluster is complete")
