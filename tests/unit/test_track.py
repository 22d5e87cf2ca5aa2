"""What a job publishes: ids, order, account."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.core.job import Job
from streamtag.core.options import SmoothingSettings
from streamtag.core.recording import record_batch
from streamtag.core.records import Checkpoint, Claim, Sample
from streamtag.core.track import Commit, Track

BUNDLE = Bundle("three", "none", ("cat", "dog", "nothing"), Preprocessing(32), background=frozenset({2}))


def track(source: str = "clip.mp4", checkpoint: Checkpoint = Checkpoint()) -> Track:  # noqa: B008 - frozen
    return Track(Claim(Job("j", source), "1-0", 1, 1, checkpoint), BUNDLE, SmoothingSettings())


def sample(number: int, pts_s: float | None = None, captured: float = 1000.0) -> Sample:
    pts_s = number * 0.2 if pts_s is None else pts_s
    return Sample(number * 5, pts_s, captured + number * 0.2, 0, 0.0, number * 5 + 1, number + 1)


def classify(one: Track, *samples: Sample, best: int = 0) -> None:
    scores = np.full((len(samples), 3), 0.05, np.float32)
    scores[:, best] = 0.9
    record_batch([one] * len(samples), samples, scores, 2)


def payloads(commit: Commit) -> list[dict[str, Any]]:
    return [orjson.loads(payload) for _, payload in commit.results]


def test_ids_of_a_finite_source_follow_from_the_samples_alone() -> None:
    one = track()
    classify(one, sample(0), sample(1), sample(2))
    assert [entry_id for entry_id, _ in one.commit().results] == ["0-1", "200-6", "400-11"]


def test_an_id_never_goes_back_when_time_does() -> None:
    one = track()
    classify(one, sample(0, pts_s=5.0), sample(1, pts_s=1.0))
    assert [entry_id for entry_id, _ in one.commit().results] == ["5000-1", "5000-6"]


def test_ids_of_a_live_source_are_the_capture_time_and_never_go_back() -> None:
    one = track("rtsp://cam/1")
    classify(one, sample(0, captured=2000.0), sample(1, captured=1000.0), sample(2, captured=2000.0))
    assert [entry_id for entry_id, _ in one.commit().results] == ["2000000-0", "2000000-1", "2000400-0"]


def test_labels_are_by_smoothed_score_and_active_names_are_those_of_that_time() -> None:
    one = track()
    classify(one, sample(0))
    classify(one, sample(1), best=1)
    first, second = payloads(one.commit())
    assert first["labels"][0] == {"class_id": 0, "name": "cat", "score": 0.9, "smoothed": 0.9}
    assert first["active"] == ["cat"]
    assert [label["name"] for label in second["labels"]] == ["cat", "dog"]
    assert second["labels"][1]["score"] == pytest.approx(0.9)


def test_a_failed_sample_waits_for_those_before_it() -> None:
    """A checkpoint must not pass over a sample that is still on the device."""
    one = track()
    one.fail(sample(1), "corrupt", "torn")
    one.drop(sample(2), "stale")
    assert one.counters.handled == 0
    assert one.commit().checkpoint.last_index == -1
    one.committed()
    classify(one, sample(0))
    assert one.counters.handled == 3
    assert one.commit().checkpoint.last_index == 10
    assert (one.counters.failed, one.counters.dropped) == ({"corrupt": 1}, {"stale": 1})


@pytest.mark.parametrize(("source", "events"), [("rtsp://cam/1", 2), ("clip.mp4", 3)])
def test_of_samples_of_a_live_source_that_fail_in_a_row_the_first_has_an_event(source: str, events: int) -> None:
    """Each had one: a camera behind a bad network told the same for hours, where events of all others are kept."""
    one = track(source)
    one.fail(sample(0), "corrupt", "packets of it were lost")
    one.drop(sample(1), "stale")
    one.fail(sample(2), "corrupt", "packets of it were lost")
    classify(one, sample(3))
    one.fail(sample(4), "corrupt", "packets of it were lost")
    assert [orjson.loads(event)["kind"] for event in one.commit().events].count("frame_failed") == events
    assert one.counters.failed == {"corrupt": 3}


def test_the_account_closes() -> None:
    one = track()
    classify(one, sample(0), sample(1))
    one.fail(sample(2), "corrupt", "torn")
    classify(one, sample(3))
    one.totals(20)
    counters = one.counters.to_dict()
    assert counters["decoded"] == counters["sampled"] + counters["skipped"] == 20
    assert counters["sampled"] == counters["published"] + counters["dropped"] + counters["failed"] == 4


def test_resumed_from_a_checkpoint_it_goes_on_as_if_nothing_had_happened() -> None:
    whole, first = track(), track()
    for number in range(6):
        classify(whole, sample(number), best=number // 3)
    for number in range(3):
        classify(first, sample(number), best=0)
    checkpoint = first.commit().checkpoint
    second = track(checkpoint=checkpoint)
    for number in range(3, 6):
        classify(second, sample(number), best=1)
    expected, resumed = whole.commit(), second.commit()
    assert first.commit().results + resumed.results == expected.results
    assert first.commit().events + resumed.events == expected.events
    assert dataclasses.replace(resumed.checkpoint, seq=1) == expected.checkpoint


def test_a_commit_stays_the_same_until_it_is_done_and_what_came_since_is_in_the_next() -> None:
    """Its reply may be lost while Redis has it: sent again with more in it, the more would be taken for done."""
    one = track()
    classify(one, sample(0))
    first = one.commit()
    classify(one, sample(1), sample(2))
    assert one.commit() is first
    assert len(first.results) == 1
    assert first.checkpoint.counters.published == 1
    one.committed()
    second = one.commit()
    assert (second.expected_seq, len(second.results)) == (1, 2)
    assert second.checkpoint.counters.published == 3
    one.committed()
    assert not one.has_pending


def test_a_gap_says_how_much_was_missed() -> None:
    one = track("rtsp://cam/1")
    one.gap(5000.0, "reconnect")
    assert not one.has_pending  # nothing was seen before, so nothing is missing
    classify(one, sample(0, captured=1000.0))
    one.gap(1012.5, "reconnect")
    event = orjson.loads(one.commit().events[-1])
    assert (event["kind"], event["missed_s"], event["reason"]) == ("gap", 12.5, "reconnect")
    one.committed()
    one.gap(990.0, "silence", 983.0)  # what became clear only later
    event = orjson.loads(one.commit().events[-1])
    assert (event["from_unix_s"], event["missed_s"]) == (983.0, 7.0)


FATES = ("publish", "drop", "fail")


@st.composite
def told_out_of_order(draw: st.DrawFn) -> list[tuple[int, str]]:
    """Samples and their fates as two threads tell them: results and stale ones by one, what found no slot by the other,
    each in order; and, to be sure, a few swapped at random."""
    fates = draw(st.lists(st.sampled_from(FATES), min_size=1, max_size=25))
    by_intake = draw(st.lists(st.booleans(), min_size=len(fates), max_size=len(fates)))
    ways: list[list[tuple[int, str]]] = [[], []]
    for number, (fate, intake) in enumerate(zip(fates, by_intake, strict=True)):
        ways[intake and fate != "publish"].append((number, fate))
    told: list[tuple[int, str]] = []
    while any(ways):
        way = draw(st.sampled_from([one for one in ways if one]))
        told.append(way.pop(0))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(told) - 1))
        told.append(told.pop(at))
    return told


@given(told_out_of_order(), st.integers(1, 5), st.sampled_from(["clip.mp4", "rtsp://cam/1"]))
def test_the_account_closes_whoever_tells_what_and_when(told: list[tuple[int, str]], every: int, source: str) -> None:
    one = track(source)
    positions: list[tuple[int, int, float, float]] = []
    committed: list[tuple[str, bytes]] = []
    for count, (number, fate) in enumerate(told, 1):
        if fate == "publish":
            classify(one, sample(number))
        elif fate == "drop":
            one.drop(sample(number), "stale")
        else:
            one.fail(sample(number), "corrupt", "torn")
        assert one.counters.sampled == one.counters.handled, "it closes at each moment"
        if count % every == 0:
            commit = one.commit()
            committed += commit.results
            one.committed()
            at = commit.checkpoint
            positions.append((at.counters.sampled, at.last_index, at.last_pts_s, at.last_captured_unix_s))
    committed += one.commit().results
    fates = [fate for _, fate in told]
    assert one.held == 0
    assert positions == sorted(positions)
    counters = one.counters
    assert (counters.sampled, counters.published) == (len(told), fates.count("publish"))
    assert (counters.dropped.get("stale", 0), counters.failed.get("corrupt", 0)) == (
        fates.count("drop"),
        fates.count("fail"),
    )
    expected = sorted(number * 5 for number, fate in told if fate == "publish")
    assert [orjson.loads(payload)["index"] for _, payload in committed] == expected


def test_the_order_in_which_fates_are_told_changes_nothing_of_what_is_published() -> None:
    """Dropped by two threads, while the device has those between."""
    straight, mixed = track(), track()
    for number in range(8):
        if number in (2, 3, 6):
            straight.drop(sample(number), "stale" if number == 3 else "backpressure")
        else:
            classify(straight, sample(number), best=number // 4)
    mixed.drop(sample(2), "backpressure")
    mixed.drop(sample(6), "backpressure")
    mixed.drop(sample(3), "stale")
    classify(mixed, sample(1), best=0)
    classify(mixed, sample(4), sample(5), best=1)
    classify(mixed, sample(0), best=0)
    classify(mixed, sample(7), best=1)
    assert mixed.commit() == straight.commit()


def test_a_fate_that_is_told_twice_is_refused() -> None:
    one = track()
    one.drop(sample(1), "stale")
    classify(one, sample(0))
    for number in (0, 1):
        with pytest.raises(ValueError, match=f"sample {number + 1} was told of twice"):
            one.drop(sample(number), "stale")
