"""The commits thread: smooths scores, publishes results, ends jobs. The only one that writes about a running job."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import numpy as np

from streamtag.core.boundary import JobBoundary
from streamtag.core.gaps import GapNoticed
from streamtag.core.recording import record_batch, record_reused
from streamtag.core.records import Claim, JobEnd, JobStatus, StreamState
from streamtag.core.stream_state import Outcome, OutcomeKind, StateChanged
from streamtag.errors import JobCancelled, LeaseLost, QueueRefused, QueueUnavailable
from streamtag.ingest.stream import Unclassified
from streamtag.logs import log
from streamtag.metrics import Metrics
from streamtag.pipeline.commit_round import CommitRound
from streamtag.pipeline.gathering import shared_period_s
from streamtag.pipeline.outage import Outage
from streamtag.pipeline.picture_box import PictureBox
from streamtag.pipeline.run import Classified, Mailbox, Message, Reused, Run, RunNews, Runs
from streamtag.queue.claims import Entry
from streamtag.queue.session import QueueSession
from streamtag.settings import WorkerSettings

IDLE_S = 0.1
PATIENCE_S = 1.0  # at most, where nothing is to be done: what is to be done at once wakes the thread
PROGRESS_S = 1.0
RECORD_ROWS = 32  # samples that are smoothed together: no more than the cache holds
LOST_LIMIT = 1000


class CommitLoop:
    """Takes in what came of all runs, and commits each when its time has come.

    Args:
        kill_stream: stops the decoder of a job that ends here.
        box: hears which labels became active.
        gathered_s: how long intake lets samples come together, so how long it takes until the next come.
    """

    def __init__(
        self,
        session: QueueSession,
        runs: Runs,
        mailbox: Mailbox,
        settings: WorkerSettings,
        metrics: Metrics,
        kill_stream: Callable[[Run], None],
        outage: Outage,
        box: PictureBox,
        gathered_s: Callable[[], float],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kill_stream = kill_stream
        self._commits = session.commits()
        self._round = CommitRound(self._commits, metrics, box, now_s)
        self._runs = runs
        self._mailbox = mailbox
        self._settings = settings
        self._metrics = metrics
        self._outage = outage
        self._gathered_s = gathered_s
        self._lost: deque[Claim] = deque(maxlen=LOST_LIMIT)
        self._now_s = now_s
        # When the next commits may be: from the first on if nothing more is on its way, at the second whatever comes.
        self._soonest_s = self._round_s = 0.0
        # By so much a round may be later or earlier to be in step with intake: two clocks of one period stay as they
        # meet, and what comes just after a round would wait for the next each time.
        self._half_turn_s = 0.0
        self._look_s = 0.0  # when a run is to be looked at again, if nothing comes

    def run_once(self) -> None:
        """Take in what came, then commit every job whose time has come.

        While Redis is away nothing more is taken in: the mailbox fills, and the device and the decoders wait.
        """
        if (wait_s := self._outage.wait_s()) > 0:
            self._leave_lost(self._runs.all())
            time.sleep(min(wait_s, IDLE_S))
            return
        now_s = self._now_s()
        gather_s, least_s = max(0.0, self._round_s - now_s), max(0.0, self._soonest_s - now_s)
        patience_s = max(0.001, self._look_s - now_s, gather_s)
        self._take_all(self._mailbox.take(patience_s, gather_s, least_s, self._half_turn_s))
        try:
            wrote = self._look_at_all(self._now_s())
        except QueueUnavailable as error:
            self._look_s = 0.0
            self._outage.failed(error)
        else:
            if wrote:
                self._outage.answered()

    def _look_at_all(self, now_s: float) -> bool:
        """End what is over and commit what is due. Whether anything was written."""
        wrote, due = False, []
        runs = self._leave_lost(self._runs.all())
        self._release_lost()
        self._look_s = now_s + PATIENCE_S
        for run in runs:
            if (run.failure or run.cancelled or run.outcome is not None) and self._ends(run):
                wrote = True
            elif (due_s := self._due_s(run)) > now_s:
                self._look_s = min(self._look_s, due_s)
            elif not run.over:
                due.append(run)
        return self._commit_due(due, now_s) or wrote

    def _leave_lost(self, runs: list[Run]) -> list[Run]:
        """Without those that are another worker's by now."""
        lost = [run for run in runs if run.lease_lost]
        for run in lost:
            self._lost.append(run.claim)
            self._leave(run, JobEnd.MOVED if run.offered_to else JobEnd.LOST)
        return [run for run in runs if not run.lease_lost] if lost else runs

    def _release_lost(self) -> None:
        """Say of jobs that this worker gave up by itself, in an outage perhaps, that they were no crash."""
        while self._lost:
            with suppress(LeaseLost, QueueRefused):
                self._commits.release(self._lost[0])
            self._lost.popleft()

    def _take_all(self, messages: Sequence[Message]) -> None:
        """In order; scores that follow one another together, since their arithmetic is by batch."""
        batches: list[Classified] = []
        rows = 0
        for message in messages:
            if batches and (isinstance(message, RunNews) or rows >= RECORD_ROWS):
                self._record(batches)
                batches, rows = [], 0
            if isinstance(message, RunNews):
                self._hear(message)
            else:
                batches.append(message)
                rows += len(message.items)
        if batches:
            self._record(batches)

    def _hear(self, news: RunNews) -> None:
        if not news.run.over:
            with JobBoundary(partial(self._fail, news.run)):
                self._take_in(news)

    def _take_in(self, news: RunNews) -> None:
        run, track = news.run, news.run.track
        match news.event:
            case Reused(sample, number):
                record_reused(track, sample, number, self._settings.top_k)
                self._metrics.reused.labels(run.kind).inc()
            case Unclassified(sample, dropped=True, reason=reason):
                track.drop(sample, reason)
                self._metrics.dropped.labels(reason, run.kind).inc()
            case Unclassified(sample, reason=reason, detail=detail):
                track.fail(sample, reason, detail)
                self._metrics.failed.labels(reason, run.kind).inc()
            case StateChanged(state, detail):
                run.state, run.detail, run.dirty = state, detail, True
                track.event("state", state=state, detail=detail)
            case GapNoticed(reason, span_unix_s):
                since_unix_s, until_unix_s = span_unix_s or (None, news.unix_s)
                track.gap(until_unix_s, reason, since_unix_s)
                self._metrics.gaps.labels(reason).inc()
            case Outcome():
                run.outcome = news.event

    def _record(self, batches: Sequence[Classified]) -> None:
        items = [item for batch in batches for item in batch.items]
        scores = batches[0].scores if len(batches) == 1 else np.concatenate([batch.scores for batch in batches])
        rows = [row for row, item in enumerate(items) if not item.run.over]
        if not rows:
            return
        if len(rows) < len(items):
            items, scores = [items[row] for row in rows], scores[rows]
        failed = record_batch(
            [item.run.track for item in items], [item.sample for item in items], scores, self._settings.top_k
        )
        for row, error in failed:
            self._fail(items[row].run, error)

    def _fail(self, run: Run, error: Exception) -> None:
        """End a job for what went wrong about it: the next step makes it a dead letter."""
        self._look_s = 0.0
        if not run.failure:
            refused = isinstance(error, QueueRefused)
            run.failure = str(error) if refused else f"internal error: {type(error).__name__}: {error}"
            log.error("job failed within the worker", **run.named, exc_info=None if refused else error)
            self._kill_stream(run)

    def _ends(self, run: Run) -> bool:
        with JobBoundary(partial(self._fail, run)):
            return self._end_if_over(run)
        return False

    def _end_if_over(self, run: Run) -> bool:
        """End a job once everything of it is committed, or nothing more may be. False where it goes on."""
        if run.lease_lost:
            return False
        try:
            if run.failure:
                self._give_up(run)
            elif run.cancelled:
                self._commits.finish(
                    run.claim, JobStatus.CANCELLED, "cancelled", StreamState.ENDED, run.track.last_pts_s
                )
                self._leave(run, JobEnd.CANCELLED)
            elif run.outcome is not None and run.track.counters.handled >= run.outcome.sampled:
                self._end(run, run.outcome)
            else:
                return False
        except (LeaseLost, JobCancelled) as error:
            self._no_longer_ours(run, error)
        return True

    def _no_longer_ours(self, run: Run, error: LeaseLost | JobCancelled) -> None:
        self._look_s = 0.0
        run.lease_lost = run.lease_lost or isinstance(error, LeaseLost)
        run.cancelled = run.cancelled or isinstance(error, JobCancelled)
        self._kill_stream(run)

    def _due_s(self, run: Run) -> float:
        """When it is to be committed, as it stands. Of most runs there is nothing to say, so that is asked first."""
        if not (run.dirty or run.track.has_pending):
            return max(self._soonest_s, run.next_commit_s + PROGRESS_S)
        if run.track.pending_results >= self._settings.commit_results:
            return 0.0
        return max(self._soonest_s, run.next_commit_s - self._half_turn_s)

    def _commit_due(self, runs: Sequence[Run], now_s: float) -> bool:
        """Commit what is due of these jobs, all in one round trip. False where nothing was due.

        The next such round is a period later, or half of one where all that was on its way has come. Where intake lets
        samples come together (``Gathering``), their results have been in company and wait for no more of it.
        """
        if not runs:
            return False
        turn_s, commit_s = self._gathered_s(), self._settings.commit_s
        step_s = min(commit_s, turn_s or commit_s)
        self._round_s = now_s + min(step_s, shared_period_s(commit_s, len(self._runs)))
        self._soonest_s, self._half_turn_s = 0.5 * (now_s + self._round_s), 0.5 * turn_s
        for run, trouble in self._round.commit(runs, now_s + step_s):
            if isinstance(trouble, LeaseLost | JobCancelled):
                self._no_longer_ours(run, trouble)
            elif trouble is not None:
                self._fail(run, trouble)
            elif run.track.has_pending:  # it came while the commit before was not known to be in Redis
                self._look_s = min(self._look_s, run.next_commit_s)
        return True

    def _commit_all(self, run: Run) -> None:
        """
        Raises:
            LeaseLost, JobCancelled, QueueRefused, QueueUnavailable: see ``Commits.commit``.
        """
        while True:
            ((_, trouble),) = self._round.commit([run], 0.0)
            if trouble is not None:
                raise trouble
            if not run.track.has_pending:
                return

    def _end(self, run: Run, outcome: Outcome) -> None:
        """Everything that was sampled is accounted for: commit the rest and say how the job ended."""
        if outcome.kind is OutcomeKind.STOPPED:
            self._commit_all(run)
            self._commits.release(run.claim)
            self._leave(run, JobEnd.RELEASED)
            return
        track = run.track
        track.totals(outcome.decoded)
        track.close()
        self._tell_end(run, outcome)
        self._commit_all(run)
        counters = track.counters
        useless = counters.published == 0 and not counters.dropped
        if outcome.kind is OutcomeKind.REJECTED or useless:
            reason = outcome.reason or track.last_failure or "no frame of it could be decoded"
            self._commits.dead_letter(run.claim, reason, track.last_pts_s)
            self._leave(run, JobEnd.FAILED, reason)
            return
        notes = [outcome.reason] if outcome.reason else []
        if failed := sum(counters.failed.values()):
            notes.append(f"{failed} of {counters.sampled} samples failed, the last: {track.last_failure}")
        self._commits.finish(run.claim, JobStatus.DONE, "; ".join(notes), StreamState.ENDED, track.last_pts_s)
        self._leave(run, JobEnd.DONE)

    def _tell_end(self, run: Run, outcome: Outcome) -> None:
        """The last state, after the last labels have left; once, however often the end is tried."""
        ended = outcome.kind is OutcomeKind.ENDED
        state, detail = (StreamState.ENDED, "") if ended else (StreamState.FAILED, outcome.reason)
        if run.state is not state:
            run.state, run.detail = state, detail
            run.track.event("state", state=state, detail=detail)

    def _give_up(self, run: Run) -> None:
        try:
            self._commits.dead_letter(run.claim, run.failure, run.track.last_pts_s)
        except QueueRefused:
            # What is wrong about its keys is in the way of this, too: then by its entry alone.
            self._dead_letter_entry(run)
        self._leave(run, JobEnd.FAILED, run.failure)

    def _dead_letter_entry(self, run: Run) -> None:
        try:
            self._commits.dead_letter_entry(Entry(run.claim.entry_id, None), run.failure)
        except QueueRefused as error:
            log.error("job cannot be dead-lettered, it is left to its lease", **run.named, error=str(error))

    def _leave(self, run: Run, end: JobEnd, reason: str = "") -> None:
        self._runs.remove(run)
        self._metrics.jobs.labels(end).inc()
        self._metrics.leases.set(len(self._runs))
        counters = run.track.counters
        log.info(f"job {end}", **run.named, reason=reason, published=counters.published, sampled=counters.sampled)
