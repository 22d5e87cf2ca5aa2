"""How a worker comes by jobs: new ones, those that others left behind, and its own after a lost reply."""

from __future__ import annotations

import random
from dataclasses import dataclass

from redis.exceptions import ResponseError

from streamtag.core.job import Job
from streamtag.core.records import Claim, JobStatus
from streamtag.errors import RejectJob
from streamtag.queue.connection import Connection, stamp, text
from streamtag.queue.depth import group_of
from streamtag.queue.failures import GroupMissing
from streamtag.queue.job_hash import Unreadable, read_checkpoint, shown_json
from streamtag.queue.keys import GROUP, queue_name
from streamtag.queue.published import status_event
from streamtag.settings import LeaseSettings

# A blocking read is cut into short ones: redis-py times a socket out after socket_timeout, blocking or not.
BLOCK_MS = 1000
PENDING_LOOK = 128  # entries without an owner, of which some are looked at


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
        self._connection.check_version()
        with self._connection.asking(f"XGROUP CREATE {self._keys.jobs}", of_queue=True):
            try:
                self._connection.client.xgroup_create(self._keys.jobs, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def fetch(self, count: int, block_ms: int | None = BLOCK_MS) -> list[Entry]:
        """Wait for new entries, at most ``count``; with None take what is there."""
        return self._read(">", count, block_ms)

    def next_waiting(self) -> Entry | None:
        """The entry that is read next, by whoever reads. It is left where it is."""
        client, jobs = self._connection.client, self._keys.jobs
        with self._connection.asking(f"XINFO GROUPS {jobs}", of_queue=True):
            group = group_of(client.xinfo_groups(jobs))
            first = client.xrange(jobs, f"({text(group['last-delivered-id'])}", "+", count=1) if group else []
        return Entry(text(first[0][0]), first[0][1].get(b"job")) if first else None

    def redelivered(self, count: int) -> list[Entry]:
        """Entries that were delivered to me: after a lost connection, some may be unknown here."""
        return self._read("0", count, None)

    def abandoned(self, limit: int) -> list[Entry]:
        """Entries whose owner has been silent for a lease. They still belong to it: ``take_over`` comes next.

        Of more than ``limit`` some, by chance: when many workers look for what many others left, and all reach for the
        oldest, one of them gets it and the others have asked for nothing.
        """
        idle_ms = int(self._lease.seconds * 1000)
        client, jobs = self._connection.client, self._keys.jobs
        count = max(limit, PENDING_LOOK)
        try:
            with self._connection.asking(f"XPENDING {jobs}", of_queue=True):
                pending = client.xpending_range(jobs, GROUP, min="-", max="+", count=count, idle=idle_ms)
        except GroupMissing:
            self.ensure_group()
            return []
        ids = [text(row["message_id"]) for row in pending]
        if len(ids) > limit:
            ids = random.sample(ids, limit)
        if not ids:
            return []
        with self._connection.asking(f"XRANGE {jobs}", of_queue=True):
            with client.pipeline(transaction=False) as pipeline:
                for entry_id in ids:
                    pipeline.xrange(jobs, entry_id, entry_id)
                found = dict(zip(ids, pipeline.execute(), strict=True))
            for entry_id in ids:
                if not found[entry_id]:
                    # Deleted while pending, by hand perhaps: nothing is left to work on.
                    client.xack(jobs, GROUP, entry_id)
        return [Entry(entry_id, entry[0][1].get(b"job")) for entry_id, entry in found.items() if entry]

    def take_over(self, entry: Entry) -> bool:
        """Make an abandoned entry mine. False where another worker was faster."""
        with self._connection.asking(f"XCLAIM {self._keys.jobs}", of_queue=True):
            taken = self._connection.client.xclaim(
                self._keys.jobs, GROUP, self._consumer, int(self._lease.seconds * 1000), [entry.entry_id], justid=True
            )
        return bool(taken)

    def crashes(self, job_id: str) -> int:
        """Crashes that would count against a job if it were acquired now: its present owner has been silent."""
        with self._connection.asking(f"HMGET {self._keys.job(job_id)}"):
            names = ("crashes", "status", "at_risk")
            crashes, status, at_risk = self._connection.client.hmget(self._keys.job(job_id), names)
        counted = int(crashes) if crashes and crashes.isdigit() else 0  # else acquiring it will say what is wrong
        return counted + int(status == b"running" and at_risk != b"0")

    def acquire(self, entry: Entry) -> Claim | None:
        """The right to work on an entry of mine; None where it is no longer mine or its job is over.

        Raises:
            RejectJob: it is not a job, or not one for this queue, or what is stored of it cannot be read.
            QueueRefused: the keys of the job are in the way.
        """
        job = self.parse(entry)
        keys, settings = self._keys, self._connection.settings
        cancelled = status_event(job.named, job.name, JobStatus.CANCELLED, None, 0.0)
        answer = self._connection.script(
            "acquire",
            [keys.jobs, keys.job(job.job_id), keys.events, keys.results(job.job_id)],
            [
                GROUP,
                self._consumer,
                entry.entry_id,
                stamp(),
                settings.expire_s,
                cancelled,
                settings.events_maxlen,
                job.to_json(),
                shown_json(job),
                int(job.holds_secret),
            ],
        )
        if answer[0] != b"OK":
            return None
        _, fence, crashes, deliveries, stored = answer
        try:
            checkpoint = read_checkpoint(stored)
        except Unreadable as error:
            raise RejectJob(f"what is stored of job {job.job_id} cannot be read: {error}") from None
        return Claim(job, entry.entry_id, int(fence), int(crashes), checkpoint, int(deliveries))

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
        """Leave the group, unless something is still pending to me. The heartbeat must have ended."""
        self._retire([self._consumer])

    def retire_others(self) -> list[str]:
        """Remove what workers that were killed left behind: their names in the group, where nothing is pending."""
        with self._connection.asking(f"XINFO CONSUMERS {self._keys.jobs}", of_queue=True):
            names = [text(row["name"]) for row in self._connection.client.xinfo_consumers(self._keys.jobs, GROUP)]
        return self._retire([name for name in names if name != self._consumer])

    def _retire(self, consumers: list[str]) -> list[str]:
        if not consumers:
            return []
        keys = [self._keys.jobs, *(self._keys.worker(name) for name in consumers)]
        return [text(name) for name in self._connection.script("retire", keys, [GROUP, *consumers])[1:]]

    def _read(self, start: str, count: int, block_ms: int | None) -> list[Entry]:
        try:
            waits = block_ms is not None
            with self._connection.asking(f"XREADGROUP {self._keys.jobs}", of_queue=True, at_once=not waits):
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
