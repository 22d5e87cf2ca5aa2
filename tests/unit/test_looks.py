"""What a scrape sees of the streams."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from streamtag.core.records import StreamState
from streamtag.pipeline.looks import look_at
from streamtag.pipeline.run import Run, Runs

from tests.support.loops import run_of


def look(run: Run) -> tuple[float, frozenset[str]]:
    runs = Runs()
    runs.add(run)
    (seen,) = look_at(runs)
    return seen.stale_s, seen.active


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (StreamState.LIVE, True),
        (StreamState.BLACK, True),
        (StreamState.RECONNECTING, False),
        (StreamState.STALLED, False),
    ],
)
def test_labels_are_active_while_there_are_pictures(state: StreamState, told: bool) -> None:
    run = run_of("cam", "rtsp://cam/1")
    run.state, run.active = state, ("person", "dog")
    assert look(run)[1] == (frozenset(["person", "dog"]) if told else frozenset())


def test_a_label_of_several_regions_is_one() -> None:
    run = run_of("cam", "rtsp://cam/1")
    regions = {"door": (0.0, 0.0, 0.5, 1.0), "yard": (0.5, 0.0, 0.5, 1.0)}
    run.claim = replace(run.claim, job=replace(run.claim.job, roi=regions))
    run.state, run.active = StreamState.LIVE, ("door:person", "yard:person", "yard:a: b")
    assert look(run)[1] == frozenset(["person", "a: b"])


@pytest.mark.parametrize(
    ("captured_s_ago", "least_s", "most_s"), [(40.0, 40.0, 45.0), (None, 0.0, 5.0), (-900.0, 0.0, 5.0)]
)
def test_staleness_goes_on_from_the_last_owners_result(
    captured_s_ago: float | None, least_s: float, most_s: float
) -> None:
    """Whatever its clock said: what is in the future there is new here."""
    run = run_of("cam", "rtsp://cam/1")
    captured_unix_s = 0.0 if captured_s_ago is None else time.time() - captured_s_ago
    checkpoint = replace(run.claim.checkpoint, last_captured_unix_s=captured_unix_s)
    taken = Run(replace(run.claim, checkpoint=checkpoint), run.track, run.stream)
    assert least_s <= look(taken)[0] <= most_s
