"""How long what live streams say waits for company: waking three threads for each sample costs more than the sample."""

from __future__ import annotations

import time
from collections.abc import Callable

from streamtag.core.options import BatchingSettings
from streamtag.pipeline.run import Runs

CROWDED = 16  # jobs, from which on a whole period is shared
LOOK_S = 1.0  # between looks at what all runs ask for: it is wanted several times a second, and seldom changes


def shared_period_s(commit_s: float, jobs: int) -> float:
    """Of so many jobs; of few it is less, since what little there is to share is not worth the wait."""
    return commit_s * min(1.0, jobs / CROWDED)


class Gathering:
    """How long the intake thread waits between two looks, so that the device gets a full batch at once.

    Args:
        commit_s: between commits of a stream: more than that nobody waits.
        batch: samples that the device takes at once.
    """

    def __init__(
        self,
        runs: Runs,
        settings: BatchingSettings,
        commit_s: float,
        batch: int,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs
        self._least_s = settings.live_delay_s
        self._commit_s = commit_s
        self._batch = batch
        self._now_s = now_s
        self._period_s = self._look_s = 0.0

    def period_s(self) -> float:
        """By now; 0 where nothing is to wait at all. Any thread may ask."""
        if self._least_s and (now_s := self._now_s()) >= self._look_s:
            runs = self._runs.all()
            asked = sum(run.asked for run in runs)
            full_s = self._batch / asked if asked else self._commit_s
            self._period_s = max(self._least_s, min(shared_period_s(self._commit_s, len(runs)), full_s))
            self._look_s = now_s + LOOK_S
        return self._period_s
