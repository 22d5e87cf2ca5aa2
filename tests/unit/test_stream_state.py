"""What a stream is doing, by tables of what happened and when; the clock and chance are arguments."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.failure import Failure, FailureCause, FailureKind
from streamtag.core.gaps import GapNoticed, GapReason
from streamtag.core.records import Checkpoint, Counters, Sample, StreamState
from streamtag.core.stream_state import News, Outcome, OutcomeKind, StateChanged, StreamLimits, StreamMachine

LIMITS = StreamLimits(
    watchdog_s=30.0,
    open_timeout_s=10.0,
    read_timeout_s=10.0,
    backoff_s=1.0,
    backoff_cap_s=30.0,
    attempts=3,
    auth_retry_s=60.0,
    frozen_s=5.0,
    black_luma=0.03,
)
NEVER_SEEN = Checkpoint()
SEEN = Checkpoint(last_index=49, last_pts_s=100.0, last_captured_unix_s=5000.0, counters=Counters(50, 10, 10))


def machine(live: bool = False, checkpoint: Checkpoint = NEVER_SEEN, chance: float = 1.0) -> StreamMachine:
    return StreamMachine(LIMITS, live, checkpoint, 0.0, 5060.0, lambda: chance)


def sample(number: int, pts_s: float = 0.0) -> Sample:
    return Sample(number * 5, pts_s, 1e9, 0, 0.0, number * 5 + 1, number + 1)


def show(one: StreamMachine, at_s: float, motion: float = 0.5, luma: float = 0.5, number: int = 0) -> list[News]:
    one.heard(at_s)
    shown = sample(number, at_s)
    return one.count(shown.decoded, at_s) + one.sample(shown, motion, luma, at_s)


def states(news: list[News]) -> list[StreamState]:
    return [event.state for event in news if isinstance(event, StateChanged)]


def test_a_file_is_read_to_its_end() -> None:
    one = machine()
    assert one.connecting(0.0) == []  # which it is from the start
    one.opened(100, 0.5)
    assert states(show(one, 1.0)) == [StreamState.LIVE]
    one.count(50, 1.5)
    one.count(49, 1.6)
    assert one.progress == 0.5
    assert one.ended("a note", 2.0) == [Outcome(OutcomeKind.ENDED, 50, 1, "a note")]
    assert (one.state, one.progress, one.connected) == (StreamState.ENDED, 1.0, False)


@pytest.mark.parametrize(
    ("live", "kinds", "ends"),
    [
        (False, [FailureKind.RETRY] * 2, None),
        (False, [FailureKind.RETRY] * 3, OutcomeKind.REJECTED),
        (False, [FailureKind.AUTH] * 3, OutcomeKind.REJECTED),
        (False, [FailureKind.REJECT], OutcomeKind.REJECTED),
        (True, [FailureKind.RETRY] * 50, None),
        (True, [FailureKind.AUTH] * 50, None),
        (True, [FailureKind.REJECT], OutcomeKind.REJECTED),
    ],
)
def test_a_finite_source_has_so_many_attempts_and_a_live_one_any(
    live: bool, kinds: list[FailureKind], ends: OutcomeKind | None
) -> None:
    one = machine(live)
    now_s = 0.0
    for kind in kinds:
        one.connecting(now_s)
        news = one.failed(kind, "no", now_s)
        now_s += 40.0
    assert (one.outcome.kind if one.outcome else None) is ends
    assert isinstance(news[-1], Outcome if ends else StateChanged)


def test_a_sample_forgives_the_failures_before_it() -> None:
    one = machine()
    for number in range(10):
        one.connecting(number * 100.0)
        show(one, number * 100.0 + 1, number=number)
        one.failed(FailureKind.RETRY, "no", number * 100.0 + 2)
    assert one.outcome is None


def test_what_is_not_the_sources_fault_does_not_count() -> None:
    one = machine()
    for number in range(10):
        one.connecting(number * 100.0)
        one.failed(FailureKind.RETRY, "ours", number * 100.0, counts=False)
    assert one.outcome is None
    assert one.retry_s == 900.0 + 30.0  # but it is not tried without pause


@pytest.mark.parametrize(
    ("failures", "chance", "waits_s"),
    [(1, 1.0, 1.0), (2, 1.0, 2.0), (4, 1.0, 8.0), (9, 1.0, 30.0), (100, 1.0, 30.0), (4, 0.25, 2.0), (4, 0.0, 0.0)],
)
def test_the_back_off_doubles_up_to_its_cap_with_full_jitter(failures: int, chance: float, waits_s: float) -> None:
    one = machine(live=True, chance=chance)
    for _ in range(failures):
        one.connecting(10.0)
        one.failed(FailureKind.RETRY, "no", 10.0)
    assert one.retry_s == pytest.approx(10.0 + waits_s)
    assert not one.may_connect(10.0 + waits_s - 0.001)
    assert one.may_connect(10.0 + waits_s)


@pytest.mark.parametrize("opened", [False, True])
def test_the_cause_of_a_failure_is_told_and_whether_the_source_was_open(opened: bool) -> None:
    one = machine(live=True)
    for kind, said in ((FailureKind.RETRY, FailureCause.UNREACHABLE), (FailureKind.AUTH, None)):
        one.connecting(0.0)
        if opened:
            one.opened(0, 0.5)
        (news,) = one.failed(kind, "no", 1.0, cause=said)
        assert isinstance(news, StateChanged)
        assert news.failure == Failure(said or FailureCause.AUTH, opened)
        opened = False  # of the next connection, which opens nothing


def test_the_watchdog_ends_a_silent_connection_and_an_unhealthy_stream_is_not_renewed() -> None:
    one = machine()
    one.connecting(0.0)
    one.heard(5.0)
    assert one.check(34.9) == []
    assert one.healthy(44.9)
    assert not one.healthy(45.0)
    (news,) = one.check(35.1)
    assert isinstance(news, StateChanged)
    assert news.state is StreamState.RECONNECTING
    assert "30 s" in news.detail
    assert not one.connected
    assert one.healthy(1000.0)  # it backs off
    assert one.check(1000.0) == []


def test_a_live_stream_without_frames_stalls_before_it_is_given_up_and_comes_back() -> None:
    one = machine(live=True)
    one.connecting(0.0)
    one.opened(0, 0.5)
    for number in range(2):
        show(one, 1.0 + number / 2, number=number)
    assert one.check(6.4) == []
    assert states(one.check(6.6)) == [StreamState.STALLED]
    assert one.check(7.0) == []
    news = show(one, 8.0, number=2)
    assert states(news) == [StreamState.LIVE]
    assert GapNoticed(GapReason.SILENCE) in news
    assert GapNoticed(GapReason.SILENCE) not in show(one, 8.5, number=3)


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [
        ([(0.5, 0.5), (0.0, 0.5), (0.0, 0.5), (0.0, 0.5)], [StreamState.LIVE, StreamState.FROZEN]),
        ([(0.5, 0.5), (0.0, 0.5), (0.0, 0.5), (0.1, 0.5)], [StreamState.LIVE]),
        ([(0.5, 0.5), *[(0.0009, 0.5)] * 3], [StreamState.LIVE, StreamState.FROZEN]),
        ([(0.5, 0.5), *[(0.0016, 0.5)] * 9], [StreamState.LIVE]),
        (
            [(0.5, 0.01), (0.0, 0.01), (0.0, 0.01), (0.0, 0.01), (0.5, 0.5), (0.5, 0.5)],
            [StreamState.LIVE, StreamState.BLACK, StreamState.LIVE],
        ),
        ([(0.0, 0.5)], [StreamState.LIVE]),
    ],
    ids=[
        "still for 6 s",
        "moved in time",
        "a still picture, encoded anew",
        "the noise of a sensor",
        "black wins",
        "the first picture has nothing before it",
    ],
)
def test_what_a_live_picture_shows(pictures: list[tuple[float, float]], expected: list[StreamState]) -> None:
    one = machine(live=True)
    one.connecting(0.0)
    found: list[StreamState] = []
    for number, (motion, luma) in enumerate(pictures):
        found += states(show(one, number * 3.0, motion, luma, number))
    assert found == expected


def test_a_password_that_is_refused_twice_is_tried_seldom_until_it_is_right() -> None:
    one = machine(live=True, chance=0.0)
    waits_s: list[float] = []
    for _ in range(4):
        one.connecting(0.0)
        one.failed(FailureKind.AUTH, "401", 0.0)
        waits_s.append(one.retry_s or 0.0)
    assert waits_s == [0.0, 60.0, 60.0, 60.0]
    one.connecting(0.0)
    show(one, 1.0)
    one.failed(FailureKind.AUTH, "401", 2.0)
    assert one.retry_s == 2.0


@pytest.mark.parametrize("kind", [FailureKind.RETRY, FailureKind.AUTH])
def test_a_gap_is_noticed_with_the_first_sample_after_it(kind: FailureKind) -> None:
    """Also after the camera's password was wrong for a while, when the state before the sample is another."""
    one = machine(live=True)
    one.connecting(0.0)
    assert GapNoticed(GapReason.RECONNECT) not in show(one, 1.0)
    for at_s in (2.0, 50.0):
        one.failed(kind, "no", at_s)
        one.connecting(at_s + 40)
    assert GapNoticed(GapReason.RECONNECT) in show(one, 100.0, number=1)
    assert GapNoticed(GapReason.RECONNECT) not in show(one, 101.0, number=2)


