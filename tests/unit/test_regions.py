"""A job with named regions: one stream of results, labels and smoothing for each, and one account."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.job import Job
from streamtag.core.motion_gate import THUMBNAIL, Reference
from streamtag.core.options import SmoothingSettings
from streamtag.core.recording import record_batch, record_reused
from streamtag.core.records import Checkpoint, Claim, Counters, Sample
from streamtag.core.track import Track
from streamtag.core.track_state import RegionState, read_states, write_states
from streamtag.errors import RejectJob
from streamtag.pipeline.run import Classified, PendingSample, RunNews
from streamtag.queue.job_hash import read_checkpoint

from tests.support.loops import FakeSlots, run_of
from tests.unit.test_inference_loop import Bench
from tests.unit.test_track import BUNDLE

ROI = {"door": (0.0, 0.0, 0.5, 1.0), "yard": (0.5, 0.0, 0.5, 1.0)}
STILL = bytes(int(np.prod(THUMBNAIL)))


def track(checkpoint: Checkpoint = Checkpoint(), source: str = "clip.mp4") -> Track:  # noqa: B008 - frozen
    return Track(Claim(Job("j", source, roi=ROI), "1-0", 1, 1, checkpoint), BUNDLE, SmoothingSettings())


def sample(number: int, thumbnail: bytes = b"") -> Sample:
    """The door's samples are even, the yard's odd."""
    frame, region = divmod(number, 2)
    return Sample(frame * 5, frame * 0.2, 1e9 + frame, 0, 0.0, frame * 5 + 1, number + 1, "", region, thumbnail)


def classify(one: Track, *numbers: int, best: dict[int, int] | None = None, thumbnail: bytes = b"") -> None:
    scores = np.full((len(numbers), 3), 0.05, np.float32)
    for row, number in enumerate(numbers):
        scores[row, (best or {0: 0, 1: 1})[number % 2]] = 0.9
    assert record_batch([one] * len(numbers), [sample(number, thumbnail) for number in numbers], scores, 2) == []


def results(one: Track) -> list[tuple[str, dict[str, Any]]]:
    return [(entry_id, orjson.loads(payload)) for entry_id, payload in one.commit().results]


def test_each_region_has_labels_of_its_own_and_ids_grow_over_all() -> None:
    one = track()
    classify(one, 0, 2, 1, 3)  # as the queues of a batcher may give them
    found = results(one)
    assert [(entry_id, content["region"]) for entry_id, content in found] == [
        ("0-1", "door"),
        ("0-2", "yard"),
        ("200-11", "door"),
        ("200-12", "yard"),
    ]
    assert [content["active"] for _, content in found] == [["cat"], ["dog"], ["cat"], ["dog"]]
    assert found[2][1]["labels"][0]["smoothed"] == pytest.approx(0.9)  # of its own past alone
    commit = one.commit()
    assert commit.active == ("door:cat", "yard:dog")
    events = [orjson.loads(event) for event in commit.events]
    assert [(event["kind"], event["region"], event["label"]["name"]) for event in events] == [
        ("enter", "door", "cat"),
        ("enter", "yard", "dog"),
    ]


def test_the_labels_of_every_region_exit_at_the_end() -> None:
    one = track()
    classify(one, 0, 1)
    one.close()
    events = [orjson.loads(event) for event in one.commit().events]
    assert [event["region"] for event in events if event["kind"] == "exit"] == ["door", "yard"]


def test_the_account_counts_regions_of_frames() -> None:
    one = track()
    classify(one, 0, 1)
    one.fail(sample(2), "corrupt", "torn")
    one.drop(sample(3), "stale")
    one.totals(20)
    counters = one.counters.to_dict()
    assert counters["decoded"] * counters["regions"] == counters["sampled"] + counters["skipped"] == 40
    assert counters["sampled"] == counters["published"] + counters["dropped"] + counters["failed"] == 4
    (failed,) = [event for event in map(orjson.loads, one.commit().events) if event["kind"] == "frame_failed"]
    assert failed["region"] == "door"


@given(st.integers(0, 11))
def test_resumed_anywhere_it_goes_on_as_if_nothing_had_happened(split: int) -> None:
    """Also within a frame, and with scores that are taken from a sample before the hand-over."""

    def take(one: Track, number: int) -> None:
        if number % 6 < 2:
            classify(one, number, best={0: number // 6, 1: 1}, thumbnail=STILL)
        else:
            record_reused(one, sample(number), number - number % 6 + number % 2 + 1, 2)

    whole, first = track(), track()
    for number in range(12):
        take(whole, number)
    for number in range(split):
        take(first, number)
    second = track(first.commit().checkpoint)
    for number in range(split, 12):
        take(second, number)
    expected, resumed = whole.commit(), second.commit()
    assert first.commit().results + resumed.results == expected.results
    assert first.commit().events + resumed.events == expected.events
    assert dataclasses.replace(resumed.checkpoint, seq=1) == expected.checkpoint
    assert expected.checkpoint.counters.reused == 8
    assert [("reused" in content) for _, content in results(whole)] == [number % 6 >= 2 for number in range(12)]


def test_a_sample_takes_no_scores_but_those_of_the_picture_it_was_compared_with() -> None:
    one = track()
    classify(one, 0, 1, thumbnail=STILL)
    with pytest.raises(ValueError, match="scores of 2"):
        record_reused(one, sample(2), 2, 2)  # the yard's


STATES = [
    RegionState(b"\x00one\nstate"),
    RegionState(b"", Reference(7, 1.5, bytes(range(256)) * 3, np.array([0.25, 0.75, 0.0], np.float32))),
    RegionState(b"{}\n" + b"\xff" * 12, Reference(2, 0.5, STILL, np.array([1.0, 0.0, 0.0], np.float32))),
]


def same(found: list[RegionState], expected: list[RegionState]) -> None:
    assert [state.smoother for state in found] == [state.smoother for state in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.reference is None) == (other.reference is None)
        if one.reference and other.reference:
            assert (one.reference.number, one.reference.pts_s) == (other.reference.number, other.reference.pts_s)
            assert one.reference.thumbnail == other.reference.thumbnail
            assert one.reference.scores.tolist() == other.reference.scores.tolist()


def test_states_are_read_as_they_were_written() -> None:
    stored = write_states(STATES)
    same(read_states(stored, 3, 3), STATES)
    for one in STATES:
        same(read_states(write_states([one]), 1, 3), [one])


def test_a_job_without_regions_and_gate_stores_what_its_smoother_does() -> None:
    assert write_states(STATES[:1]) == STATES[0].smoother


def test_another_network_keeps_no_scores_and_another_job_nothing() -> None:
    assert [state.reference for state in read_states(write_states(STATES), 3, 4)] == [None] * 3
    assert read_states(write_states(STATES), 2, 3) == [RegionState(b"")] * 2
    assert read_states(STATES[0].smoother, 2, 3) == [RegionState(b"")] * 2


@given(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 2000))
def test_stored_states_that_a_stranger_wrote_are_refused_or_harmless(place: int, value: int, length: int) -> None:
    raw = bytearray(write_states(STATES))
    raw[place % len(raw)] = value
    for stored in (bytes(raw), bytes(raw[:length])):
        try:
            states = read_states(stored, 3, 3)
        except RejectJob:
            continue
        for state in states:
            if state.reference is not None:
                assert len(state.reference.thumbnail) == len(STILL)
                assert state.reference.scores.shape == (3,)
                assert ((state.reference.scores >= 0) & (state.reference.scores <= 1.001)).all()


def test_the_account_in_a_hash_closes_by_its_regions() -> None:
    counters = Counters(10, 16, 16, reused=5, regions=2)
    names = [b"3", b"9", b"1.5", b"1500-19", b"99", orjson.dumps(counters.to_dict()), b""]
    assert read_checkpoint(names).counters == counters


def test_newer_samples_drive_out_those_of_their_own_region_alone() -> None:
    bench, run = Bench(slots=4), run_of("cam", "rtsp://cam/1")
    run.track = track(source="rtsp://cam/1")
    slots = FakeSlots()
    for slot, (number, region) in enumerate([(1, 0), (2, 1), (3, 0), (5, 0)]):
        waiting = dataclasses.replace(sample(number - 1), slot=slot, region=region)
        bench.put(PendingSample(run, slots.as_session(), waiting, 0.0))
    assert slots.released == [0]
    bench.clock.now_s += 0.1
    dropped, batch = bench.turn()
    assert isinstance(dropped, RunNews)
    assert isinstance(batch, Classified)
    assert [item.sample.sampled for item in batch.items] == [2, 3, 5]
