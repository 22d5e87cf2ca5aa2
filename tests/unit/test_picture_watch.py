"""When a live picture is frozen or black, by what it shows from sample to sample."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.picture_watch import HOLD_S, PictureWatch
from streamtag.core.records import StreamState

FROZEN_S, BLACK = 10.0, 0.03
LIVE = StreamState.LIVE


def states(motions: list[float], lumas: list[float] | None = None, fps: float = 2.0) -> list[StreamState]:
    """The state after each sample."""
    watch = PictureWatch(FROZEN_S, BLACK)
    lumas = lumas or [0.5] * len(motions)
    return [watch.see(motion, luma, n / fps) for n, (motion, luma) in enumerate(zip(motions, lumas, strict=True))]


def changes(found: list[StreamState]) -> int:
    return sum(before is not after for before, after in itertools.pairwise(found))


@pytest.mark.parametrize("fps", [0.1, 1.0, 2.0, 25.0])
@pytest.mark.parametrize("before", [0.0016, 0.0027, 0.02])
def test_a_still_picture_that_is_encoded_anew_is_found_within_the_set_time(before: float, fps: float) -> None:
    chance = np.random.default_rng(3)
    alive = (before * chance.uniform(1.0, 3.0, 400)).tolist()
    still = chance.uniform(0.0, 0.0009, max(4, int((FROZEN_S + 1) * fps))).tolist()
    found = states(alive + still, fps=fps)
    assert set(found[: len(alive)]) == {LIVE}
    assert found[-1] is StreamState.FROZEN
    if fps >= 1:
        assert found[len(alive) + int((FROZEN_S - 1) * fps)] is LIVE


def test_noise_and_quiet_scenes_are_not_frozen() -> None:
    chance = np.random.default_rng(4)
    for floor in (0.0016, 0.0027):
        assert set(states((floor * chance.lognormal(0.3, 0.2, 2000).clip(1.0)).tolist())) == {LIVE}


def test_a_stream_that_is_often_quiet_is_judged_by_its_own_measure() -> None:
    """A small thing that moves now and then before a drawn background; then the camera hangs."""
    found = states(([0.006] * 8 + [0.0008] * 16) * 20 + [0.0008] * 40)
    assert set(found) == {LIVE}, "it may be quiet"
    found = states(([0.006] * 8 + [0.0008] * 16) * 20 + [0.00003] * 40)
    assert found[-1] is StreamState.FROZEN


def test_a_frozen_picture_that_moves_a_little_at_each_key_frame_stays_frozen() -> None:
    found = states([0.02] * 20 + [0.0] * 40 + [0.0013, *[0.0] * 9] * 5)
    assert changes(found) == 1
    assert states([0.02] * 20 + [0.0] * 40 + [0.003])[-1] is LIVE


@given(st.floats(0.001, 0.029), st.floats(0.051, 0.2), st.integers(1, 3))
def test_brightness_about_the_threshold_changes_nothing(dark: float, bright: float, each: int) -> None:
    """Fewer than 2 s on each side, at two samples a second."""
    assert each / 2 < HOLD_S
    lumas = ([bright] * each + [dark] * each) * 60
    assert changes(states([0.1] * len(lumas), lumas)) == 0


@given(st.lists(st.floats(0.0, 0.1), min_size=2, max_size=300))
def test_black_comes_and_goes_no_faster_than_its_hold(lumas: list[float]) -> None:
    assert changes(states([0.1] * len(lumas), lumas)) <= len(lumas) / 2 / HOLD_S


def test_dim_pictures_between_the_thresholds_stay_what_they_were() -> None:
    lumas = [0.2] * 10 + [0.04] * 10 + [0.01] * 10 + [0.045] * 10 + [0.06] * 10
    found = states([0.1] * 50, lumas)
    assert [found[n] for n in (9, 19, 29, 39, 49)] == [LIVE, LIVE, StreamState.BLACK, StreamState.BLACK, LIVE]