def test_a_stream_never_seen_misses_nothing_however_often_it_failed() -> None:
    one = machine(live=True)
    one.connecting(0.0)
    one.failed(FailureKind.RETRY, "no", 1.0)
    one.connecting(2.0)
    assert [event for event in show(one, 3.0) if isinstance(event, GapNoticed)] == []


def test_a_handed_over_stream_goes_on_in_time_and_count() -> None:
    """The last owner's last sample was 60 s before this machine's start, at 100 s of the stream."""
    one = machine(live=True, checkpoint=SEEN)
    assert (one.decoded, one.delivered) == (50, 10)
    one.connecting(5.0)
    assert GapNoticed(GapReason.HANDOVER) in show(one, 6.0, number=10)
    assert GapNoticed(GapReason.HANDOVER) not in show(one, 7.0, number=11)


def test_a_finite_source_starts_from_its_beginning() -> None:
    one = machine(checkpoint=SEEN)
    assert (one.placed(sample(0, 3.0), 9.0, 1e9).pts_s, one.decoded, one.last_index) == (3.0, 0, 49)


def test_stopped_it_says_so_once_and_nothing_follows() -> None:
    one = machine()
    one.connecting(0.0)
    show(one, 1.0)
    assert one.stop() == [Outcome(OutcomeKind.STOPPED, 1, 1)]
    assert one.stop() == []
    assert one.failed(FailureKind.RETRY, "late", 2.0) == []
    assert one.check(1000.0) == []
    assert not one.may_connect(1000.0)


