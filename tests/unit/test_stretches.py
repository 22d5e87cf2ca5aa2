"""Stretches of time with the same labels, from results."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies
from streamtag.core.records import Result
from streamtag.core.stretches import Stretch, stretches
from streamtag.errors import StreamtagError

GAP_S = 5.0


def sample(pts_s: float, *active: str, region: str = "") -> Result:
    return Result("1-1", 0, pts_s, (), active, region=region)


def told(*samples: Result) -> list[tuple[float, float, tuple[str, ...]]]:
    return [(one.start_s, one.end_s, one.active) for one in stretches(samples, GAP_S)]


def test_a_stretch_lasts_until_something_changes() -> None:
    found = told(sample(0), sample(1, "dog"), sample(2, "dog"), sample(3, "dog", "ball"), sample(4, "ball"), sample(5))
    assert found == [(1, 3, ("dog",)), (3, 4, ("dog", "ball")), (4, 5, ("ball",))]


def test_the_order_of_the_labels_changes_nothing() -> None:
    assert told(sample(0, "a", "b"), sample(1, "b", "a"), sample(2)) == [(0, 2, ("a", "b"))]


def test_what_is_on_at_the_end_closes_there() -> None:
    assert told(sample(0), sample(0.5, "dog")) == [(0.5, 1.0, ("dog",))]
    assert told(sample(7, "dog")) == [(7, 8, ("dog",))]
    assert told() == []


def test_nothing_is_said_of_time_without_samples() -> None:
    assert told(sample(0, "dog"), sample(1, "dog"), sample(60, "dog"), sample(61)) == [
        (0, 2, ("dog",)),
        (60, 61, ("dog",)),
    ]


def test_samples_each_ten_seconds_are_of_one_stretch() -> None:
    slow = [sample(second, "dog") for second in (*range(0, 50, 10), 140, 150)]
    found = [(one.start_s, one.end_s) for one in stretches(slow, GAP_S, step_s=10.0)]
    assert found == [(0, 50), (140, 160)]


def test_time_that_begins_anew_ends_a_stretch() -> None:
    assert told(sample(8, "dog"), sample(9, "dog"), sample(0, "cat"), sample(1)) == [
        (8, 10, ("dog",)),
        (0, 1, ("cat",)),
    ]


def test_regions_of_one_frame_count_together() -> None:
    found = told(
        sample(0, "dog", region="door"),
        sample(0, region="yard"),
        sample(1, "dog", region="door"),
        sample(1, "dog", region="yard"),
        sample(2, region="door"),
        sample(2, region="yard"),
    )
    assert found == [(0, 1, ("door: dog",)), (1, 2, ("door: dog", "yard: dog"))]


def test_more_regions_than_a_job_may_have_are_refused() -> None:
    with pytest.raises(StreamtagError, match="more than 16 regions"):
        told(*(sample(0, "dog", region=f"r{number}") for number in range(17)))


TIMES = strategies.lists(strategies.integers(1, 120), min_size=1, max_size=30)
LABELS = strategies.lists(strategies.sampled_from("abc"), unique=True)


@given(TIMES, strategies.data())
def test_at_each_sample_the_stretch_around_it_tells_what_was_active(
    steps: list[int], data: strategies.DataObject
) -> None:
    times = [tenths / 10 for tenths in itertools.accumulate(steps)]
    samples = [sample(time_s, *data.draw(LABELS)) for time_s in times]
    found = list(stretches(samples, GAP_S))
    assert all(one.end_s <= other.start_s for one, other in itertools.pairwise(found))
    for one in samples:
        around = [stretch for stretch in found if stretch.start_s <= one.pts_s < stretch.end_s]
        assert [set(stretch.active) for stretch in around] == ([set(one.active)] if one.active else [])
    assert all(isinstance(one, Stretch) and one.active for one in found)
