"""The commits of several jobs in one round trip. Each stands or falls by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from streamtag.core.track import Commit
from streamtag.errors import JobCancelled, LeaseLost, QueueRefused, QueueUnavailable
from streamtag.metrics import Metrics
from streamtag.pipeline.picture_box import PictureBox
from streamtag.pipeline.run import Run
from streamtag.queue.commits import Commits, Step

_OUTCOMES: dict[type, str] = {LeaseLost: "lease_lost", JobCancelled: "cancelled", QueueRefused: "refused"}


class CommitRound:
    """Sends what jobs have to say, and notes what of it Redis has. The commits thread's.

    Args:
        box: hears which labels became active.
    """

    def __init__(self, commits: Commits, metrics: Metrics, box: PictureBox, now_s: Callable[[], float]) -> None:
        self._commits = commits
        self._metrics = metrics
        self._box = box
        self._now_s = now_s

    def commit(self, runs: Sequence[Run], next_s: float) -> list[tuple[Run, Exception | None]]:
        """
        Args:
            next_s: when these jobs are to be committed again.

        Returns:
            Each run, and what is in the way of its commit: see ``Commits.commit``; or what is wrong about it here.

        Raises:
            QueueUnavailable: of one of them at least it is unknown whether Redis has it. What is known is noted.
        """
        outcomes: list[tuple[Run, Exception | None]] = []
        steps: list[tuple[Run, Step]] = []
        for run in runs:
            try:
                steps.append((run, _step(run)))
            except MemoryError:
                raise
            except Exception as error:  # of one job: the others go on
                outcomes.append((run, error))
        began_s = self._now_s()
        troubles = self._ask([step for _, step in steps])
        self._metrics.commit_s.observe(self._now_s() - began_s)
        self._note([pair for pair, trouble in zip(steps, troubles, strict=True) if trouble is None], began_s, next_s)
        for trouble in troubles:
            if isinstance(trouble, QueueUnavailable):
                raise trouble
            if outcome := _OUTCOMES.get(type(trouble)):
                self._metrics.commits.labels(outcome).inc()
        return outcomes + [(run, trouble) for (run, _), trouble in zip(steps, troubles, strict=True)]

    def _ask(self, steps: Sequence[Step]) -> list[Exception | None]:
        try:
            return list(self._commits.commit_each(steps))
        except MemoryError:
            raise
        except Exception as error:
            if len(steps) == 1:
                return [error]
            # One of them cannot even be sent. Asked for alone, it ends alone.
            return [self._ask([step])[0] for step in steps]

    def _note(self, done: Sequence[tuple[Run, Step]], began_s: float, next_s: float) -> None:
        now_unix_s = time.time()
        captured_unix_s: dict[str, list[float]] = {}
        for run, step in done:
            run.committed_s = began_s
            run.next_commit_s = next_s
            run.progressed = run.progressed or bool(step.commit.results)
            run.track.committed()
            self._note_stream(run, step.commit, now_unix_s)
            captured_unix_s.setdefault(run.kind, []).extend(step.commit.captured_unix_s)
        if any(captured_unix_s.values()):
            self._metrics.progress.set(now_unix_s)
        self._metrics.commits.labels("ok").inc(len(done))
        self._metrics.events.inc(sum(len(step.commit.events) for _, step in done))
        for kind, captured in captured_unix_s.items():
            self._metrics.published.labels(kind).inc(len(captured))
            self._metrics.latency_s.observe([now_unix_s - at_unix_s for at_unix_s in captured], kind)

    def _note_stream(self, run: Run, commit: Commit, now_unix_s: float) -> None:
        run.active = commit.active
        if commit.captured_unix_s:
            run.newest_s = self._now_s() - (now_unix_s - commit.captured_unix_s[-1])
            if traced := run.named.get("trace_id"):  # the latest of them: it is the one to ask about
                latency_s = now_unix_s - min(commit.captured_unix_s)
                self._metrics.latency_s.exemplify(latency_s, traced, now_unix_s, run.kind)
        self._box.entered(run, commit.transitions)
        for transition in commit.transitions:
            if transition.label in self._metrics.watched_labels:
                self._metrics.label_events.labels(transition.label, transition.kind).inc()


def _step(run: Run) -> Step:
    run.dirty = False
    return Step(run.claim, run.track.commit(), run.state, run.stream.progress, run.detail)