def open_and_count(one: StreamMachine, now_s: float) -> list[News]:
    one.opened(0, now_s)
    return one.count(one.decoded + 5, now_s)


STEPS: dict[str, Callable[[StreamMachine, float, int], list[News]]] = {
    "connecting": lambda one, now_s, n: one.connecting(now_s) if not one.connected and not one.outcome else [],
    "sample": lambda one, now_s, n: show(one, now_s, n % 3 / 2, n % 2 / 2, n) if one.connected else [],
    "still": lambda one, now_s, n: show(one, now_s, 0.0, 0.5, n) if one.connected else [],
    "packets": lambda one, now_s, n: open_and_count(one, now_s) if one.connected else [],
    "retry": lambda one, now_s, n: one.failed(FailureKind.RETRY, "no", now_s) if one.connected else [],
    "auth": lambda one, now_s, n: one.failed(FailureKind.AUTH, "no", now_s) if one.connected else [],
    "end": lambda one, now_s, n: one.ended("", now_s) if one.connected else [],
    "check": lambda one, now_s, n: one.check(now_s),
    "stop": lambda one, now_s, n: one.stop(),
}


@given(
    st.booleans(),
    st.floats(0, 1),
    st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.floats(0, 60)), max_size=60),
)
def test_whatever_happens_a_stream_is_connected_or_backs_off_or_is_over(
    live: bool, chance: float, steps: list[tuple[str, float]]
) -> None:
    one = machine(live, chance=chance)
    one.connecting(0.0)
    now_s, told, outcomes = 0.0, StreamState.CONNECTING, 0
    for number, (name, later_s) in enumerate(steps):
        now_s += later_s
        for event in STEPS[name](one, now_s, number):
            assert outcomes == 0, "nothing follows the outcome"
            if isinstance(event, StateChanged):
                assert event.state is not told or event.detail
                told = event.state
            outcomes += isinstance(event, Outcome)
        assert (one.connected, one.retry_s is not None, one.outcome is not None).count(True) == 1
        assert outcomes == (one.outcome is not None)
        if one.outcome is None:
            assert one.state is told, "what people are told is what it is"
        if one.retry_s is not None:
            assert now_s - 60 * 60 < one.retry_s <= now_s + 1.25 * LIMITS.auth_retry_s
        if live and one.outcome is not None:
            assert one.outcome.kind is OutcomeKind.STOPPED, "a live stream is given up by people alone"
