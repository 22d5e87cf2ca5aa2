"""What is a gap in a stream goes by its pace, and all who judge it say the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.core.job import Job, Sampling
from streamtag.core.options import SamplingSettings, SmoothingSettings
from streamtag.core.pace import Pace
from streamtag.core.recording import record_batch
from streamtag.core.records import Checkpoint, Claim, Label, Result, Sample
from streamtag.core.stretches import stretches
from streamtag.core.track import Track
from streamtag.queue.published import read_event
from streamtag.queue.seen import Seen
from streamtag.tools.replay import replay
from streamtag.view.history import BREAK_S, History

GAP_S = SmoothingSettings().reset_gap_s
BUNDLE = Bundle("two", "none", ("dog", "cat"), Preprocessing(8))
DOG = np.array([0.9, 0.1], np.float32)


def breaks(step_s: float | None, *steps: float) -> list[float]:
    """Those of the steps that are gaps."""
    pace = Pace(GAP_S, step_s)
    return [step for step in steps if pace.breaks(step)]


@pytest.mark.parametrize("step_s", [None, 0.2, 2.0])
def test_at_the_usual_pace_a_gap_is_what_the_setting_says(step_s: float | None) -> None:
    usual = step_s or 0.5
    assert breaks(step_s, usual, usual, 5.0, usual, usual, 5.1, usual, usual, 60.0) == [5.1, 60.0]


def test_where_a_slow_rate_is_asked_for_one_sample_may_be_missing_and_not_two() -> None:
    assert breaks(10.0, 10.0, 20.0, 10.0, 10.0, 30.0, 10.0) == [30.0]
    assert breaks(10.0, 30.0) == [30.0], "from the first step on"


def test_a_camera_that_is_slower_than_it_is_asked_for_is_believed_once_it_was_so_twice() -> None:
    assert breaks(0.5, 10.0, 10.0, 10.1, 9.9, 20.0, 10.0, 60.0) == [10.0, 60.0]


def test_a_stream_that_becomes_quick_again_has_gaps_as_before() -> None:
    assert breaks(0.5, 10.0, 10.0, 10.0, 0.5, 0.5, 6.0) == [10.0, 6.0]


def test_outages_of_a_camera_are_no_pace() -> None:
    outages = [step for _ in range(20) for step in (0.5, 0.5, 30.0)]
    assert breaks(0.5, *outages) == [30.0] * 20


def test_key_frames_come_at_cuts_and_now_and_then_between_them() -> None:
    film = [10.0, 10.0, 1.2, 3.5, 2.0, 1.0, 1.5, 4.0, 10.0, 2.2, 10.0, 10.0]
    assert breaks(None, *film, 60.0, 10.0) == [60.0]


def test_what_a_job_asks_for() -> None:
    usual = SamplingSettings(live_fps=2.0, finite_fps=5.0)
    assert (usual.step_s(Sampling(), live=True), usual.step_s(Sampling(), live=False)) == (0.5, 0.2)
    assert usual.step_s(Sampling(fps=0.1), live=True) == 10.0
    assert usual.step_s(Sampling(every=250), live=False) is None
    assert usual.step_s(Sampling(keyframes=True), live=False) is None


STEPS = st.lists(st.sampled_from([0.2, 0.5, 1.5, 4.0, 8.0, 10.0, 20.0, 45.0]), max_size=30)


@given(STEPS, st.sampled_from([None, 0.2, 0.5, 10.0]))
def test_worker_replay_export_and_page_tell_the_same_stretches_of_a_label_that_is_always_there(
    steps: list[float], step_s: float | None
) -> None:
    times = [round(pts_s, 3) for pts_s in itertools.accumulate(steps, initial=0.0)]
    track = Track(Claim(Job("j", "film.mp4"), "1-0", 1, 0, Checkpoint()), BUNDLE, SmoothingSettings(), step_s)
    history = History(live=False, step_s=step_s)
    results = []
    for number, pts_s in enumerate(times):
        sample = Sample(number, pts_s, 0.0, 0, 0.0, number + 1, number + 1)
        assert record_batch([track], [sample], DOG[np.newaxis], 2) == []
        history.take(Seen(pts_s, "", (), (), ("dog",)), pts_s)
        results.append(Result("", number, pts_s, (Label(0, "dog", 0.9, 0.9), Label(1, "cat", 0.1, 0.1)), ("dog",)))
    track.close()
    events = [read_event("", {b"event": content}) for content in track.commit().events]
    enters = [event.pts_s for event in events if event.kind == "enter"]
    exits = [event.pts_s for event in events if event.kind == "exit"]
    told = list(zip(enters, exits, strict=True))
    segments = replay(results, SmoothingSettings(), BUNDLE, step_s=step_s).segments
    assert [(segment.start_s, segment.end_s) for segment in segments] == told
    assert BREAK_S == GAP_S
    assert [(begin, end) for _, begin, end, _ in history.to_dict()["spans"]] == told
    assert [one.start_s for one in stretches(results, GAP_S, step_s)] == enters
