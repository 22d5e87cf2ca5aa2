"""Presentation time of a live stream: the seconds since its first frame ever, by our clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamtag.core.failure import FailureKind
from streamtag.core.records import Sample
from streamtag.core.stream_state import StreamMachine

from tests.unit.test_stream_state import LIMITS, SEEN, machine, sample


def come(pts_s: float, captured_unix_s: float = 0.0) -> Sample:
    return replace(sample(0, pts_s), captured_unix_s=captured_unix_s)


# When a connection began; and of each of its samples when it was heard of, how old it was by the wall clock, and its
# presentation time there.
Connection = tuple[float, list[tuple[float, float, float]]]
STEADY: list[tuple[float, float, float]] = [(10.0, 0.0, 0.0), (11.5, 0.5, 1.0)]


@pytest.mark.parametrize(
    ("connections", "times_s"),
    [
        ([(0.0, STEADY)], [0.0, 1.0]),
        # The first opened in 10 s, the second at once or in 30 s.
        ([(0.0, STEADY), (20.0, [(20.0, 0.0, 0.0), (21.0, 0.0, 1.0)])], [0.0, 1.0, 10.0, 11.0]),
        ([(0.0, STEADY), (20.0, [(50.0, 0.0, 0.0)])], [0.0, 1.0, 40.0]),
        # The first sample was not its first frame, and what came lay about for a while.
        ([(0.0, [(11.0, 1.0, 4.0)]), (20.0, [(52.0, 2.0, 7.0), (51.0, 0.0, 8.0)])], [4.0, 44.0, 45.0]),
        # Connections that bring nothing, also before there was any frame.
        ([(0.0, []), (5.0, []), (9.0, STEADY), (20.0, []), (30.0, [(40.0, 0.0, 0.0)])], [0.0, 1.0, 30.0]),
        # Segments that come at once are ahead of our clock, and time does not go back for it.
        ([(0.0, [(10.0, 0.0, 0.0), (11.0, 0.0, 18.0)]), (12.0, [(13.0, 0.0, 0.0)])], [0.0, 18.0, 18.001]),
        # The wall clock was set by an hour since a sample came.
        ([(0.0, STEADY), (20.0, [(50.0, 3600.0, 0.0)])], [0.0, 1.0, 35.0]),
        ([(0.0, STEADY), (20.0, [(50.0, -3600.0, 0.0)])], [0.0, 1.0, 40.0]),
    ],
)
def test_live_time_is_since_the_first_frame_ever(connections: list[Connection], times_s: list[float]) -> None:
    """It began anew with a connection, counted from the job's start: off by what opening took now, less then."""
    one, placed = machine(live=True), []
    for began_s, samples in connections:
        one.connecting(began_s)
        for heard_s, age_s, pts_s in samples:
            placed.append(one.placed(come(pts_s, 5000.0 - age_s), heard_s, 5000.0).pts_s)
        one.failed(FailureKind.RETRY, "no", began_s + 1)
    assert placed == pytest.approx(times_s)


def test_a_handed_over_stream_goes_on_in_time() -> None:
    """The last owner's last sample was 60 s before this machine's start, at 100 s of the stream."""
    one = machine(live=True, checkpoint=SEEN)
    one.connecting(5.0)
    assert one.placed(come(0.0), 6.0, 0.0).pts_s == 166.0


def test_live_time_never_goes_back_when_the_wall_clock_does() -> None:
    early = StreamMachine(LIMITS, True, SEEN, 0.0, 1000.0, lambda: 1.0)  # before the last sample was taken
    early.connecting(0.0)
    assert early.placed(come(0.0), 0.0, 0.0).pts_s == pytest.approx(100.001)
