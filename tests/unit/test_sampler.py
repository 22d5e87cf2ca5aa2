"""Sampling by presentation time."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.job import Decode, Sampling
from streamtag.core.sampler import Sampler, SparseSampler, Timeline


def kept(times: list[float], sampling: Sampling, default_fps: float = 5.0) -> list[int]:
    sampler = Sampler(sampling, default_fps)
    return [index for index, pts_s in enumerate(times) if sampler.keep(index, pts_s)]


def test_a_rate_keeps_the_first_frame_of_each_period() -> None:
    times = [number / 25 for number in range(100)]
    assert kept(times, Sampling(fps=5)) == list(range(0, 100, 5))


def test_times_rounded_by_the_container_do_not_move_a_sample() -> None:
    times = [round(number / 30, 3) for number in range(90)]
    assert kept(times, Sampling(fps=10)) == list(range(0, 90, 3))


def test_a_rate_above_the_frame_rate_keeps_every_frame_once() -> None:
    assert kept([0.0, 0.5, 1.0], Sampling(fps=100)) == [0, 1, 2]


def test_every_and_keyframes() -> None:
    times = [number / 25 for number in range(10)]
    assert kept(times, Sampling(every=4)) == [0, 4, 8]
    assert kept(times, Sampling(keyframes=True)) == list(range(10))


@given(st.lists(st.floats(0.001, 2.0), min_size=1, max_size=200), st.floats(0.2, 50))
def test_never_two_samples_in_a_period_and_never_an_empty_one_with_a_frame(gaps: list[float], fps: float) -> None:
    times = [sum(gaps[: n + 1]) for n in range(len(gaps))]
    chosen = kept(times, Sampling(fps=fps))
    periods = [int((times[index] + 1e-4) * fps) for index in chosen]
    assert len(periods) == len(set(periods))
    assert set(periods) == {int((pts_s + 1e-4) * fps) for pts_s in times}


def test_a_missing_time_is_one_frame_later() -> None:
    timeline = Timeline(0.04)
    assert [round(timeline.next(raw), 3) for raw in (0.0, None, float("nan"), 0.12)] == [0.0, 0.04, 0.08, 0.12]


def test_time_never_goes_back() -> None:
    """Two files joined: the clock of the second begins at 0 again."""
    timeline = Timeline(0.5)
    assert [timeline.next(raw) for raw in (0.0, 1.0, 2.0, 0.0, 1.0)] == [0.0, 1.0, 2.0, 2.5, 3.5]


@given(st.lists(st.one_of(st.none(), st.floats(-100, 100)), max_size=60))
def test_times_only_grow(raws: list[float | None]) -> None:
    timeline = Timeline(0.04)
    times = [timeline.next(raw) for raw in raws]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))


@given(st.lists(st.sampled_from([0.0, 1e-3, 5e9, -5e9, 9.2e9, 86_000.0]), max_size=200))
def test_clocks_that_leap_cannot_drive_the_times_out_of_what_an_id_can_hold(raw: list[float]) -> None:
    timeline = Timeline(0.04)
    times = [timeline.next(value) for value in raw]
    assert times == sorted(times)
    assert all(0 <= pts_s <= 86_400.0 * len(raw) for pts_s in times)


def test_a_broken_clock_goes_on_one_frame_later_and_a_time_lapse_is_believed() -> None:
    timeline = Timeline(0.04)
    assert [timeline.next(value) for value in (0.0, 3600.0, 5e9, 5e9 + 1)] == pytest.approx(
        [0.0, 3600.0, 3600.04, 3601.04]
    )


def test_leaps_that_are_each_believable_do_not_add_up_without_end() -> None:
    """An hour to and fro, a hundred thousand times: three years at most are believed, and the leaps are counted."""
    timeline = Timeline(0.04)
    times = [timeline.next(value) for _ in range(100_000) for value in (0.0, 3600.0)]
    assert times == sorted(times)
    assert times[-1] < 1.001e8
    assert timeline.jumps > 99_000
    steady = Timeline(0.04)
    assert [steady.next(value) for value in (0.0, 1.0)] == [0.0, 1.0]
    assert steady.jumps == 0


def sparse(frames: list[tuple[float, bool]], fps: float, mode: Decode = "auto") -> list[int]:
    sampler = SparseSampler(Sampling(), fps, mode)
    return [index for index, (pts_s, key) in enumerate(frames) if sampler.keep(index, pts_s, key)]


def frames_with_keys(seconds: int, every: int, fps: int = 25) -> list[tuple[float, bool]]:
    return [(number / fps, number % every == 0) for number in range(seconds * fps)]


def test_samples_of_a_live_stream_are_key_frames_where_these_come_often_enough() -> None:
    assert sparse(frames_with_keys(10, 25), 1.0)[2:] == list(range(50, 250, 25))
    assert all(index % 10 == 0 for index in sparse(frames_with_keys(10, 10), 1.0)[2:])


def test_it_is_known_when_only_a_key_frame_can_be_kept() -> None:
    sampler = SparseSampler(Sampling(), 1.0, "auto")
    known = []
    for index, (pts_s, key) in enumerate(frames_with_keys(4, 25)):
        sampler.keep(index, pts_s, key)
        known.append(sampler.only_keys)
    assert not any(known[:25]), "how often they come is not known yet"
    assert all(known[50:])
    for index in range(100, 150):  # and no more of them
        sampler.keep(index, index / 25, False)
    assert not sampler.only_keys
    assert SparseSampler(Sampling(keyframes=True), 5.0, "keyframes").only_keys


def test_key_frames_that_come_just_so_often_are_all_kept_however_they_tremble() -> None:
    frames = [
        (second + place / 25 + (0.01 if second % 2 else -0.01) * (place == 0), place == 0)
        for second in range(1, 40)
        for place in range(25)
    ]
    kept = [index for index in sparse(frames, 1.0) if frames[index][1]]
    assert len(kept) >= 38


def test_any_frame_will_do_where_key_frames_are_rare_or_stay_out() -> None:
    assert sparse(frames_with_keys(10, 250), 2.0)[:5] == [0, 12, 25, 37, 50], "each is the nearest to its moment"
    stopped = [(pts_s, key and pts_s < 5) for pts_s, key in frames_with_keys(12, 25)]
    assert len(sparse(stopped, 1.0)) >= 11


def test_all_and_keyframes_do_as_they_are_told() -> None:
    frames = frames_with_keys(10, 25)
    assert sparse(frames, 5.0, "all") == list(range(0, 250, 5))
    assert sparse(frames, 5.0, "keyframes") == list(range(0, 250, 25))
    sampler = SparseSampler(Sampling(keyframes=True), 5.0, "keyframes")
    assert [index for index, (pts_s, key) in enumerate(frames) if sampler.keep(index, pts_s, key)] == [
        *range(0, 250, 25)
    ]


@given(st.integers(1, 60), st.floats(0.2, 10))
def test_a_live_stream_gives_what_is_asked_for_within_a_tenth(every: int, fps: float) -> None:
    found = sparse(frames_with_keys(60, every), fps)
    assert len(found) == pytest.approx(60 * fps, rel=0.1, abs=2)


@pytest.mark.parametrize(
    ("camera_fps", "asked_fps"), [(5, 5), (4.9, 5), (10, 10), (9.99, 10), (24.97, 25), (25.02, 25)]
)
@pytest.mark.parametrize("every", [1, 10, 1500])
def test_a_camera_of_the_rate_that_is_asked_for_gives_all_its_frames_however_they_tremble(
    camera_fps: float, asked_fps: float, every: int
) -> None:
    """A quarter of them fell into a period that had one already, as each was a little before or behind its line."""
    chance = random.Random(1)
    count = int(60 * camera_fps)
    times = [number / camera_fps + 0.1 * chance.random() / camera_fps for number in range(count)]
    found = sparse([(pts_s, place % every == 0) for place, pts_s in enumerate(times)], asked_fps)
    assert len(found) >= min(count, 60 * asked_fps) - 1
    assert len(found) <= (times[-1] - times[0]) * asked_fps + 1.5


def test_after_a_pause_there_are_no_more_samples_than_are_asked_for() -> None:
    times = [number / 25 for number in range(1000) if not 300 < number < 500]
    found = sparse([(pts_s, False) for pts_s in times], 10.0)
    assert all(times[later] - times[earlier] > 0.05 for earlier, later in itertools.pairwise(found))
    assert len(found) <= 10 * (times[-1] - 8) + 3


def test_a_time_that_comes_twice_makes_no_frame_after_it_late() -> None:
    timeline = Timeline(0.04)
    told = [timeline.next(raw_s) for raw_s in (0.0, 0.04, 0.04, 0.08, 0.12, 0.12, 0.12, 0.16)]
    assert told == pytest.approx([0.0, 0.04, 0.05, 0.08, 0.12, 0.13, 0.14, 0.16])
    assert timeline.jumps == 0


def test_frames_of_a_clock_that_stands_still_go_on() -> None:
    timeline = Timeline(0.04)
    assert [timeline.next(0.0) for _ in range(100)][-1] > 3.8
