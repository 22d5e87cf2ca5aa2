"""Both sides of the protocol for tests: a queue of a test's own, and workers that are only their Redis calls."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from streamtag.configuration import load
from streamtag.core.job import Job
from streamtag.core.records import Checkpoint, Claim, JobStatus
from streamtag.core.track import Commit
from streamtag.queue.claims import Claims
from streamtag.queue.commits import Commits
from streamtag.queue.connection import Connection
from streamtag.queue.keys import Keys
from streamtag.queue.leases import Leases
from streamtag.queue.producer import Producer
from streamtag.settings import LeaseSettings, Settings

LEASE = LeaseSettings(seconds=0.6, stop_after_s=0.4, renew_s=0.1)


@dataclass
class Side:
    """One worker's view of the queue."""

    claims: Claims
    commits: Commits
    leases: Leases

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


class Queue:
    def __init__(self, url: str, **options: object) -> None:
        values = {"redis.url": url, "redis.prefix": f"t{uuid.uuid4().hex[:10]}"} | options
        self.settings: Settings = load(None, values)[0]
        self.keys = Keys(self.settings.redis.prefix, "m", self.settings.redis.shard)
        self.connection = Connection(self.settings.redis, self.keys)
        self.producer = Producer(self.connection)

    def worker(self, name: str) -> Side:
        claims = Claims(self.connection, name, LEASE)
        claims.ensure_group()
        return Side(claims, Commits(self.connection, name, LEASE.seconds), Leases(self.connection, name))

    def submit(self, job_id: str = "j", source: str = "clip.mp4") -> JobStatus:
        return self.producer.submit(Job(job_id, source))

    def waiting(self) -> int:
        return int(self.connection.client.xlen(self.keys.jobs))


def step(seq: int, *ids: str, index: int = 0, events: int = 0) -> Commit:
    """A commit with results of these ids."""
    payload = b'{"index":%d,"pts_s":0.0,"labels":[],"active":[]}' % index
    results = [(entry_id, payload) for entry_id in ids]
    last_id = ids[-1] if ids else "0-0"
    checkpoint = Checkpoint(seq + 1, index, 1.5, last_id, 99.0, {"decoded": 3, "sampled": 2}, b"\x00state\xff")
    return Commit(seq, results, [b'{"job_id":"j","kind":"enter","pts_s":0.0}'] * events, checkpoint)


def lapse() -> None:
    time.sleep(LEASE.seconds + 0.1)
