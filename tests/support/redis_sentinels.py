"""A master, its replicas, and the Sentinels that watch them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, ServerGroup
from tests.support.waiting import eventually

MASTER_NAME = "tags"
DOWN_AFTER_MS = 700


class SentinelGroup(ServerGroup):
    """One master, two replicas and three Sentinels, which promote a replica about a second after the master is gone."""

    def __init__(self, executable: str, folder: Path) -> None:
        self._executable = executable
        self._folder = folder
        self.servers = [RedisServer(executable, self._made(f"server-{number}")) for number in range(3)]
        self.ports = [free_port() for _ in range(3)]
        self._sentinels: list[subprocess.Popen[bytes]] = []

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]

    def kill(self) -> None:
        for process in self._sentinels:
            process.kill()
            process.wait(10)
        for server in self.servers:
            server.kill()

    def master(self) -> RedisServer:
        """The server that the Sentinels name now."""
        with redis.Redis(port=self.ports[0], decode_responses=True, protocol=2) as client:
            address = client.sentinel_get_master_addr_by_name(MASTER_NAME)
        return next(server for server in self.servers if address and server.port == int(address[1]))

    def fail_over(self) -> None:
        """Have another server made master, as before maintenance."""
        with redis.Redis(port=self.ports[0], decode_responses=True, protocol=2) as client:
            client.sentinel_failover(MASTER_NAME)

    def _start_sentinel(self, port: int, master_port: int) -> None:
        folder = self._made(f"sentinel-{port}")
        path = folder / "sentinel.conf"
        path.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master_port} 2\n"
            f"sentinel down-after-milliseconds {MASTER_NAME} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {MASTER_NAME} 5000\n",
            encoding="utf-8",
        )
        self._sentinels.append(
            subprocess.Popen(
                [self._executable, str(path), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
            )
        )

    def _is_whole(self) -> bool:
        try:
            for port in self.ports:
                with redis.Redis(port=port, decode_responses=True, protocol=2) as client:
                    state = client.sentinel_master(MASTER_NAME)
                    if state["num-other-sentinels"] != 2 or state["num-slaves"] != 2:
                        return False
            return all(self._is_linked(server) for server in self.servers[1:])
        except redis.RedisError:
            return False

    def _is_linked(self, replica: RedisServer) -> bool:
        with replica.client() as client:
            return bool(client.info("replication").get("master_link_status") == "up")

    def _made(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(parents=True)
        return folder

    def start(self) -> None:
        master, *replicas = self.servers
        for server in self.servers:
            server.start()
        for replica in replicas:
            with replica.client() as client:
                client.replicaof("127.0.0.1", str(master.port))
        for port in self.ports:
            self._start_sentinel(port, master.port)
        eventually(self._is_whole, "Sentinels know each other and both replicas")
