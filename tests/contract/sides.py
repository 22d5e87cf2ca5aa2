"""Both sides of the protocol for tests: a queue of a test's own, and workers that are only their Redis calls."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from streamtag.configuration import load
from streamtag.core.job import Job
from streamtag.core.records import Checkpoint, Claim, Counters, JobStatus, StreamState
from streamtag.core.track import Commit
from streamtag.errors import QueueRefused, RejectJob
from streamtag.queue.claims import Claims
from streamtag.queue.commits import Commits
from streamtag.queue.connection import Connection
from streamtag.queue.heartbeats import Heartbeats
from streamtag.queue.keys import Keys
from streamtag.queue.leases import Leases
from streamtag.queue.producer import Producer
from streamtag.queue.published import DeadLetter
from streamtag.settings import LeaseSettings, Settings

LIVE = StreamState.LIVE
LEASE = LeaseSettings(seconds=0.6, stop_after_s=0.4, renew_s=0.1)


@dataclass
class Side:
    """One worker's view of the queue."""

    claims: Claims
    commits: Commits
    leases: Leases
    heartbeats: Heartbeats

    def take(self) -> Claim:
        entries = self.claims.fetch(1, block_ms=2000)
        claim = self.claims.acquire(entries[0])
        assert claim is not None
        return claim

    def take_abandoned(self) -> Claim | None:
        for entry in self.claims.abandoned(10):
            if self.claims.take_over(entry):
                return self.claims.acquire(entry)
        return None

    def take_abandoned_now(self) -> Claim:
        claim = self.take_abandoned()
        assert claim is not None
        return claim

    def take_or_reject(self) -> Claim | None:
        """What the claims thread does with an entry: what cannot be acquired becomes a dead letter."""
        (entry,) = self.claims.fetch(1, block_ms=2000) or self.claims.redelivered(1)
        try:
            return self.claims.acquire(entry)
        except (RejectJob, QueueRefused) as error:
            self.commits.dead_letter_entry(entry, str(error))
            return None


class Queue:
    def __init__(self, url: str, **options: object) -> None:
        values = {"redis.url": url, "redis.prefix": f"t{uuid.uuid4().hex[:10]}", "model.name": "m"} | options
        self.settings: Settings = load(None, values)[0]
        self.keys = Keys(self.settings.redis.prefix, self.settings.model.name, self.settings.redis.shard)
        self.connection = Connection(self.settings.redis, self.keys)
        self.producer = Producer(self.connection)

    def worker(self, name: str, heartbeat_s: float = 5.0, lease: LeaseSettings = LEASE) -> Side:
        claims = Claims(self.connection, name, lease)
        claims.ensure_group()
        return Side(
            claims,
            Commits(self.connection, name, lease.seconds),
            Leases(self.connection, name),
            Heartbeats(self.connection, name, heartbeat_s),
        )

    def submit(self, job_id: str = "j", source: str = "clip.mp4") -> JobStatus:
        return self.producer.submit(Job(job_id, source))

    def letter(self) -> DeadLetter:
        (letter,) = self.producer.dead_letters()
        return letter

    def spoil(self, field: str, value: str | bytes, job_id: str = "j") -> None:
        """Write into a job's hash what we never would."""
        self.connection.client.hset(self.keys.job(job_id), field, value)

    def occupy(self, key: str, kind: str) -> None:
        """Put something of another type where a key of ours should be."""
        client = self.connection.client
        client.delete(key)
        match kind:
            case "string":
                client.set(key, "not ours")
            case "list":
                client.rpush(key, "not ours")
            case "stream":
                client.xadd(key, {"not": "ours"})

    def dump(self) -> bytes:
        """Everything that Redis holds of this queue, as one text to look for secrets in."""
        client = self.connection.client
        found: list[object] = []
        for name in client.scan_iter(match=f"{self.settings.redis.prefix}:*"):
            match client.type(name):
                case b"hash":
                    found.append(client.hgetall(name))
                case b"stream":
                    found.append(client.xrange(name))
                case b"string":
                    found.append(client.get(name))
        return repr(found).encode()

    def waiting(self) -> int:
        return int(self.connection.client.xlen(self.keys.jobs))


def step(seq: int, *ids: str, index: int = 0, events: int = 0) -> Commit:
    """A commit with results of these ids."""
    payload = b'{"index":%d,"pts_s":0.0,"labels":[],"active":[]}' % index
    results = [(entry_id, payload) for entry_id in ids]
    last_id = ids[-1] if ids else "0-0"
    checkpoint = Checkpoint(seq + 1, index, 1.5, last_id, 99.0, Counters(3, 2, 1, {"stale": 1}), b"\x00state\xff")
    return Commit(seq, results, [b'{"job_id":"j","kind":"enter","pts_s":0.0}'] * events, checkpoint)


def lapse() -> None:
    time.sleep(LEASE.seconds + 0.1)
