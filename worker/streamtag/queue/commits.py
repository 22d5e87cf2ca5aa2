"""What a worker writes about a job it owns. Every write checks the fence first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from streamtag.core.job import Job, find_job_id
from streamtag.core.records import Claim, JobStatus, StreamState
from streamtag.core.track import Commit
from streamtag.errors import JobCancelled, LeaseLost, QueueRefused, QueueUnavailable
from streamtag.queue.claims import Entry
from streamtag.queue.connection import Connection, stamp
from streamtag.queue.keys import GROUP
from streamtag.queue.published import status_event
from streamtag.redaction import redact

MAX_REASON = 2000
# Of the commits that are sent in one go. A server reads a request as a whole and works on one after the other; others
# come in between, but they wait for what has been read.
BATCH_STEPS = 64
BATCH_BYTES = 4 * 1024**2

CommitTrouble = LeaseLost | JobCancelled | QueueRefused | QueueUnavailable


@dataclass(frozen=True, slots=True)
class Step:
    """A commit on its way to Redis; the fields are those of ``Commits.commit``."""

    claim: Claim
    commit: Commit
    state: StreamState
    progress: float | None
    detail: str = ""


class Commits:
    """One thread's, over its connection."""

    def __init__(self, connection: Connection, consumer: str, lease_s: float) -> None:
        self._connection = connection
        self._keys = connection.keys
        self._consumer = consumer
        self._lease_s = lease_s

    def commit(
        self, claim: Claim, commit: Commit, state: StreamState, progress: float | None, detail: str = ""
    ) -> None:
        """Publish and checkpoint in one atomic step. May be repeated after a lost reply: the sequence tells.

        Args:
            state: of the stream, for people.
            progress: 0 to 1 where the length is known.
            detail: why the stream is in that state.

        Raises:
            LeaseLost: another worker owns the job.
            JobCancelled: a person cancelled it.
            QueueRefused: Redis cannot take it as it is, nor tomorrow.
            QueueUnavailable: unknown whether Redis has it; ask again.
        """
        (trouble,) = self.commit_each([Step(claim, commit, state, progress, detail)])
        if trouble is not None:
            raise trouble

    def commit_each(self, steps: Sequence[Step]) -> list[CommitTrouble | None]:
        """``commit`` of several jobs, in as few round trips as ``BATCH_STEPS`` and ``BATCH_BYTES`` allow. Each is a
        step of its own, and harms no other.

        Returns:
            For each what ``commit`` would have raised, or None. Once Redis gives no answer, no more are asked for.
        """
        troubles: list[CommitTrouble | None] = []
        for batch in _batches(steps):
            calls = [(self._job_keys(step.claim), self._arguments(step)) for step in batch]
            answers = self._connection.script_each("commit", calls)
            troubles += [_trouble(step, answer) for step, answer in zip(batch, answers, strict=True)]
            if all(isinstance(answer, QueueUnavailable) for answer in answers):
                return troubles + [troubles[-1]] * (len(steps) - len(troubles))
        return troubles

    def _arguments(self, step: Step) -> list[Any]:
        claim, commit = step.claim, step.commit
        checkpoint, settings = commit.checkpoint, self._connection.settings
        live = claim.job.is_live  # once: it looks at the source
        arguments: list[Any] = [
            GROUP,
            self._consumer,
            claim.entry_id,
            claim.fence,
            commit.expected_seq,
            stamp(),
            # Each result of a finite job is promised, so none is trimmed; a live job would grow for ever.
            settings.results_maxlen if live else "",
            settings.events_maxlen,
            checkpoint.last_index,
            repr(checkpoint.last_pts_s),
            checkpoint.last_id,
            repr(checkpoint.last_captured_unix_s),
            orjson.dumps(checkpoint.counters.to_dict()),
            checkpoint.smoother,
            step.state,
            "" if step.progress is None else f"{step.progress:.4f}",
            step.detail,
            int(_at_risk(live, step.state)),
            len(commit.results),
        ]
        for entry_id, payload in commit.results:
            arguments += (entry_id, payload)
        ends = [_lag(commit) if live else "", orjson.dumps(commit.active), self._oldest_kept() if live else ""]
        return [*arguments, len(commit.events), *commit.events, *ends]

    def finish(self, claim: Claim, status: JobStatus, reason: str, state: str, pts_s: float) -> None:
        """End a job.

        Args:
            pts_s: presentation time of the last sample.

        Raises:
            LeaseLost: another worker owns the job.
        """
        job = claim.job
        event = status_event(job.named, job.name, status, reason, pts_s)
        settings = self._connection.settings
        self._fenced(
            claim,
            self._connection.script(
                "finish",
                self._job_keys(claim),
                [
                    GROUP,
                    self._consumer,
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
        """Hand a job back for immediate pick-up. Of a job that is lost, say that I live: it was no crash.

        Raises:
            LeaseLost: another worker owns the job.
        """
        idle_ms = int(self._lease_s * 1000) + 1
        keys = [self._keys.jobs, self._keys.job(claim.job.job_id)]
        arguments = [GROUP, self._consumer, claim.entry_id, claim.fence, idle_ms, stamp()]
        self._fenced(claim, self._connection.script("release", keys, arguments))

    def dead_letter(self, claim: Claim, reason: str, pts_s: float | None = None) -> None:
        """End a job that can never succeed, with its reason among the dead letters.

        Args:
            pts_s: presentation time of the last sample; by default that of the claim's checkpoint.

        Raises:
            LeaseLost: another worker owns the job.
        """
        job = claim.job
        pts_s = claim.checkpoint.last_pts_s if pts_s is None else pts_s
        self._fenced(claim, self._dead_letter(job.job_id, claim.entry_id, str(claim.fence), reason, job, pts_s))

    def dead_letter_entry(self, entry: Entry, reason: str) -> None:
        """End an entry that never became a claim. Its producer hears of it by the job's id, where it has one."""
        job_id = find_job_id(entry.raw or b"") or entry.entry_id
        self._dead_letter(job_id, entry.entry_id, "", reason)

    def _dead_letter(
        self, job_id: str, entry_id: str, fence: str, reason: str, job: Job | None = None, pts_s: float = 0.0
    ) -> list[bytes]:
        settings, keys = self._connection.settings, self._keys
        reason = redact(reason)[:MAX_REASON]
        told_of_job, told_of_entry = (
            status_event(of, stream, JobStatus.FAILED, reason, pts_s)
            for of, stream in (
                (job.named if job else {"job_id": job_id}, job.name if job else job_id),
                ({"job_id": entry_id}, entry_id),
            )
        )
        names = [keys.jobs, keys.job(job_id), keys.results(job_id), keys.events, keys.dlq]
        limits = [settings.expire_s, settings.events_maxlen, settings.dlq_maxlen]
        answer: list[bytes] = self._connection.script(
            "dead_letter",
            names,
            [
                GROUP,
                self._consumer,
                entry_id,
                fence,
                reason,
                stamp(),
                *limits,
                job_id,
                told_of_job,
                job.redacted_source if job else "",
                told_of_entry,
            ],
        )
        return answer

    def _oldest_kept(self) -> str:
        """The id before which a live job's results go; empty where all stay. They begin with Unix time."""
        age_s = self._connection.settings.results_max_age_s
        return "" if age_s is None else str(int((time.time() - age_s) * 1000))

    def _job_keys(self, claim: Claim) -> list[str]:
        keys, job_id = self._keys, claim.job.job_id
        return [keys.jobs, keys.job(job_id), keys.results(job_id), keys.events]

    def _fenced(self, claim: Claim, answer: list[bytes]) -> None:
        if answer[0] != b"OK":
            raise LeaseLost(f"{claim.job.job_id}: another worker owns it by now")


def _batches(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """The steps in order, cut where the next would be too much for one request; at least one in each."""
    batch: list[Step] = []
    size_bytes = 0
    for step in steps:
        commit = step.commit
        own_bytes = len(commit.checkpoint.smoother) + sum(len(payload) for _, payload in commit.results)
        own_bytes += sum(map(len, commit.events))
        if batch and (len(batch) >= BATCH_STEPS or size_bytes + own_bytes > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(step)
        size_bytes += own_bytes
    if batch:
        yield batch


def _trouble(step: Step, answer: Any) -> CommitTrouble | None:
    """What an answer to a commit means; None where Redis has it."""
    if isinstance(answer, QueueRefused | QueueUnavailable):
        return answer
    if answer[0] == b"OK":
        return None
    if answer[0] == b"SEQ" and answer[1] == b"%d" % (step.commit.expected_seq + 1):
        return None  # The fence is ours, so the step is ours too: only its reply was lost.
    job_id = step.claim.job.job_id
    if answer[0] == b"CANCELLED":
        return JobCancelled(job_id)
    return LeaseLost(f"{job_id}: commit refused with {answer[0].decode()}")


def _lag(commit: Commit) -> str:
    """Seconds from the capture of the newest of a live job's results to now; empty where there is none."""
    captured_unix_s = commit.captured_unix_s
    return f"{max(0.0, time.time() - max(captured_unix_s)):.3f}" if captured_unix_s else ""


def _at_risk(live: bool, state: StreamState) -> bool:
    """Whether frames of it may bring a worker down: a live source that is being connected to has none."""
    return state.is_decoding and not (live and state is StreamState.CONNECTING)
