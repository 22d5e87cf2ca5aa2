"""A queue in Redis and its model in plain Python, side by side: each act is done to both, and the answers compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from streamtag.core.job import Job
from streamtag.core.records import Checkpoint, Claim, Counters, JobStatus, Offer, StreamState
from streamtag.core.track import Commit
from streamtag.errors import JobCancelled, JobNotFound, LeaseLost, RejectJob, StreamtagError
from streamtag.queue.claims import Entry
from streamtag.queue.commits import Commits
from streamtag.queue.handovers import Handovers
from streamtag.queue.keys import GROUP
from streamtag.settings import LeaseSettings

from tests.contract.queue_model import ModelJob, QueueModel
from tests.contract.sides import Queue

SOURCES = {"film": "clip.mp4", "camera": "rtsp://cam/1", "secret": "rtsp://u:hunter2@cam/1", "other": "b.mp4"}
WORKERS = ("a", "b", "c")
PAYLOAD = b'{"index":0,"pts_s":0.0,"labels":[],"active":[]}'


@dataclass
class Hold:
    """A claim that was handed out, and how far its worker has come with it."""

    worker: str
    claim: Claim
    seq: int
    sampled: int

    @property
    def key(self) -> tuple[str, str, int, str]:
        return self.claim.job.job_id, self.worker, self.claim.fence, self.claim.entry_id


class TwoQueues:
    """
    Args:
        outcomes: what each act was answered.
    """

    def __init__(self, url: str, outcomes: Counter[str]) -> None:
        self.queue = Queue(url)
        self.client = self.queue.connection.client
        self.keys = self.queue.keys
        self.model = QueueModel()
        self.sides = {name: self.queue.worker(name, lease=LeaseSettings()) for name in WORKERS}
        self.holds: list[Hold] = []
        self.outcomes = outcomes
        self._unix_ms = 1_000_000

    def close(self) -> None:
        self.client.delete(*self.client.scan_iter(match=f"{self.queue.settings.redis.prefix}:*"), "-")
        self.queue.connection.close()

    def current(self) -> list[Hold]:
        return [hold for hold in self.holds if self.model.is_current(*hold.key)]

    def stale(self) -> list[Hold]:
        return [hold for hold in self.holds if not self.model.is_current(*hold.key)]

    # Producers.

    def submit(self, name: str) -> None:
        job, known, before = Job(name, SOURCES[name]), self.model.jobs.get(name), self._entry_ids()
        status = self.queue.producer.submit(job)
        assert status == (known.status if known else JobStatus.QUEUED)
        if known is None:
            (entry_id,) = self._entry_ids() - before
            self.model.add_entry(entry_id, name)
            self.model.jobs[name] = ModelJob(job, entry_id)

    def write_by_hand(self, name: str, readable: bool) -> None:
        text = Job(name, SOURCES[name]).to_json() if readable else f'{{"job_id": "{name}", "wrong": 1}}'
        entry_id = self.client.xadd(self.keys.jobs, {"job": text}).decode()
        self.model.add_entry(entry_id, name, readable)

    def cancel(self, name: str) -> None:
        expected = self.model.cancel(name)
        try:
            answer = self.queue.producer.cancel(name)
        except JobNotFound:
            answer = "UNKNOWN"
        assert answer == expected
        self.outcomes[f"cancel {answer}"] += 1

    def requeue(self, which: int, with_source: bool) -> None:
        letters = list(self.queue.producer.dead_letters())
        letter, before = letters[which % len(letters)], self._entry_ids()
        known = self.model.jobs.get(letter.job_id)
        # Without a job there is nothing that a source could be checked against.
        source = SOURCES.get(letter.job_id, "") if with_source and known and known.job else ""
        try:
            self.queue.producer.requeue(letter, source)
        except StreamtagError:
            answer = self.model.requeue(which % len(letters), "", bool(source))
            assert answer != "OK"
        else:
            (entry_id,) = self._entry_ids() - before
            answer = self.model.requeue(which % len(letters), entry_id, bool(source))
            assert answer == "OK"
        self.outcomes[f"requeue {answer}"] += 1

    def drop(self, which: int) -> None:
        letters = list(self.queue.producer.dead_letters())
        self.queue.producer.drop(letters[which % len(letters)])
        del self.model.letters[which % len(letters)]

    def expire(self, name: str) -> bool:
        """What Redis does by itself, a day after a job is over."""
        job = self.model.jobs.get(name)
        if job is None or not job.over:
            return False
        assert self.client.ttl(self.keys.job(name)) > 0
        self.client.delete(self.keys.job(name), self.keys.results(name))
        del self.model.jobs[name]
        return True

    # Workers.

    def fetch(self, name: str, reply_lost: bool = False) -> None:
        for entry in self.sides[name].claims.fetch(3, block_ms=None):
            model_entry = self.model.entries[entry.entry_id]
            assert model_entry.pending_to == "", "an entry is delivered as new once"
            model_entry.pending_to = name
            if not reply_lost:
                self.acquire(name, entry)

    def redelivered(self, name: str) -> list[Entry]:
        entries = self.sides[name].claims.redelivered(100)
        assert {entry.entry_id for entry in entries} == self.model.pending_to(name)
        for entry in entries:
            self.model.entries[entry.entry_id].silent = False  # who asks for its entries lives
        return entries

    def reclaim(self, name: str, which: int, pause: bool = False) -> None:
        side = self.sides[name]
        entries = side.claims.abandoned(100)
        assert {entry.entry_id for entry in entries} == self.model.silent()
        if entries:
            entry = entries[which % len(entries)]
            assert side.claims.take_over(entry)
            self.model.entries[entry.entry_id].pending_to = name
            self.model.entries[entry.entry_id].silent = False
            if not pause:
                self.acquire(name, entry)

    def acquire(self, name: str, entry: Entry, reply_lost: bool = False) -> None:
        model_entry, side = self.model.entries[entry.entry_id], self.sides[name]
        try:
            claim = side.claims.acquire(entry)
        except RejectJob as error:
            assert not model_entry.readable
            side.commits.dead_letter_entry(entry, str(error))
            self.model.reject(name, entry.entry_id, model_entry.job_id)
            return
        assert model_entry.readable
        expected = self.model.acquire(name, entry.entry_id, Job(model_entry.job_id, SOURCES[model_entry.job_id]))
        assert (claim is not None) == (expected == "OK")
        self.outcomes[f"acquire {expected}"] += 1
        if claim is None:
            return
        job, checkpoint = self.model.jobs[claim.job.job_id], claim.checkpoint
        assert (claim.fence, claim.crashes, checkpoint.seq) == (job.fence, job.crashes, job.seq)
        assert checkpoint.counters.sampled == len(job.published)
        if not reply_lost:
            self.holds.append(Hold(name, claim, checkpoint.seq, checkpoint.counters.sampled))

    def take(self, hold: Hold, taker: str, reply_lost: bool = False) -> None:
        """What a claim's worker offered, or has offered long ago."""
        job_id, owner, fence, entry_id = hold.key
        expected = self.model.take(*hold.key, taker)
        offer = Offer(job_id, entry_id, fence, taker, 1.0)
        claim = Handovers(self.queue.connection, taker, self.sides[taker].claims).take(offer, owner, hold.claim)
        assert (claim is not None) == (expected == "OK")
        self.outcomes[f"take {expected}"] += 1
        if claim is not None:
            job, checkpoint = self.model.jobs[job_id], claim.checkpoint
            assert (claim.fence, claim.crashes, checkpoint.seq) == (job.fence, job.crashes, job.seq)
            if not reply_lost:
                self.holds.append(Hold(taker, claim, checkpoint.seq, checkpoint.counters.sampled))

    def commit(self, hold: Hold, results: int, decoding: bool, reply_lost: bool = False) -> None:
        ids, step = self._next_step(hold, results)
        state = StreamState.LIVE if decoding else StreamState.RECONNECTING
        job = self.model.jobs.get(hold.claim.job.job_id)
        in_step = job is not None and job.seq == hold.seq
        expected = self.model.commit(*hold.key, ids, decoding) if in_step else "LOST"
        for _ in range(1 + reply_lost):
            answer = self._answer("commit", lambda: self._commits(hold).commit(hold.claim, step, state, None))
            assert answer == expected
        if expected == "OK":
            hold.seq, hold.sampled = hold.seq + 1, hold.sampled + len(ids)

    def renew(self, name: str) -> None:
        holds = [hold for hold in self.holds if hold.worker == name]
        answers = self.sides[name].leases.renew([hold.claim for hold in holds])
        assert answers == [self.model.renew(*hold.key) for hold in holds]
        self.outcomes.update(f"renew {answer}" for answer in answers)

    def end(self, hold: Hold, status: JobStatus) -> None:
        expected, commits = self.model.end(*hold.key, status), self._commits(hold)
        if status is JobStatus.FAILED:
            answer = self._answer(status, lambda: commits.dead_letter(hold.claim, "no"))
        else:
            answer = self._answer(status, lambda: commits.finish(hold.claim, status, "", "ended", 0.0))
        assert answer == expected

    def release(self, hold: Hold) -> None:
        expected = self.model.release(*hold.key)
        assert self._answer("release", lambda: self._commits(hold).release(hold.claim)) == expected

    def lapse(self, entry_id: str) -> None:
        """Let a lease run out without waiting for it: the entry's owner has been silent for longer."""
        owner = self.model.entries[entry_id].pending_to
        if owner:
            self.client.xclaim(self.keys.jobs, GROUP, owner, 0, [entry_id], idle=31_000, justid=True)
            self.model.entries[entry_id].silent = True

    # Both.

    def compare(self) -> None:
        """Everything that can be seen of the queue is as the model says."""
        assert self._entry_ids() == set(self.model.entries)
        assert [letter.job_id for letter in self.queue.producer.dead_letters()] == self.model.letters
        views = {view.job_id: view for view in self.queue.producer.views()}
        assert views.keys() == self.model.jobs.keys()
        for job_id, job in self.model.jobs.items():
            view, counters = views[job_id], views[job_id].counters
            assert (view.status, view.crashes) == (job.status, job.crashes)
            assert view.deliveries == len(job.fences)
            assert job.fences == sorted(set(job.fences)), "fences strictly increase"
            assert [result.id for result in self.queue.producer.results(job_id)] == job.published
            assert counters.decoded == counters.sampled + counters.skipped
            assert counters.sampled == counters.handled == len(job.published)
            assert (self.client.hget(self.keys.job(job_id), "job") is not None) == job.plain_kept

    def end_everything(self) -> None:
        """One worker ends all there is; afterwards nothing may be left over."""
        for hold in self.holds:
            self.release(hold)
        for entry_id in self.model.entries:
            self.lapse(entry_id)
        turns = 0
        while self.model.entries:
            turns += 1
            assert turns < 1000, "the queue does not become empty"
            self.holds.clear()
            self.fetch("a")
            for entry in self.redelivered("a")[:1]:
                self.acquire("a", entry)
            self.reclaim("a", 0)
            for hold in self.current():
                self.end(hold, JobStatus.DONE)
        assert self.client.xlen(self.keys.jobs) == 0
        assert self.client.xpending(self.keys.jobs, GROUP)["pending"] == 0
        assert all(job.over for job in self.model.jobs.values())
        self.compare()

    def _entry_ids(self) -> set[str]:
        return {entry_id.decode() for entry_id, _ in self.client.xrange(self.keys.jobs)}

    def _next_step(self, hold: Hold, results: int) -> tuple[list[str], Commit]:
        if hold.claim.job.is_live:
            self._unix_ms += 1
            ids = [f"{self._unix_ms}-{number}" for number in range(results)]
        else:
            ids = [f"{200 * number}-{number + 1}" for number in range(hold.sampled, hold.sampled + results)]
        done = hold.sampled + results
        account = Counters(decoded=2 * done, sampled=done, published=done)
        last_id = ids[-1] if ids else hold.claim.checkpoint.last_id
        checkpoint = Checkpoint(hold.seq + 1, 2 * done, 0.2 * done, last_id, 1.0, account, b"")
        return ids, Commit(hold.seq, [(entry_id, PAYLOAD) for entry_id in ids], [], checkpoint)

    def _commits(self, hold: Hold) -> Commits:
        return self.sides[hold.worker].commits

    def _answer(self, what: str, act: Callable[[], None]) -> str:
        try:
            act()
        except LeaseLost:
            answer = "LOST"
        except JobCancelled:
            answer = "CANCELLED"
        else:
            answer = "OK"
        self.outcomes[f"{what} {answer}"] += 1
        return answer
