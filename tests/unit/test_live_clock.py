"""The clocks of a live stream: no waiting, no network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.live_clock import (
    BURSTS_S,
    CAUGHT_UP_S,
    DEADBAND_S,
    FORGET_S,
    HOLE_S,
    MAX_HELD_S,
    MAX_STEP_S,
    ArrivalClock,
    BurstClock,
    LiveTimeline,
    at_pace,
)


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


def test_a_packet_behind_which_only_the_next_one_waits_had_just_come_as_is_known_with_that() -> None:
    """A slow clock never gets to the end of what is there: 50 millionths make 2 s in 11 hours."""
    clock, late_s = ArrivalClock(), []
    for number in range(1000):
        clock.was_caught_up()
        late_s.append(number / 25 - clock.arrived_s(number / 25, number / 25 * 0.9, False))
    assert max(late_s) < 0.01


def test_what_waited_unseen_is_late_also_where_only_the_next_packet_waits() -> None:
    clock = ArrivalClock()
    for number in range(100):
        clock.was_caught_up()
        clock.arrived_s(number / 25, number / 25, False)
    late_s = []
    for number in range(100, 120):  # 4 s later, a few milliseconds apart
        late_s.append(8.0 + number / 200 - clock.arrived_s(8.0 + number / 200, number / 25, False))
        clock.was_caught_up()
    assert min(late_s) > 3.5


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


STEP_S = 1 / 25


def read_with_pauses(made_s: list[float], pauses: list[tuple[float, float]]) -> list[float]:
    """When packets are seen by a reader that is away for so long, each time after it was there for so long."""
    seen, now_s = [], made_s[0]
    until = itertools.accumulate(pauses, lambda end_s, pause: end_s + pause[0] + pause[1], initial=now_s)
    away = [(end_s - pause[1], end_s) for pause, end_s in zip(pauses, itertools.islice(until, 1, None), strict=True)]
    for one_s in made_s:
        now_s = max(now_s + 0.0005, one_s)
        now_s = next((end_s for begin_s, end_s in away if begin_s <= now_s < end_s), now_s)
        seen.append(now_s)
    return seen


def test_what_waited_where_it_cannot_be_seen_is_late_all_the_same() -> None:
    """The gate had no processor: nothing is left behind any packet, and they come 3 s too late."""
    clock, made = ArrivalClock(), [100 + number * STEP_S for number in range(300)]
    seen = read_with_pauses(made, [(4.0, 3.0)])
    assert max(there_s - one_s for one_s, there_s in zip(made, seen, strict=True)) > 2.9
    arrived = [clock.arrived_s(there_s, one_s, True) for one_s, there_s in zip(made, seen, strict=True)]
    assert arrived == pytest.approx(made, abs=CAUGHT_UP_S + STEP_S)


@given(
    st.lists(st.tuples(st.floats(0.05, 2), st.floats(0, 4)), max_size=8),
    st.lists(st.booleans(), min_size=7, max_size=7),
)
def test_a_reader_that_is_away_now_and_then_tells_when_packets_came(
    pauses: list[tuple[float, float]], caught_up: list[bool]
) -> None:
    clock, made = ArrivalClock(), [100 + number * STEP_S for number in range(600)]
    for number, (one_s, seen_s) in enumerate(zip(made, read_with_pauses(made, pauses), strict=True)):
        arrived_s = clock.arrived_s(seen_s, one_s, caught_up[number % 7])
        assert one_s - 0.001 <= arrived_s <= one_s + HOLE_S + STEP_S


def test_what_catches_up_slowly_stays_late_until_it_has() -> None:
    """For 36 s, which is longer than a hole is remembered after which nothing catches up."""
    clock, late_s, from_s = ArrivalClock(), 9.0, 4.0
    for number in range(1500):
        made_s = 100 + number * STEP_S
        seen_s = made_s + (max(0.0, late_s - 0.25 * (number * STEP_S - from_s)) if number * STEP_S >= from_s else 0.0)
        assert made_s - 0.001 <= clock.arrived_s(seen_s, made_s, True) <= made_s + HOLE_S


def test_a_camera_that_stood_still_with_its_clock_is_not_late_for_long() -> None:
    clock, pause_s = ArrivalClock(), 5.0
    for number in range(1000):
        seen_s = 100 + number * STEP_S + (pause_s if number >= 100 else 0.0)
        arrived_s = clock.arrived_s(seen_s, number * STEP_S, True)
        if not 0 <= seen_s - (104 + pause_s) <= FORGET_S + STEP_S:
            assert arrived_s == seen_s


@pytest.mark.parametrize("fps", [1, 2, 5, 25])
@pytest.mark.parametrize("speed", [0.5, 0.8, 0.95, 0.99, 1.01, 1.25, 2.0])
def test_a_clock_of_another_speed_makes_nothing_late(fps: int, speed: float) -> None:
    clock = ArrivalClock()
    for number in range(60 * fps):
        assert clock.arrived_s(100 + number / fps, number / fps * speed, True) == 100 + number / fps


@pytest.mark.parametrize(
    ("packets", "prompt", "expected"),
    [
        pytest.param([], True, False, id="nothing"),
        pytest.param([(0.0, 0.0)], True, False, id="one"),
        pytest.param([(0.0, 0.0), (0.04, 0.04)], True, True, id="as made"),
        pytest.param([(0.0, 0.0), (0.001, 0.04)], True, False, id="a burst"),
        pytest.param([(0.0, 0.0), (0.001, 0.04), (0.041, 0.08)], True, True, id="after a burst"),
        pytest.param([(0.0, 0.0), (2.0, 0.04)], True, False, id="after a hole, what waited comes"),
        pytest.param([(0.0, None), (0.04, None)], True, True, id="without a clock"),
        pytest.param([(0.0, None), (0.001, None)], True, False, id="a burst without a clock"),
        pytest.param([(0.0, 0.0), (0.04, 0.04)], False, False, id="too few to tell"),
        pytest.param([(n * 0.04, n * 0.04) for n in range(10)], False, True, id="enough"),
        pytest.param([(n * 0.04, n * 0.06) for n in range(10)], False, False, id="they catch up"),
        pytest.param([(0.0, 0.0), (0.5, 0.5)], False, True, id="two a second"),
        pytest.param([(0.0, 0.0), (1.0, 0.04), (1.04, 0.08), (1.08, 0.12)], False, False, id="a hole not long ago"),
    ],
)
def test_packets_come_at_their_pace_once_nothing_that_waited_comes(
    packets: list[tuple[float, float | None]], prompt: bool, expected: bool
) -> None:
    assert at_pace(reversed(packets), prompt) is expected


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


def segments(count: int, segment_s: float, late_s: Sequence[float] = (0.0,)) -> Iterator[tuple[float, float]]:
    """When frames are seen, five a second, and when they were made: in segments that are read as they are complete."""
    for number in range(count):
        complete_s = 1000.0 + (number + 1) * segment_s + late_s[number % len(late_s)]
        for place in range(round(segment_s * 5)):
            yield complete_s + place / 1000, number * segment_s + place / 5


def test_frames_of_a_burst_are_as_much_older_than_its_last_as_their_times_say() -> None:
    clock = BurstClock()
    frames = list(segments(20, 6.0))
    arrived = [clock.arrived_s(seen_s, raw_s, False) for seen_s, raw_s in frames]
    for (_, raw_s), arrived_s in list(zip(frames, arrived, strict=True))[30:]:
        assert arrived_s == pytest.approx(1000.2 + raw_s, abs=0.05)
    assert clock.held_s == pytest.approx(5.8, abs=0.05)


def test_a_segment_that_is_read_late_is_older_and_a_clock_that_is_slow_is_followed() -> None:
    late = BurstClock()
    arrived = [late.arrived_s(seen_s, raw_s, False) for seen_s, raw_s in segments(9, 2.0, (0.0, 1.5, 0.5))]
    assert arrived[-1] == pytest.approx(1018.0, abs=0.05)
    slow = BurstClock()
    frames = [(seen_s, 0.999 * raw_s) for seen_s, raw_s in segments(300, 2.0)]
    arrived = [slow.arrived_s(seen_s, raw_s, False) for seen_s, raw_s in frames]
    assert frames[-1][0] - arrived[-1] < 2 * BURSTS_S * 0.001 + 0.05


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(-5, 40) | st.none()), max_size=60))
def test_what_comes_in_bursts_never_came_before_the_one_before_nor_after_it_was_seen(
    steps: list[tuple[float, float | None]],
) -> None:
    clock, seen_s, raw_s, last_s = BurstClock(), 100.0, 0.0, -math.inf
    for passed_s, made_s in steps:
        seen_s += passed_s
        raw_s += made_s or 0.0
        arrived_s = clock.arrived_s(seen_s, None if made_s is None else raw_s, False)
        assert arrived_s <= seen_s
        assert arrived_s >= last_s or made_s is None
        assert 0 <= clock.held_s <= MAX_HELD_S
        last_s = arrived_s if made_s is not None else last_s
