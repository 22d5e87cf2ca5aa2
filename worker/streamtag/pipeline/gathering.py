"""How long what live streams say waits for company: waking three threads for each sample costs more than the sample."""

from __future__ import annotations

from streamtag.core.options import BatchingSettings
from streamtag.pipeline.run import Runs

CROWDED = 16  # jobs, from which on a whole period is shared


def shared_period_s(commit_s: float, jobs: int) -> float:
    """Of so many jobs; of few it is less, since what little there is to share is not worth the wait."""
    return commit_s * min(1.0, jobs / CROWDED)


class Gathering:
    """How long the intake thread waits between two looks, so that the device gets a full batch at once.

    Args:
        commit_s: between commits of a stream: more than that nobody waits.
        batch: samples that the device takes at once.
    """

    def __init__(self, runs: Runs, settings: BatchingSettings, commit_s: float, batch: int) -> None:
        self._runs = runs
        self._least_s = settings.live_delay_s
        self._commit_s = commit_s
        self._batch = batch

    def period_s(self) -> float:
        """By now; 0 where nothing is to wait at all."""
        if not self._least_s:
            return 0.0
        runs = self._runs.all()
        asked = sum(run.asked for run in runs)
        full_s = self._batch / asked if asked else self._commit_s
        return max(self._least_s, min(shared_period_s(self._commit_s, len(runs)), full_s))
