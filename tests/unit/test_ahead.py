"""A stream that is opened before its job is ours: what it keeps, what it sends on, and how that is numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from streamtag.core.gaps import GapNoticed, GapReason
from streamtag.core.records import Checkpoint, Claim, Counters, Sample, StreamState
from streamtag.core.stream_state import Outcome, OutcomeKind, StateChanged
from streamtag.ingest.stream import FramesDecoded, SampleReady, StreamEvent, Unclassified
from streamtag.pipeline.ahead import Ahead

from tests.support.loops import FakeSlots, claim

# When it was opened, its owner had committed ten samples of a hundred frames, the last of second 50.
OPENED = Checkpoint(5, 99, 50.0, "1-1", 1050.0, Counters(100, 10, 10))


@dataclass
class Opened:
    """One that was opened two seconds later, of two samples a second."""

    slots: FakeSlots = field(default_factory=FakeSlots)
    delivered: list[StreamEvent] = field(default_factory=list)
    changes: int = 0
    hold: int = 4
    number: int = 10

    def __post_init__(self) -> None:
        job = claim("cam", "rtsp://cam/1").job
        self.ahead = Ahead(Claim(job, "1-1", 1, 0, OPENED), 0.5, self.hold, self.changed)

    def changed(self) -> None:
        self.changes += 1

    def sample(self, captured_s: float) -> Sample:
        """The next, with ten frames before it; its time is that of its capture, and a little off."""
        self.number += 1
        decoded = 10 * self.number
        return Sample(decoded - 1, captured_s + 0.1, 1000.0 + captured_s, self.number, 0.0, decoded, self.number)

    def sees(self, *captured_s: float) -> None:
        for one in captured_s:
            self.ahead.emit(SampleReady(self.slots.as_session(), self.sample(one), 0.0))

    def sees_frames(self, *captured_s: float, regions: int) -> None:
        for frame, one_s in enumerate(captured_s):
            for region in range(regions):
                one = replace(self.sample(one_s), index=100 + frame, decoded=101 + frame, region=region)
                self.ahead.emit(SampleReady(self.slots.as_session(), one, 0.0))

    def take(
        self,
        last_s: float = 52.0,
        sampled: int = 14,
        decoded: int = 140,
        regions_s: Sequence[float | None] = (),
    ) -> None:
        """Take the job, whose owner has committed that much by then."""
        counters = Counters(decoded, sampled, sampled)
        checkpoint = Checkpoint(9, decoded - 1, last_s, "2-2", 1000.0 + last_s, counters)
        self.ahead.go_on(checkpoint, regions_s, self.delivered.append)

    @property
    def samples(self) -> list[Sample]:
        return [one.sample for one in self.delivered if isinstance(one, SampleReady | Unclassified)]


def test_before_it_is_ours_it_keeps_its_newest_samples_and_tells_nothing() -> None:
    opened = Opened()
    opened.ahead.emit(FramesDecoded(3))
    opened.ahead.emit(GapNoticed(GapReason.HANDOVER))
    assert not opened.ahead.ready
    opened.sees(52.0, 52.5, 53.0, 53.5, 54.0, 54.5)
    assert opened.ahead.ready
    assert opened.changes == 1
    assert opened.slots.released == [11, 12]
    assert opened.delivered == []


def test_what_its_owner_had_not_committed_is_sent_on_and_counted_on_without_a_hole() -> None:
    opened = Opened()
    opened.sees(51.5, 52.0, 52.5, 53.0)
    opened.take(last_s=52.0)
    opened.sees(53.5)
    assert opened.slots.released == [11, 12], "those its owner has published"
    assert [one.captured_unix_s for one in opened.samples] == [1052.5, 1053.0, 1053.5]
    assert [one.sampled for one in opened.samples] == [15, 16, 17]
    assert [one.decoded for one in opened.samples] == [150, 160, 170]
    assert [one.index for one in opened.samples] == [149, 159, 169]
    assert [one.pts_s for one in opened.samples] == [52.5, 53.0, 53.5], "the time of the owner's goes on"
    assert [type(one) for one in opened.delivered] == [SampleReady] * 3


def test_with_nothing_new_by_then_it_goes_on_with_the_next() -> None:
    opened = Opened()
    opened.sees(52.0)
    opened.take(last_s=51.9, sampled=20)
    assert opened.delivered == []
    assert opened.slots.released == [11], "as good as the same time: the same picture"
    opened.sees(52.4)
    assert [(one.sampled, round(one.pts_s, 6)) for one in opened.samples] == [(21, 52.4)]


def test_samples_without_a_picture_are_counted_in_their_order() -> None:
    opened = Opened()
    opened.ahead.emit(Unclassified(opened.sample(52.0), True, "backpressure"))
    assert not opened.ahead.ready
    opened.sees(52.5)
    opened.ahead.emit(Unclassified(opened.sample(53.0), True, "backpressure"))
    opened.take(last_s=52.0)
    assert [type(one) for one in opened.delivered] == [SampleReady, Unclassified]
    assert [one.sampled for one in opened.samples] == [15, 16]


def test_a_hole_is_declared_and_what_is_none_is_not() -> None:
    opened = Opened()
    opened.sees(52.4)
    opened.take(last_s=52.0)
    assert [one for one in opened.delivered if isinstance(one, GapNoticed)] == []
    late = Opened()
    late.sees(55.0)
    late.take(last_s=52.0)
    assert late.delivered[0] == GapNoticed(GapReason.HANDOVER)


def test_a_camera_that_goes_away_meanwhile_makes_it_no_more_ready() -> None:
    opened = Opened()
    opened.sees(52.0)
    opened.ahead.emit(StateChanged(StreamState.RECONNECTING, "gone"))
    assert not opened.ahead.ready
    opened.ahead.emit(Outcome(OutcomeKind.REJECTED, 120, 12, "too large"))
    assert opened.ahead.over


def test_an_end_between_the_taking_and_the_first_event_is_told_with_its_own_numbers() -> None:
    opened = Opened()
    opened.sees(52.5)
    opened.ahead.emit(Outcome(OutcomeKind.REJECTED, 115, 11, "too large"))
    opened.take(last_s=52.0)
    assert opened.delivered[-1] == Outcome(OutcomeKind.REJECTED, 155, 15, "too large")
    assert opened.samples[-1].sampled == 15


def test_states_are_told_once_it_is_ours() -> None:
    opened = Opened()
    opened.ahead.emit(StateChanged(StreamState.LIVE))
    opened.sees(52.5)
    opened.take()
    opened.ahead.emit(StateChanged(StreamState.STALLED))
    assert opened.ahead.state is StreamState.LIVE
    assert opened.delivered[-1] == StateChanged(StreamState.STALLED)


def test_the_regions_of_a_frame_are_kept_and_passed_over_together() -> None:
    opened = Opened()
    opened.sees_frames(51.5, 52.0, 52.5, regions=2)
    opened.take(last_s=52.0, sampled=17, decoded=140, regions_s=(52.0, 52.0))
    assert [(one.sampled, one.region) for one in opened.samples] == [(18, 0), (19, 1)]
    assert {one.index for one in opened.samples} == {140}
    assert opened.slots.released == [11, 12, 13, 14]


def test_the_rest_of_a_frame_of_which_some_regions_were_committed_is_sent_on() -> None:
    """It was lost once, and nobody was told."""
    opened = Opened(hold=12)
    opened.sees_frames(51.5, 52.0, 52.5, regions=3)
    opened.take(last_s=52.0, sampled=17, decoded=140, regions_s=(52.0, 51.5, 51.5))
    assert [(one.sampled, one.region, one.pts_s) for one in opened.samples] == [
        (18, 1, 52.0),
        (19, 2, 52.0),
        (20, 0, 52.5),
        (21, 1, 52.5),
        (22, 2, 52.5),
    ]
    assert [one.index for one in opened.samples] == [139, 139, 140, 140, 140], "the frame is the one that was begun"
    assert opened.slots.released == [11, 12, 13, 14]
    assert not any(isinstance(one, GapNoticed) for one in opened.delivered)


def test_the_rest_of_a_frame_that_is_not_here_is_a_declared_gap() -> None:
    opened = Opened(hold=12)
    opened.sees_frames(52.5, 53.0, regions=3)
    opened.take(last_s=52.0, sampled=17, decoded=140, regions_s=(52.0, None, 51.5))
    assert opened.delivered[0] == GapNoticed(GapReason.HANDOVER)
    assert [one.sampled for one in opened.samples] == [18, 19, 20, 21, 22, 23]


def test_a_part_of_the_rest_of_a_frame_is_sent_on_and_the_gap_declared() -> None:
    opened = Opened(hold=4)
    opened.sees_frames(52.0, 52.5, regions=3)
    opened.take(last_s=52.0, sampled=17, decoded=140, regions_s=(52.0, 51.5, 51.5))
    assert opened.delivered[0] == GapNoticed(GapReason.HANDOVER)
    assert [one.region for one in opened.samples] == [2, 0, 1, 2]
