"""A live stream that says nothing, and one that says little: states and gaps of the state machine."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.gaps import GapNoticed, GapReason
from streamtag.core.records import Sample, StreamState
from streamtag.core.stream_state import News

from tests.unit.test_stream_state import machine, sample, show, states


def test_a_stream_that_stays_silent_is_given_up_just_after_its_read_timeout() -> None:
    one = machine(live=True)
    one.connecting(0.0)
    one.opened(0, 0.5)
    show(one, 1.0)
    assert one.check(11.4) == []
    (news,) = one.check(11.6)
    assert states([news]) == [StreamState.RECONNECTING]
    one.connecting(13.0)
    one.opened(0, 14.0)
    assert one.check(24.4) == []
    assert states(one.check(24.6)) == [StreamState.RECONNECTING], "also when nothing ever came"


def test_a_slow_camera_does_not_stand_still() -> None:
    """A picture every 6.7 s, of a scene that moves."""
    one = machine(live=True)
    one.connecting(0.0)
    one.opened(0, 0.1)
    found: list[News] = []
    for tenths in range(1, 1000):
        if tenths % 67 == 0:
            found += show(one, tenths / 10, number=tenths // 67)
        found += one.check(tenths / 10)
    assert states(found) == [StreamState.LIVE]
    assert [event for event in found if isinstance(event, GapNoticed)] == []


def test_packets_count_and_not_samples() -> None:
    """Key frames every 12 s, of a camera that sends 25 frames a second."""
    one = machine(live=True)
    one.connecting(0.0)
    one.opened(0, 0.1)
    found: list[News] = []
    for halves in range(1, 200):
        now_s = halves / 2
        one.heard(now_s)
        found += one.count(halves * 12, now_s)
        if halves % 24 == 0:
            found += one.sample(Sample(halves * 12 - 1, now_s, 1e9, 0, 0.0, halves * 12, halves // 24), 0.5, 0.5, now_s)
        found += one.check(now_s)
    assert states(found) == [StreamState.LIVE]
    assert [event for event in found if isinstance(event, GapNoticed)] == []


@pytest.mark.parametrize("dropped", [False, True])
def test_a_hole_on_an_open_connection_is_declared_once(dropped: bool) -> None:
    """7.5 s without frames, also where the first sample after them is dropped."""
    one = machine(live=True)
    one.connecting(0.0)
    one.opened(0, 0.1)
    times_s = [*(number / 2 for number in range(1, 20)), *(17.0 + number / 2 for number in range(20))]
    gaps: list[News] = []
    for number, at_s in enumerate(times_s):
        if dropped and at_s == 17.0:
            one.unclassifiable(sample(number, at_s))
        else:
            gaps += [event for event in show(one, at_s, number=number) if isinstance(event, GapNoticed)]
    assert gaps == [GapNoticed(GapReason.SILENCE)]


@pytest.mark.parametrize("dropped", [None, 1, 2])
def test_a_hole_between_the_first_two_samples_is_declared_once_the_third_tells(dropped: int | None) -> None:
    """With the times that it had; and one of the same length later is one, too."""
    one = machine(live=True)
    one.connecting(0.0)
    one.opened(0, 0.1)
    gaps: list[News] = []
    for number, at_s in enumerate([0.5, 7.5, 8.0, 8.5, 15.5, 16.0, 16.5]):
        shown = dataclasses.replace(sample(number, at_s), captured_unix_s=1e9 + at_s)
        if number == dropped:
            one.unclassifiable(shown)
            continue
        found = one.count(shown.decoded, at_s) + one.sample(shown, 0.5, 0.5, at_s)
        gaps += [event for event in found if isinstance(event, GapNoticed)]
    assert gaps == [GapNoticed(GapReason.SILENCE, (1e9 + 0.5, 1e9 + 7.5)), GapNoticed(GapReason.SILENCE)]


@given(
    live=st.booleans(),
    steps=st.lists(st.tuples(st.sampled_from(("heard", "opened", "sample", "check")), st.floats(0.01, 20.0))),
)
def test_the_clock_need_not_be_looked_at_before_a_stream_has_something_to_say(
    live: bool, steps: list[tuple[str, float]]
) -> None:
    one = machine(live)
    one.connecting(0.0)
    now_s, nothing_until_s = 0.0, one.nothing_until_s()
    for number, (what, later_s) in enumerate(steps):
        now_s += later_s
        assert not one.check(now_s) or now_s >= nothing_until_s
        if not one.connected:
            return
        if what == "heard":
            one.heard(now_s)
        elif what == "opened":
            one.opened(100, now_s)
        elif what == "sample":
            show(one, now_s, number=number)
        if now_s >= nothing_until_s:  # not sooner: what is heard meanwhile makes it no shorter
            nothing_until_s = one.nothing_until_s()


@pytest.mark.parametrize(
    ("live", "failed", "told"), [(True, True, [StreamState.LIVE]), (True, False, []), (False, True, [])]
)
def test_a_live_stream_whose_samples_fail_sends(live: bool, failed: bool, told: list[StreamState]) -> None:
    """Where each one did it was connecting for ever, and no alert told of a camera that sends and has no results."""
    one = machine(live)
    one.connecting(0.0)
    one.opened(0, 0.5)
    assert states(one.unclassifiable(sample(0), failed)) == told
    assert states(one.unclassifiable(sample(1), failed)) == []
    assert states(show(one, 1.0, number=2)) == ([] if told else [StreamState.LIVE])
