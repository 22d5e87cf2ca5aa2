"""The clocks of a live stream: no waiting, no network."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.live_clock import DEADBAND_S, MAX_STEP_S, ArrivalClock, LiveTimeline


def test_a_packet_behind_which_nothing_waits_had_just_come() -> None:
    clock = ArrivalClock()
    assert [clock.arrived_s(seen, seen - 100, True) for seen in (200.0, 201.5, 201.6)] == [200.0, 201.5, 201.6]


def test_packets_that_waited_are_placed_by_the_camera_s_times() -> None:
    clock = ArrivalClock()
    clock.arrived_s(100.0, 0.0, True)
    backlog = [clock.arrived_s(110.0 + number / 1000, 1.0 + number, False) for number in range(9)]
    assert backlog == pytest.approx([101.0 + number for number in range(9)])
    assert clock.arrived_s(110.05, 10.0, True) == 110.05


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_also_where_the_camera_s_clock_runs_at_another_speed(speed: float) -> None:
    clock = ArrivalClock()
    for number in range(101):
        clock.arrived_s(100.0 + number / 25, number / 25 * speed, True)
    backlog = [clock.arrived_s(110.0, number / 25 * speed, False) for number in range(101, 201)]
    assert backlog == pytest.approx([100.0 + number / 25 for number in range(101, 201)])


@pytest.mark.parametrize("jump_s", [1000.0, -50.0])
def test_a_clock_that_is_set_says_nothing_of_the_time_between(jump_s: float) -> None:
    clock = ArrivalClock()
    clock.arrived_s(100.0, 60.0, True)
    assert clock.arrived_s(105.0, 61.0 + jump_s, False) == 100.0  # behind others: no later than they
    assert clock.arrived_s(105.0, 62.0 + jump_s, False) == 101.0
    assert clock.arrived_s(105.1, 65.0, True) == 105.1


@given(
    st.lists(
        st.tuples(st.floats(0, 5), st.none() | st.floats(-1e6, 1e6), st.booleans()),
        min_size=1,
        max_size=60,
    )
)
def test_nothing_arrives_before_what_came_before_nor_after_it_was_seen(
    packets: list[tuple[float, float | None, bool]],
) -> None:
    clock, seen_s, last_s = ArrivalClock(), 1000.0, 0.0
    for waited_s, raw_s, caught_up in packets:
        seen_s += waited_s
        arrived_s = clock.arrived_s(seen_s, raw_s, caught_up)
        assert last_s <= arrived_s <= seen_s
        last_s = arrived_s


def shown(raw: list[float], arrived: list[float]) -> list[float]:
    timeline = LiveTimeline()
    return [timeline.next_s(*times) for times in zip(raw, arrived, strict=True)]


def test_presentation_times_are_as_even_as_the_camera_s() -> None:
    raw = [number / 25 for number in range(200)]
    jittered = [time + (number * 7 % 5) / 50 for number, time in enumerate(raw)]
    steps = [after - before for before, after in itertools.pairwise(shown(raw, jittered))]
    assert steps == pytest.approx([0.04] * 199)


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.1, 2.0])
def test_they_go_as_fast_as_our_clock(speed: float) -> None:
    arrived = [number / 25 for number in range(1000)]
    times = shown([time * speed for time in arrived], arrived)
    assert times[-1] - times[200] == pytest.approx(arrived[-1] - arrived[200], rel=0.05)


@given(st.lists(st.tuples(st.floats(0, 30), st.none() | st.floats(-1e6, 1e6)), min_size=2, max_size=60))
def test_they_never_go_backwards_and_stay_near_our_clock(frames: list[tuple[float, float | None]]) -> None:
    timeline, arrived_s, last_s = LiveTimeline(), 0.0, -1.0
    for number, (waited_s, raw_s) in enumerate(frames):
        arrived_s += waited_s if number else 0.0
        pts_s = timeline.next_s(raw_s, arrived_s)
        assert pts_s > last_s
        assert abs(pts_s - arrived_s) <= MAX_STEP_S + DEADBAND_S
        last_s = pts_s
