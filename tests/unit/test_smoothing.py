"""Steady labels: the same answer however the work is split."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streamtag.core.hysteresis import LabelTransition
from streamtag.core.options import SmoothingSettings
from streamtag.core.smoothing import Smoother
from streamtag.errors import RejectJob

METHODS = ("ema", "majority", "sticky", "none")


def scores_of(best: int, classes: int = 4, score: float = 0.9) -> np.ndarray:
    scores = np.full(classes, (1 - score) / (classes - 1), np.float32)
    scores[best] = score
    return scores


def play(smoother: Smoother, steps: list[tuple[float, int, float]]) -> tuple[list[bytes], list[LabelTransition]]:
    outputs, changes = [], []
    for pts_s, best, change in steps:
        smoothed, new = smoother.update(pts_s, scores_of(best), change)
        outputs.append(smoothed.tobytes())
        changes += new
    return outputs, changes


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[float, int, float]]:
    longest_s = draw(st.sampled_from((8.0, 80.0)))
    gaps = draw(st.lists(st.floats(0.01, longest_s), min_size=1, max_size=40))
    pts_s, steps = 0.0, []
    for gap in gaps:
        pts_s += gap
        steps.append((pts_s, draw(st.integers(0, 3)), draw(st.sampled_from((0.0, 0.2, 0.95)))))
    return steps


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=60, deadline=None)
@given(steps=streams(), where=st.integers(0, 40), step_s=st.sampled_from((None, 0.5, 20.0)))
def test_split_anywhere_stored_and_resumed_it_says_the_same(
    method: str, steps: list[tuple[float, int, float]], where: int, step_s: float | None
) -> None:
    options = SmoothingSettings(method=method)
    whole, whole_changes = play(Smoother(options, 4, step_s=step_s), steps)
    first, second = Smoother(options, 4, step_s=step_s), Smoother(options, 4, step_s=step_s)
    head, head_changes = play(first, steps[:where])
    second.load(first.dump())
    rest, rest_changes = play(second, steps[where:])
    assert head + rest == whole
    assert head_changes + rest_changes == whole_changes


def test_the_average_follows_its_formula() -> None:
    smoother = Smoother(SmoothingSettings(tau_s=2.0), 2)
    smoother.update(0.0, np.array([1.0, 0.0], np.float32))
    smoothed, _ = smoother.update(0.5, np.array([0.0, 1.0], np.float32))
    assert smoothed[1] == pytest.approx(1 - math.exp(-0.5 / 2.0), rel=1e-6)


@pytest.mark.parametrize("method", ["ema", "majority", "sticky"])
def test_one_wrong_sample_changes_no_label(method: str) -> None:
    steps = [(number * 0.2, 1 if number == 20 else 0, 0.0) for number in range(40)]
    _, changes = play(Smoother(SmoothingSettings(method=method), 4), steps)
    assert [(change.kind, change.class_id) for change in changes] == [("enter", 0)]


def test_raw_scores_flicker_where_smoothed_ones_do_not() -> None:
    """What smoothing is for: without it the same stream changes its label at each wrong sample."""
    steps = [(number * 0.2, 1 if number % 5 == 4 else 0, 0.0) for number in range(50)]
    raw = SmoothingSettings(method="none", min_off_s=0.0)
    assert len(play(Smoother(raw, 4), steps)[1]) > 15
    assert len(play(Smoother(SmoothingSettings(), 4), steps)[1]) == 1


def test_a_label_leaves_after_the_minimum_time_and_says_since_when() -> None:
    options = SmoothingSettings(method="none", enter=0.5, exit=0.3, min_off_s=1.0)
    steps = [(number * 0.25, 0 if number < 4 else 2, 0.0) for number in range(12)]
    _, changes = play(Smoother(options, 4), steps)
    leaving = next(change for change in changes if change.kind == "exit")
    assert (leaving.class_id, leaving.since_s, leaving.pts_s) == (0, 1.0, 2.0)


def test_minimum_on_time_delays_the_onset() -> None:
    options = SmoothingSettings(method="none", min_on_s=0.5)
    _, changes = play(Smoother(options, 4), [(number * 0.25, 0, 0.0) for number in range(6)])
    assert [(change.kind, change.pts_s, change.since_s) for change in changes] == [("enter", 0.5, 0.0)]


@pytest.mark.parametrize("begin", range(0, 200, 7))
def test_minimum_times_are_as_many_samples_wherever_in_a_film(begin: int) -> None:
    """0.6 s less 0.2 s is less than 0.4 s in floating point, and 0.8 s less 0.4 s is not."""
    smoother = Smoother(SmoothingSettings(method="none", min_on_s=0.4, min_off_s=0.4), 4)
    pts_s = [number * 200 / 1000 for number in range(begin, begin + 12)]
    _, changes = play(smoother, [(pts_s[number], 1 if number < 5 else 2, 0.0) for number in range(12)])
    told = [(change.kind, change.class_id, change.pts_s) for change in changes]
    assert told == [("enter", 1, pts_s[2]), ("exit", 1, pts_s[7]), ("enter", 2, pts_s[7])]


def test_a_scene_cut_forgets_the_past_at_once() -> None:
    _, changes = play(Smoother(SmoothingSettings(), 4), [(0.0, 0, 0.0), (0.2, 0, 0.0), (0.4, 3, 0.9)])
    assert [(change.kind, change.class_id, change.pts_s) for change in changes][1:] == [
        ("exit", 0, 0.4),
        ("enter", 3, 0.4),
    ]


def test_a_gap_ends_what_was_active_before_it() -> None:
    _, changes = play(Smoother(SmoothingSettings(reset_gap_s=5.0), 4), [(0.0, 0, 0.0), (1.0, 0, 0.0), (60.0, 0, 0.0)])
    assert [(change.kind, change.pts_s) for change in changes] == [("enter", 0.0), ("exit", 1.0), ("enter", 60.0)]


@pytest.mark.parametrize("step_s", [None, 10.0])
@pytest.mark.parametrize("options", [{}, {"min_on_s": 5.0}, {"method": "majority"}, {"method": "sticky"}])
def test_what_is_there_all_the_time_enters_and_exits_once_however_seldom_it_is_looked_at(
    options: dict[str, Any], step_s: float | None
) -> None:
    smoother = Smoother(SmoothingSettings(**options), 4, step_s=step_s)
    _, changes = play(smoother, [(number * 10.0, 0, 0.0) for number in range(30)])
    changes += smoother.close()
    assert [(one.kind, one.class_id, one.since_s) for one in changes] == [("enter", 0, 0.0), ("exit", 0, 290.0)]
    assert changes[0].pts_s == (10.0 if "min_on_s" in options else 0.0)


def test_of_a_slow_stream_one_wrong_sample_does_not_end_what_is_there() -> None:
    """As at any pace what is hidden for a moment goes on; here the moment is a sample."""
    steps = [(number * 10.0, 1 if number == 3 else 0, 0.0) for number in range(9)]
    _, changes = play(Smoother(SmoothingSettings(), 4, step_s=10.0), steps)
    assert [(one.kind, one.since_s) for one in changes if one.class_id == 0] == [("enter", 0.0)]


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from(("ema", "sticky", "none")),
    parts=st.lists(
        st.lists(st.tuples(st.floats(0.04, 2.0), st.integers(0, 3)), min_size=3, max_size=12), min_size=1, max_size=6
    ),
    apart=st.floats(5.01, 1000.0),
)
def test_at_the_usual_rate_what_comes_after_a_gap_is_as_a_stream_of_its_own(
    method: str, parts: list[list[tuple[float, int]]], apart: float
) -> None:
    options, pts_s, whole, expected = SmoothingSettings(method=method), 0.0, [], []
    smoother = Smoother(options, 4, step_s=0.5)
    for part in parts:
        steps = []
        for step_s, best in part:
            pts_s += step_s
            steps.append((pts_s, best, 0.0))
        whole += play(smoother, steps)[1]
        alone = Smoother(options, 4)
        expected += play(alone, steps)[1] + alone.close()
        pts_s += apart
    assert whole + smoother.close() == expected


def test_a_state_of_before_has_no_steps_and_goes_on() -> None:
    first, second = Smoother(SmoothingSettings(), 4, step_s=10.0), Smoother(SmoothingSettings(), 4, step_s=10.0)
    play(first, [(0.0, 0, 0.0), (10.0, 0, 0.0)])
    head, _, body = first.dump().partition(b"\n")
    content = orjson.loads(head)
    del content["steps"]
    second.load(orjson.dumps(content) + b"\n" + body)
    assert play(second, [(20.0, 0, 0.0)])[1] == play(first, [(20.0, 0, 0.0)])[1] == []
    assert [one.kind for one in play(second, [(60.0, 0, 0.0)])[1]] == ["exit", "enter"]


def test_the_end_of_a_stream_ends_its_labels() -> None:
    smoother = Smoother(SmoothingSettings(), 4)
    play(smoother, [(0.0, 0, 0.0), (1.0, 0, 0.0)])
    assert [change.kind for change in smoother.close()] == ["exit"]
    assert smoother.close() == []


def test_nothing_is_no_label_and_a_class_may_have_thresholds_of_its_own() -> None:
    smoother = Smoother(SmoothingSettings(), 4, {1: (0.95, 0.9)}, frozenset({0}))
    _, changes = play(smoother, [(0.0, 0, 0.0), (10.0, 1, 0.0), (20.0, 2, 0.0)])
    assert {change.class_id for change in changes} == {2}


def test_a_state_of_another_method_starts_anew() -> None:
    first, second = Smoother(SmoothingSettings(), 4), Smoother(SmoothingSettings(method="majority"), 4)
    play(first, [(0.0, 0, 0.0)])
    second.load(first.dump())
    assert second.active == [0]


def test_a_state_of_a_network_with_other_classes_is_passed_over() -> None:
    first, second = Smoother(SmoothingSettings(), 4), Smoother(SmoothingSettings(), 2)
    play(first, [(0.0, 3, 0.0)])
    second.load(first.dump())
    assert second.active == []
    second.update(0.1, scores_of(1, classes=2))


GOOD_HEAD = b'{"method":"ema","classes":4,"last_pts_s":0.0,"labels":[[[0,0.0]],[],[]],"filter":{}}'


@pytest.mark.parametrize(
    "state",
    [
        b"rubbish",
        b"{}",
        b"[1]",
        b"[" * 100_000,
        GOOD_HEAD.replace(b"0.0", b"NaN") + b"\n",
        GOOD_HEAD.replace(b"0.0", b"1e400") + b"\n",
        GOOD_HEAD.replace(b"[[0,0.0]]", b"[[4,0.0]]") + b"\n",
        GOOD_HEAD.replace(b"[[0,0.0]]", b"[[-1,0.0]]") + b"\n",
        GOOD_HEAD.replace(b"[[0,0.0]]", b'"x"') + b"\n",
        GOOD_HEAD.replace(b'"last_pts_s":0.0', b'"last_pts_s":"x"') + b"\n",
        GOOD_HEAD.replace(b"ema", b"other") + b"\n",
        GOOD_HEAD.replace(b"{}}", b'{"votes":[[0.0,9]],"clock_s":0.0}}') + b"\n",
        GOOD_HEAD.replace(b"{}}", b'{},"told":[1]}'),
        GOOD_HEAD.replace(b"{}}", b'{},"told":[4]}'),
        GOOD_HEAD.replace(b"{}}", b'{},"steps":[-1.0]}'),
        GOOD_HEAD + b"\n" + bytes(15),
        GOOD_HEAD + b"\n" + np.array([1, np.nan, 0, 0], np.float32).tobytes(),
    ],
)
def test_bytes_that_are_no_state_are_named(state: bytes) -> None:
    with pytest.raises(RejectJob, match="smoothing state cannot be read"):
        Smoother(SmoothingSettings(), 4).load(state)


@pytest.mark.parametrize("method", ["ema", "majority", "sticky", "none"])
@given(place=st.integers(0, 400), value=st.integers(0, 255), cut=st.integers(0, 400))
def test_a_state_with_a_changed_byte_is_refused_or_goes_on(
    method: Literal["ema", "majority", "sticky", "none"], place: int, value: int, cut: int
) -> None:
    first = Smoother(SmoothingSettings(method=method), 4)
    play(first, [(0.0, 0, 0.0), (0.5, 1, 0.0), (1.0, 1, 0.0)])
    state = bytearray(first.dump())
    state[place % len(state)] = value
    second = Smoother(SmoothingSettings(method=method), 4)
    try:
        second.load(bytes(state[: len(state) - cut % len(state)] if cut % 7 == 0 else state))
    except RejectJob:
        return
    for number in range(3):
        smoothed, _ = second.update(2.0 + number, scores_of(2, classes=4))
        assert np.isfinite(smoothed).all()
    second.close()
