"""The commits thread: smooths scores, publishes results, ends jobs. The only one that writes about a running job."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from streamtag.core.records import JobStatus
from streamtag.core.track import record_batch
from streamtag.errors import JobCancelled, LeaseLost, QueueUnavailable
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.pipeline.run import Classified, Ended, Gap, Mailbox, Message, Run, Runs, StateChange, Unclassified
from streamtag.queue.commits import Commits
from streamtag.settings import WorkerSettings

RETRY_S = 0.3
PROGRESS_S = 1.0


class Committing:
    """The commits thread: smooths what is classified and publishes it.

    Args:
        end_stream: stops the decoder of a job that is no longer ours.
    """

    def __init__(
        self,
        commits: Commits,
        runs: Runs,
        mailbox: Mailbox,
        settings: WorkerSettings,
        metrics: Metrics,
        end_stream: Callable[[Run], None],
    ) -> None:
        self._end_stream = end_stream
        self._commits = commits
        self._runs = runs
        self._mailbox = mailbox
        self._settings = settings
        self._metrics = metrics
        self._retry_s = 0.0

    def turn(self) -> None:
        """Take in what came, then commit every job whose time has come.

        While Redis is away nothing more is taken in: the mailbox fills, and the device and the decoders wait.
        """
        if time.monotonic() < self._retry_s:
            time.sleep(0.05)
        else:
            for message in self._mailbox.take(self._patience_s()):
                self._take_in(message)
        now_s = time.monotonic()
        for run in self._runs.all():
            try:
                self._step(run, now_s)
            except QueueUnavailable as error:
                self._metrics.redis_errors.labels("commits").inc()
                log.warning("commit failed, will be repeated", job_id=run.job_id, error=str(error))
                self._retry_s = time.monotonic() + RETRY_S
                return
            except (LeaseLost, JobCancelled) as error:
                run.lost = run.lost or isinstance(error, LeaseLost)
                run.cancelled = run.cancelled or isinstance(error, JobCancelled)
                self._end_stream(run)

    def _patience_s(self) -> float:
        """Until the next commit is due, at most one period."""
        due_s = min((run.next_commit_s for run in self._runs.all() if run.track.has_pending), default=float("inf"))
        return max(0.001, min(self._settings.commit_s, due_s - time.monotonic()))

    def _take_in(self, message: Message) -> None:
        if isinstance(message, Classified):
            self._record(message)
            return
        run = message.run
        if run.lost:
            return
        if isinstance(message, Unclassified):
            sample = message.sample
            if message.kind == "dropped":
                run.track.drop(sample, message.reason)
                self._metrics.dropped.labels(message.reason).inc()
            else:
                run.track.fail(sample, message.reason, message.detail)
                self._metrics.failed.labels(message.reason).inc()
        elif isinstance(message, StateChange):
            run.state, run.detail, run.changed = message.state, message.detail, True
            run.track.event("state", state=message.state, detail=message.detail)
        elif isinstance(message, Gap):
            run.track.gap(message.until_unix_s, message.reason)
        elif isinstance(message, Ended):
            run.outcome = message.outcome

    def _record(self, batch: Classified) -> None:
        rows = [row for row, item in enumerate(batch.items) if not (item.run.lost or item.run.cancelled)]
        if not rows:
            return
        items = [batch.items[row] for row in rows]
        scores = batch.scores if len(rows) == len(batch.items) else batch.scores[rows]
        record_batch([item.run.track for item in items], [item.sample for item in items], scores, self._settings.top_k)

    def _step(self, run: Run, now_s: float) -> None:
        """Commit what is due of one job, and end it once everything of it is committed."""
        if run.lost:
            self._leave(run, "lost")
            return
        if run.cancelled:
            self._commits.finish(run.claim, JobStatus.CANCELLED, "cancelled", "ended")
            self._leave(run, "cancelled")
            return
        finished = run.outcome is not None and run.track.counters.handled >= run.outcome.sampled
        if finished:
            self._end(run)
        elif self._is_due(run, now_s):
            self._commit(run, now_s)

    def _is_due(self, run: Run, now_s: float) -> bool:
        if run.track.pending_results >= self._settings.commit_results:
            return True
        if now_s < run.next_commit_s:
            return False
        return run.track.has_pending or run.changed or now_s > run.next_commit_s + PROGRESS_S

    def _commit(self, run: Run, now_s: float) -> None:
        run.changed = False
        commit = run.track.commit()
        progress = run.stream.progress if run.stream is not None else None
        began_s = time.monotonic()
        try:
            self._commits.commit(run.claim, commit, run.state, progress, run.detail)
        except (LeaseLost, JobCancelled) as error:
            self._metrics.commits.labels(type(error).__name__).inc()
            raise
        ended_s = time.monotonic()
        run.renewed_s = began_s
        run.next_commit_s = now_s + self._settings.commit_s
        self._metrics.commit_s.observe(ended_s - began_s)
        self._metrics.commits.labels("ok").inc()
        self._metrics.published.inc(len(commit.results))
        self._metrics.events.inc(len(commit.events))
        if commit.results:
            self._metrics.latency_s.observe(time.time() - np.array(commit.captured_unix_s))
        run.track.committed()

    def _commit_all(self, run: Run) -> None:
        self._commit(run, time.monotonic())
        while run.track.has_pending:
            self._commit(run, time.monotonic())

    def _end(self, run: Run) -> None:
        """Everything that was sampled is accounted for: commit the rest and say how the job ended."""
        outcome, track = run.outcome, run.track
        assert outcome is not None
        if outcome.kind == "stopped":
            self._commit_all(run)
            self._commits.release(run.claim)
            self._leave(run, "released")
            return
        track.totals(outcome.decoded)
        track.close()
        self._commit_all(run)
        counters = track.counters
        useless = counters.published == 0 and not counters.dropped
        if outcome.kind == "reject" or useless:
            reason = outcome.reason or track.last_failure or "no frame of it could be decoded"
            self._commits.dead_letter(run.claim, reason)
            self._leave(run, "failed", reason)
            return
        failed = sum(counters.failed.values())
        notes = [outcome.reason] if outcome.reason else []
        if failed:
            notes.append(f"{failed} of {counters.sampled} samples failed, the last: {track.last_failure}")
        self._commits.finish(run.claim, JobStatus.DONE, "; ".join(notes), "ended")
        self._leave(run, "done")

    def _leave(self, run: Run, outcome: str, reason: str = "") -> None:
        self._runs.remove(run)
        self._metrics.jobs.labels(outcome).inc()
        self._metrics.leases.set(len(self._runs))
        counters = run.track.counters.to_dict()
        log.info(
            f"job {outcome}",
            job_id=run.job_id,
            reason=reason,
            published=counters["published"],
            sampled=counters["sampled"],
        )
