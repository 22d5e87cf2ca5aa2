"""How a worker comes by jobs: new ones, those that others left behind, and its own after a lost reply."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from redis.exceptions import ResponseError

from streamtag.core.job import Job
from streamtag.core.records import Checkpoint, Claim
from streamtag.errors import RejectJob
from streamtag.queue.connection import Connection, stamp, text
from streamtag.queue.failures import GroupMissing
from streamtag.queue.keys import GROUP, queue_name
from streamtag.settings import LeaseSettings

# A blocking read is cut into short ones: redis-py times a socket out after socket_timeout, blocking or not.
BLOCK_MS = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """A queue entry that was delivered to this worker and not yet acquired."""

    entry_id: str
    raw: bytes | None  # the ``job`` field; None where the entry has no such field


class Claims:
    """Finds entries and acquires them. Used by the claims thread alone, over a connection of its own."""

    def __init__(self, connection: Connection, consumer: str, lease: LeaseSettings) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._consumer = consumer
        self._lease = lease

    def ensure_group(self) -> None:
        """Create the stream and its group where they are missing. From 0: jobs may be older than the first worker."""
        with self._connection.asking(f"XGROUP CREATE {self._keys.jobs}"):
            try:
                self._connection.client.xgroup_create(self._keys.jobs, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def fetch(self, count: int, block_ms: int = BLOCK_MS) -> list[Entry]:
        """Wait for new entries, at most ``count``."""
        return self._read(">", count, block_ms)

    def redelivered(self, count: int) -> list[Entry]:
        """Entries that were delivered to me: after a lost connection, some may be unknown here."""
        return self._read("0", count, None)

    def abandoned(self, limit: int) -> list[Entry]:
        """Entries whose owner has been silent for a lease. They still belong to it: ``take_over`` comes next."""
        idle_ms = int(self._lease.seconds * 1000)
        client, jobs = self._connection.client, self._keys.jobs
        try:
            with self._connection.asking(f"XPENDING {jobs}"):
                pending = client.xpending_range(jobs, GROUP, min="-", max="+", count=limit, idle=idle_ms)
        except GroupMissing:
            self.ensure_group()
            return []
        with self._connection.asking(f"XRANGE {jobs}"):
            entries = []
            for row in pending:
                entry_id = text(row["message_id"])
                found = client.xrange(jobs, entry_id, entry_id)
                if found:
                    entries.append(Entry(entry_id, found[0][1].get(b"job")))
                else:
                    # Deleted while pending, by hand perhaps: nothing is left to work on.
                    client.xack(jobs, GROUP, entry_id)
            return entries

    def take_over(self, entry: Entry) -> bool:
        """Make an abandoned entry mine. False where another worker was faster."""
        with self._connection.asking():
            taken = self._connection.client.xclaim(
                self._keys.jobs, GROUP, self._consumer, int(self._lease.seconds * 1000), [entry.entry_id], justid=True
            )
        return bool(taken)

    def crashes(self, job_id: str) -> int:
        """Attempts of a job since it last made progress."""
        with self._connection.asking():
            return int(self._connection.client.hget(self._keys.job(job_id), "attempts") or 0)

    def acquire(self, entry: Entry) -> Claim | None:
        """The right to work on an entry of mine; None where it is no longer mine or its job is over.

        Raises:
            RejectJob: it is not a job, or not one for this queue.
        """
        job = self.parse(entry)
        keys = self._keys
        cancelled = {"job_id": job.job_id, "kind": "status", "status": "cancelled", "pts_s": 0.0}
        answer = self._connection.script(
            "acquire",
            [keys.jobs, keys.job(job.job_id), keys.events, keys.results(job.job_id)],
            [
                GROUP,
                self._consumer,
                entry.entry_id,
                stamp(),
                job.to_json(),
                orjson.dumps(cancelled),
                self._connection.settings.events_maxlen,
                self._connection.settings.expire_s,
            ],
        )
        if answer[0] != b"OK":
            return None
        return Claim(job, entry.entry_id, int(answer[1]), int(answer[2]), _checkpoint(answer[3]))

    def parse(self, entry: Entry) -> Job:
        """
        Raises:
            RejectJob: the entry is no job, or one for another model.
        """
        if entry.raw is None:
            raise RejectJob("the queue entry has no field 'job'; submit jobs with `streamtag submit` or the client")
        try:
            job = Job.from_json(entry.raw)
        except ValueError as error:
            raise RejectJob(str(error)) from None
        if job.model and queue_name(job.model) != queue_name(self._keys.model):
            raise RejectJob(
                f"unknown model {job.model!r}: this queue serves {self._keys.model!r}; "
                f"submit it with --model {job.model}"
            )
        return job

    def retire(self) -> None:
        """Leave the group, unless something is still pending to me."""
        self._connection.script("retire", [self._keys.jobs], [GROUP, self._consumer])

    def _read(self, start: str, count: int, block_ms: int | None) -> list[Entry]:
        try:
            with self._connection.asking(f"XREADGROUP {self._keys.jobs}"):
                answer = self._connection.client.xreadgroup(
                    GROUP, self._consumer, {self._keys.jobs: start}, count=count, block=block_ms
                )
        except GroupMissing:
            # Redis lost the group: flushed, or failed over to a replica without it.
            self.ensure_group()
            return []
        return [
            Entry(text(entry_id), fields.get(b"job"))
            for _, found in answer or []
            for entry_id, fields in found
            if fields
        ]


def _checkpoint(values: list[bytes | None]) -> Checkpoint:
    seq, last_index, last_pts, last_id, last_captured, counters, smoother = values
    return Checkpoint(
        seq=int(seq or 0),
        last_index=int(last_index) if last_index is not None else -1,
        last_pts_s=float(last_pts or 0),
        last_id=text(last_id) or "0-0",
        last_captured_unix_s=float(last_captured or 0),
        counters=orjson.loads(counters) if counters else {},
        smoother=smoother or b"",
    )
