"""What a worker writes about a job it owns. Every write checks the fence first."""

from __future__ import annotations

from typing import Any

import orjson

from streamtag.core.records import Claim, JobStatus
from streamtag.core.track import Commit
from streamtag.errors import JobCancelled, LeaseLost
from streamtag.queue.claims import Entry
from streamtag.queue.connection import Connection, stamp
from streamtag.queue.keys import GROUP


class Commits:
    """Used by the commits thread alone, over a connection of its own; the claims thread has another for rejects."""

    def __init__(self, connection: Connection, consumer: str, lease_s: float) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._consumer = consumer
        self._lease_s = lease_s

    def commit(self, claim: Claim, commit: Commit, state: str, progress: float | None, detail: str = "") -> None:
        """Publish and checkpoint in one atomic step. May be repeated after a lost reply: the sequence tells.

        Args:
            state: of the stream, for people.
            progress: 0 to 1 where the length is known.
            detail: why the stream is in that state.

        Raises:
            LeaseLost: another worker owns the job.
            JobCancelled: a person cancelled it.
            QueueUnavailable: unknown whether Redis has it; ask again.
        """
        checkpoint, settings = commit.checkpoint, self._connection.settings
        arguments: list[Any] = [
            GROUP,
            self._consumer,
            claim.entry_id,
            claim.fence,
            commit.expected_seq,
            stamp(),
            settings.results_maxlen,
            settings.events_maxlen,
            checkpoint.last_index,
            repr(checkpoint.last_pts_s),
            checkpoint.last_id,
            repr(checkpoint.last_captured_unix_s),
            orjson.dumps(checkpoint.counters),
            checkpoint.smoother,
            state,
            "" if progress is None else f"{progress:.4f}",
            detail,
            len(commit.results),
        ]
        for entry_id, payload in commit.results:
            arguments += (entry_id, payload)
        arguments += [len(commit.events), *commit.events, orjson.dumps(commit.active)]
        answer = self._connection.script("commit", self._job_keys(claim), arguments)
        if answer[0] == b"SEQ" and int(answer[1]) == commit.expected_seq + 1:
            return  # The fence is ours, so the step is ours too: only its reply was lost.
        if answer[0] == b"CANCELLED":
            raise JobCancelled(claim.job.job_id)
        if answer[0] != b"OK":
            raise LeaseLost(f"{claim.job.job_id}: commit refused with {answer[0].decode()}")

    def finish(self, claim: Claim, status: JobStatus, reason: str, state: str, pts_s: float) -> None:
        """End a job.

        Args:
            pts_s: presentation time of the last sample.

        Raises:
            LeaseLost: another worker owns the job.
        """
        event = self._status_event(claim, status, reason, pts_s)
        settings = self._connection.settings
        self._fenced(
            claim,
            self._connection.script(
                "finish",
                self._job_keys(claim),
                [
                    GROUP,
                    claim.entry_id,
                    claim.fence,
                    status,
                    reason,
                    stamp(),
                    settings.expire_s,
                    event,
                    settings.events_maxlen,
                    state,
                ],
            ),
        )

    def release(self, claim: Claim) -> None:
        """Hand a job back for immediate pick-up; the attempt does not count against it.

        Raises:
            LeaseLost: another worker owns the job.
        """
        idle_ms = int(self._lease_s * 1000) + 1
        keys = [self._keys.jobs, self._keys.job(claim.job.job_id)]
        arguments = [GROUP, self._consumer, claim.entry_id, claim.fence, idle_ms, stamp()]
        self._fenced(claim, self._connection.script("release", keys, arguments))

    def dead_letter(self, claim: Claim, reason: str, pts_s: float | None = None) -> None:
        """Put a job aside that can never succeed.

        Args:
            pts_s: presentation time of the last sample; by default that of the claim's checkpoint.

        Raises:
            LeaseLost: another worker owns the job.
        """
        pts_s = claim.checkpoint.last_pts_s if pts_s is None else pts_s
        event = self._status_event(claim, JobStatus.FAILED, reason, pts_s)
        job = claim.job
        answer = self._aside(
            job.job_id, claim.entry_id, str(claim.fence), reason, event, claim.attempts, job.redacted_source
        )
        self._fenced(claim, answer)

    def dead_letter_entry(self, entry: Entry, reason: str) -> None:
        """Put an entry aside that is no job at all; it is known by its entry id."""
        event = {"job_id": entry.entry_id, "kind": "status", "pts_s": 0.0, "status": JobStatus.FAILED, "reason": reason}
        self._aside(entry.entry_id, entry.entry_id, "", reason, orjson.dumps(event), 1, "")

    def _aside(
        self, job_id: str, entry_id: str, fence: str, reason: str, event: bytes, deliveries: int, source: str
    ) -> list[bytes]:
        settings, keys = self._connection.settings, self._keys
        names = [keys.jobs, keys.job(job_id), keys.results(job_id), keys.events, keys.dlq]
        head = [GROUP, self._consumer, entry_id, fence, reason, stamp()]
        limits = [settings.expire_s, settings.events_maxlen, settings.dlq_maxlen]
        values = [*head, *limits, event, job_id, deliveries, source]
        reply: list[bytes] = self._connection.script("dead_letter", names, values)
        return reply

    def _job_keys(self, claim: Claim) -> list[str]:
        keys, job_id = self._keys, claim.job.job_id
        return [keys.jobs, keys.job(job_id), keys.results(job_id), keys.events]

    def _status_event(self, claim: Claim, status: JobStatus, reason: str, pts_s: float) -> bytes:
        job = claim.job
        return orjson.dumps(
            {
                "job_id": job.job_id,
                "stream": job.stream or job.job_id,
                "kind": "status",
                "pts_s": round(pts_s, 6),
                "status": status,
                "reason": reason,
            }
        )

    def _fenced(self, claim: Claim, answer: list[bytes]) -> None:
        if answer[0] != b"OK":
            raise LeaseLost(f"{claim.job.job_id}: another worker owns it by now")
