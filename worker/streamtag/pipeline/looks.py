"""The streams of this worker as a scrape sees them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from streamtag.collectors import StreamLook
from streamtag.pipeline.run import Run, Runs


def look_at(runs: Runs) -> Iterator[StreamLook]:
    """Each stream by now. Called by the HTTP thread."""
    now_s = time.monotonic()
    for run in runs.all():
        yield StreamLook(run.state, run.kind, max(0.0, now_s - run.newest_s), _active(run))


def _active(run: Run) -> frozenset[str]:
    """The labels that were active at the last commit, in whichever region; none of a stream without pictures.

    A label exits when pictures come again: what a camera showed before it went dark is not what it shows.
    """
    if not run.state.has_pictures:
        return frozenset()
    if isinstance(run.claim.job.roi, dict):
        return frozenset(name.partition(":")[2] for name in run.active)  # region:label
    return frozenset(run.active)
