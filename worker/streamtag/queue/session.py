"""One thread's access to the queue."""

from __future__ import annotations

from dataclasses import dataclass

from streamtag.queue.claims import Claims
from streamtag.queue.commits import Commits
from streamtag.queue.connection import Connection
from streamtag.queue.handovers import Handovers
from streamtag.queue.heartbeats import Heartbeats
from streamtag.queue.leases import Leases
from streamtag.queue.memory import RedisMemory, read_memory
from streamtag.queue.pictures import Pictures
from streamtag.settings import LeaseSettings


@dataclass(frozen=True, slots=True)
class QueueSession:
    """A connection that no other thread uses, and in whose name it speaks."""

    connection: Connection
    consumer: str  # the worker's name in the group
    lease: LeaseSettings

    def claims(self) -> Claims:
        """To come by jobs."""
        return Claims(self.connection, self.consumer, self.lease)

    def commits(self) -> Commits:
        """To write about jobs."""
        return Commits(self.connection, self.consumer, self.lease.seconds)

    def leases(self) -> Leases:
        """To keep jobs."""
        return Leases(self.connection, self.consumer)

    def heartbeats(self) -> Heartbeats:
        """To be seen. A worker counts for as long as its jobs are its own."""
        return Heartbeats(self.connection, self.consumer, self.lease.seconds)

    def handovers(self) -> Handovers:
        """To take what others offer."""
        return Handovers(self.connection, self.consumer, self.claims())

    def pictures(self, most: int) -> Pictures:
        """To keep pictures, ``most`` of a job beside the newest."""
        return Pictures(self.connection, self.consumer, most)

    def servers(self) -> list[str]:
        """Where Sentinels or a cluster say that Redis is, host:port."""
        return self.connection.servers()

    def memory(self) -> RedisMemory:
        """How full Redis is."""
        return read_memory(self.connection)

    @property
    def memory_share(self) -> float:
        """Above which no new job is taken."""
        return self.connection.settings.memory_share


@dataclass(frozen=True, slots=True)
class QueueSessions:
    """The sessions of a worker's threads: none waits for another's reply."""

    claims: QueueSession
    commits: QueueSession
    leases: QueueSession
    sharing: QueueSession
    pictures: QueueSession
