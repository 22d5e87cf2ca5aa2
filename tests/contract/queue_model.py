"""What the scripts promise, in plain Python: the state of a queue, and what each act must answer.

The state machine does the same to this and to Redis and compares. It is written from the promises (worker/README.md)
and not from the scripts, and knows nothing of Redis but that a stream is ordered and an entry is pending to one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streamtag.core.job import Job
from streamtag.core.records import JobStatus

OVER = (JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED)


@dataclass
class ModelEntry:
    """An entry of the queue."""

    job_id: str
    readable: bool  # whether it is a job, or only names one
    pending_to: str = ""  # empty until it is delivered
    silent: bool = False  # for longer than a lease


@dataclass
class ModelJob:
    """A job that Redis knows."""

    job: Job | None  # None where nothing that could be read was ever submitted under its id
    entry_id: str
    status: JobStatus = JobStatus.QUEUED
    owner: str = ""
    fences: list[int] = field(default_factory=list)
    seq: int = 0
    crashes: int = 0
    blamed: list[tuple[str, int]] = field(default_factory=list)  # who is counted as a crash
    at_risk: bool = True
    cancel_asked: bool = False
    published: list[str] = field(default_factory=list)

    @property
    def plain_kept(self) -> bool:
        """Whether the job as submitted lies where readers of jobs see it: never with a secret in its source."""
        ended_well = self.status in (JobStatus.DONE, JobStatus.CANCELLED)
        return self.job is not None and not self.job.holds_secret and not ended_well

    @property
    def fence(self) -> int:
        return self.fences[-1] if self.fences else 0

    @property
    def over(self) -> bool:
        return self.status in OVER

    def is_held(self, owner: str, fence: int, entry_id: str) -> bool:
        return (self.owner, self.fence, self.entry_id) == (owner, fence, entry_id)


class QueueModel:
    """All jobs and entries. Every act returns the answer that Redis must give."""

    def __init__(self) -> None:
        self.jobs: dict[str, ModelJob] = {}
        self.entries: dict[str, ModelEntry] = {}
        self.letters: list[str] = []  # job or entry ids, oldest first

    def add_entry(self, entry_id: str, job_id: str, readable: bool = True) -> None:
        self.entries[entry_id] = ModelEntry(job_id, readable)

    def pending_to(self, worker: str) -> set[str]:
        return {entry_id for entry_id, entry in self.entries.items() if entry.pending_to == worker}

    def silent(self) -> set[str]:
        return {entry_id for entry_id, entry in self.entries.items() if entry.pending_to and entry.silent}

    def is_current(self, job_id: str, owner: str, fence: int, entry_id: str) -> bool:
        """Whether that claim is the one that counts."""
        job = self.jobs.get(job_id)
        return job is not None and not job.over and job.is_held(owner, fence, entry_id)

    def acquire(self, worker: str, entry_id: str, job: Job) -> str:
        """``OK``, ``LOST``, ``DUPLICATE`` or ``CANCELLED``."""
        entry = self.entries.get(entry_id)
        if entry is None or entry.pending_to != worker:
            return "LOST"
        known = self.jobs.get(job.job_id)
        if known and (known.over or (known.entry_id != entry_id and known.entry_id in self.entries)):
            del self.entries[entry_id]
            return "DUPLICATE"
        if known and known.cancel_asked:
            self._end(known, entry_id, JobStatus.CANCELLED)
            return "CANCELLED"
        if known is None:
            known = self.jobs[job.job_id] = ModelJob(job, entry_id)
        elif known.status is JobStatus.RUNNING and known.owner != worker and known.at_risk:
            known.crashes += 1
            known.blamed.append((known.owner, known.fence))
        known.fences.append(known.fence + 1)
        known.status, known.owner, known.entry_id, known.at_risk = JobStatus.RUNNING, worker, entry_id, True
        return "OK"

    def take(self, job_id: str, owner: str, fence: int, entry_id: str, taker: str) -> str:
        """Of what was offered: ``OK``, ``LOST`` or ``CANCELLED``."""
        job, entry = self.jobs.get(job_id), self.entries.get(entry_id)
        if job is None or job.status is not JobStatus.RUNNING or entry is None or not entry.pending_to:
            return "LOST"
        if job.is_held(taker, fence + 1, entry_id):
            return "OK"  # asked again
        if not job.is_held(owner, fence, entry_id) or entry.pending_to != owner:
            return "LOST"
        if job.cancel_asked:
            return "CANCELLED"
        job.fences.append(fence + 1)
        job.owner, job.at_risk = taker, True
        self._hear(entry_id, taker)
        return "OK"

    def commit(self, job_id: str, owner: str, fence: int, entry_id: str, ids: list[str], at_risk: bool) -> str:
        """``OK``, ``LOST`` or ``CANCELLED``."""
        job = self.jobs.get(job_id)
        if job is None or not job.is_held(owner, fence, entry_id) or job.status is not JobStatus.RUNNING:
            return "LOST"
        if job.cancel_asked:
            return "CANCELLED"
        job.seq, job.at_risk = job.seq + 1, at_risk
        job.published += ids
        if ids:
            job.crashes, job.blamed = 0, []
        self._hear(entry_id, owner)
        return "OK"

    def renew(self, job_id: str, owner: str, fence: int, entry_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None or not job.is_held(owner, fence, entry_id):
            return "LOST"
        if job.cancel_asked and not job.over:
            return "CANCELLED"
        self._hear(entry_id, owner)
        return "OK"

    def end(self, job_id: str, owner: str, fence: int, entry_id: str, status: JobStatus) -> str:
        """Finish, or become a dead letter: ``OK`` or ``LOST``."""
        job = self.jobs.get(job_id)
        if job is None or not job.is_held(owner, fence, entry_id):
            return "LOST"
        if not job.over:
            self._end(job, entry_id, status)
            if status is JobStatus.FAILED:
                self.letters.append(job_id)
        return "OK"

    def release(self, job_id: str, owner: str, fence: int, entry_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "LOST"
        if job.status is JobStatus.QUEUED and job.is_held("", fence, entry_id):
            return "OK"
        if job.status is not JobStatus.RUNNING or not job.is_held(owner, fence, entry_id):
            if (owner, fence) in job.blamed and job.crashes:
                job.blamed.remove((owner, fence))
                job.crashes -= 1
            return "LOST"
        job.status, job.owner = JobStatus.QUEUED, ""
        self._hear(entry_id, owner)
        if entry_id in self.entries:
            self.entries[entry_id].silent = True
        return "OK"

    def cancel(self, job_id: str) -> str:
        """The word that the producer hears."""
        job = self.jobs.get(job_id)
        if job is None:
            return "UNKNOWN"
        if job.over:
            return str(job.status)
        if job.status is JobStatus.RUNNING:
            job.cancel_asked = True
            return "cancelling"
        self._end(job, job.entry_id, JobStatus.CANCELLED)
        return "cancelled"

    def reject(self, worker: str, entry_id: str, named: str) -> None:
        """An entry that is no job becomes a dead letter, under the id it names unless that is another's."""
        entry = self.entries.get(entry_id)
        if entry is None or entry.pending_to != worker:
            return
        del self.entries[entry_id]
        known = self.jobs.get(named)
        if known is not None:
            self.letters.append(entry_id)
            return
        self.jobs[named] = ModelJob(None, entry_id, JobStatus.FAILED)
        self.letters.append(named)

    def requeue(self, number: int, entry_id: str, source_given: bool) -> str:
        """``OK``, or why not."""
        job = self.jobs.get(self.letters[number])
        if job is None or job.job is None:
            return "GONE"
        if job.status is not JobStatus.FAILED:
            return "OTHER"
        if not job.plain_kept and not source_given:
            return "SECRET"
        job.status, job.entry_id, job.owner, job.crashes, job.blamed = JobStatus.QUEUED, entry_id, "", 0, []
        job.cancel_asked = False
        self.add_entry(entry_id, self.letters.pop(number))
        return "OK"

    def _hear(self, entry_id: str, owner: str) -> None:
        if entry_id in self.entries:
            self.entries[entry_id].pending_to, self.entries[entry_id].silent = owner, False

    def _end(self, job: ModelJob, entry_id: str, status: JobStatus) -> None:
        self.entries.pop(entry_id, None)
        job.status, job.cancel_asked = status, False
