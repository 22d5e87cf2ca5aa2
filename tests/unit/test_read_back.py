"""What is read back from Redis or heard from a decoder, changed at will: it is as we write it, or refused in our words.

Whatever is taken must also be worked with: a track goes on from it, a person is shown it.
"""

from __future__ import annotations

import contextlib
import math
import tracemalloc
from dataclasses import replace
from typing import get_args

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.cli.views import event_line, outcome_line, result_line
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.core.failure import FailureKind
from streamtag.core.job import Job
from streamtag.core.options import SmoothingSettings
from streamtag.core.recording import record_batch
from streamtag.core.records import Checkpoint, Claim, Counters, JobView, Sample, WorkerView
from streamtag.core.smoothing import Smoother
from streamtag.core.track import Track
from streamtag.errors import QueueRefused, RejectJob
from streamtag.ingest import wire
from streamtag.queue.heartbeats import read_heartbeat
from streamtag.queue.job_hash import CHECKPOINT_FIELDS, Unreadable, read_checkpoint, read_view, shown_json
from streamtag.queue.published import read_dead_letter, read_event, read_result
from streamtag.redaction import printable

from tests.support.mutations import mutated, spoilt

CLASSES = 4
METHODS = get_args(SmoothingSettings.model_fields["method"].annotation)
BUNDLE = Bundle("four", "none", ("cat", "dog", "cow", "nothing"), Preprocessing(32), background=frozenset({3}))
COUNTERS = orjson.dumps(Counters(90, 30, 25, {"stale": 3}, {"corrupt": 2}).to_dict())


def state(method: str) -> bytes:
    smoother = Smoother(SmoothingSettings.model_validate({"method": method}), CLASSES)
    for number in range(6):
        smoother.update(number * 0.5, np.array([0.9, 0.05, 0.03, 0.02], np.float32))
    return smoother.dump()


STATES = [state(method) for method in METHODS]
STORED = {
    "seq": [b"17"],
    "last_index": [b"88", b"-1"],
    "last_pts": [b"3.52", b"0.0"],
    "last_id": [b"3520-89", b"1764000000000-3"],
    "last_captured": [b"1764000000.25", b"0.0"],
    "counters": [COUNTERS],
    "smoother": STATES,
}
assert tuple(STORED) == CHECKPOINT_FIELDS


def one_spoilt(fields: dict[str, list[bytes]]) -> st.SearchStrategy[dict[str, bytes | None]]:
    """Fields of which one to three are changed or missing, the others as they are written."""
    spoil = st.sets(st.sampled_from(sorted(fields)), min_size=1, max_size=3)

    def of(chosen: set[str]) -> st.SearchStrategy[dict[str, bytes | None]]:
        return st.fixed_dictionaries(
            {
                name: (mutated(*good) | st.none()) if name in chosen else st.sampled_from(good)
                for name, good in fields.items()
            }
        )

    return spoil.flatmap(of)


@given(one_spoilt(STORED), st.sampled_from(["clip.mp4", "rtsp://camera/1"]), st.sampled_from(METHODS))
def test_a_job_goes_on_from_any_checkpoint_that_is_taken(
    stored: dict[str, bytes | None], source: str, method: str
) -> None:
    try:
        checkpoint = read_checkpoint(list(stored.values()))
        smoothing = SmoothingSettings.model_validate({"method": method})
        track = Track(Claim(Job("j", source), "1-0", 1, 0, checkpoint), BUNDLE, smoothing)
    except (Unreadable, RejectJob) as refusal:
        shows_nothing_that_is_obeyed(str(refusal))
        return
    goes_on(track, checkpoint)


def goes_on(track: Track, before: Checkpoint) -> None:
    counters = before.counters
    index, sampled = before.last_index + 1, counters.sampled + 1
    sample = Sample(index, before.last_pts_s + 0.2, 1.764e9, 0, 0.0, counters.decoded + 1, sampled)
    scores = np.array([[0.1, 0.8, 0.05, 0.05]], np.float32)
    assert record_batch([track], [sample], scores, 2) == []
    track.gap(1.764e9, "handed_over")
    track.drop(replace(sample, sampled=sampled + 1, decoded=counters.decoded + 2), "stale")
    track.close()
    step = track.commit()
    assert step.expected_seq == before.seq
    assert step.checkpoint.counters.handled == step.checkpoint.counters.sampled == sampled + 1
    ((entry_id, payload),) = step.results
    assert int(entry_id.split("-")[0]) >= int(before.last_id.split("-")[0])
    result_line(read_result(entry_id, {b"result": payload}))
    for event in step.events:
        assert read_event("1-0", {b"event": event}).kind != "unreadable"


@given(spoilt(*(state.partition(b"\n")[0] for state in STATES)), st.sampled_from(METHODS), st.booleans())
def test_a_smoother_goes_on_from_any_state_that_is_taken(head: bytes, method: str, vector: bool) -> None:
    smoother = Smoother(SmoothingSettings.model_validate({"method": method}), CLASSES)
    body = np.full(CLASSES, 0.25, np.float32).tobytes() if vector else b""
    with contextlib.suppress(RejectJob):
        smoother.load(head + b"\n" + body)
    for number in range(3):
        smoothed, _ = smoother.update(number + 2.0, np.array([0.1, 0.8, 0.05, 0.05], np.float32))
        assert np.isfinite(smoothed).all()
    smoother.close()
    Smoother(SmoothingSettings.model_validate({"method": method}), CLASSES).load(smoother.dump())


SHOWN = shown_json(Job("cam", "rtsp://u:p@camera/1", "door"))
VIEW = {
    "status": [b"running", b"done", b"queued"],
    "state": [b"live"],
    "reason": [b"", b"no such file"],
    "owner": [b"host-1-ab12cd"],
    "progress": [b"0.25", b""],
    "deliveries": [b"3"],
    "crashes": [b"1"],
    "counters": [COUNTERS],
    "last_captured": [b"1764000000.25"],
    "lag": [b"0.125"],
    "active": [b'["cat","dog"]'],
    "submitted": [b"1764000000.125"],
    "started": [b"1764000001.5"],
    "updated": [b"1764000002.5"],
    "finished": [b"1764000003.5"],
    "shown": [SHOWN],
}


@given(one_spoilt(VIEW), st.binary(max_size=8), st.binary(max_size=8))
def test_a_job_is_shown_or_called_unreadable(stored: dict[str, bytes | None], name: bytes, value: bytes) -> None:
    fields = {name.encode(): value for name, value in stored.items() if value is not None} | {name: value}
    try:
        view = read_view("j", fields)
    except Unreadable as refusal:
        shows_nothing_that_is_obeyed(str(refusal))
        return
    assert view.counters.handled == view.counters.sampled <= view.counters.decoded
    assert all(math.isfinite(value) for value in times_of(view))
    shows_nothing_that_is_obeyed(outcome_line(view).plain)
    orjson.dumps(view.to_dict())


def shows_nothing_that_is_obeyed(text: str) -> None:
    """By a terminal."""
    assert printable(text, len(text)) == text


def times_of(view: JobView | WorkerView) -> list[float]:
    return [value for name, value in view.to_dict().items() if name.endswith("_unix_s")]


RESULT = orjson.dumps(
    {
        "index": 7,
        "pts_s": 0.28,
        "labels": [{"class_id": 1, "name": "dog", "score": 0.9, "smoothed": 0.8}],
        "active": ["dog"],
        "change": 0.4,
        "path": "photos/dog.jpg",
    }
)
EVENTS = [
    b'{"job_id":"j","stream":"door","kind":"enter","pts_s":1.2,"label":{"class_id":1,"name":"dog"},"score":0.9}',
    b'{"job_id":"j","stream":"door","kind":"gap","pts_s":1.2,"reason":"r","from_unix_s":1.5,"missed_s":2}',
    b'{"job_id":"j","stream":"door","kind":"state","pts_s":0,"state":"live","detail":""}',
]


@given(spoilt(RESULT))
def test_a_result_can_be_shown_or_is_refused(content: bytes) -> None:
    try:
        result = read_result("280-8", {b"result": content})
    except QueueRefused as refusal:
        shows_nothing_that_is_obeyed(str(refusal))
        return
    assert isinstance(result.index, int)
    assert math.isfinite(result.pts_s)
    shows_nothing_that_is_obeyed(result_line(result).plain)
    orjson.dumps(result.to_dict())


@given(spoilt(*EVENTS))
def test_any_event_can_be_shown(content: bytes) -> None:
    event = read_event("1-0", {b"event": content})
    shows_nothing_that_is_obeyed(event_line(event).plain)
    orjson.dumps(event.to_dict())


HEARTBEAT = orjson.dumps(WorkerView("w", "h", "1", "m", "e", 16, 3, 12.5, False, 1.7e9, 1.7e9).to_dict())


@given(spoilt(HEARTBEAT))
def test_a_worker_is_as_it_says_or_is_passed_over(content: bytes) -> None:
    view = read_heartbeat(content)
    if view is not None:
        assert all(map(math.isfinite, [*times_of(view), view.samples_per_s]))
        orjson.dumps(view.to_dict())


@given(st.dictionaries(st.sampled_from([b"job_id", b"reason", b"deliveries", b"source", b"at"]), mutated(b"5", b"x")))
def test_any_dead_letter_can_be_looked_at(fields: dict[bytes, bytes]) -> None:
    letter = read_dead_letter("1-0", fields)
    assert math.isfinite(letter.at_unix_s)
    shows_nothing_that_is_obeyed(letter.job_id + letter.reason + letter.source)


SLOTS = 12
TOLD: list[wire.Message] = [
    wire.SampleMessage(Sample(7, 0.28, 1.7e9, 3, 0.25, 8, 2, "photos/é.jpg"), 0.5, 0.75, 0.125),
    wire.SampleMessage(Sample(8, 0.32, 1.7e9, 4, 0.25, 9, 3), 0.5, 0.75, 0.125),
    wire.Opened(1920, 1080, 29.97, 250),
    wire.Progress(40, 8),
    wire.FrameFailed(7, 0.28, 1.7e9, 8, 2, "corrupt", "a word", "photos/dog.jpg"),
    wire.FrameDropped(7, 0.28, 1.7e9, 8, 2, "backpressure"),
    wire.Ended(250, 50, "a note"),
    wire.DecoderFailed(FailureKind.RETRY, "no route"),
]
PACKETS = [wire.pack(message) for message in TOLD]


@given(st.lists(mutated(*PACKETS) | st.sampled_from(PACKETS), max_size=4), st.integers(1, 200))
def test_what_a_decoder_says_is_believed_within_bounds_or_refused(packets: list[bytes], cut: int) -> None:
    unpacker = wire.Unpacker(SLOTS)
    content = b"".join(packets)
    with contextlib.suppress(wire.MalformedMessage):
        for begin in range(0, len(content), cut):
            for message in unpacker.feed(content[begin : begin + cut]):
                within_bounds(message)


@given(spoilt(*(packet[5:] for packet in PACKETS[2:])), st.sampled_from([*b"OPFDEX"]))
def test_what_a_decoder_says_in_json_is_believed_within_bounds_or_refused(content: bytes, tag: int) -> None:
    packet = bytes([tag]) + content
    with contextlib.suppress(wire.MalformedMessage):
        for message in wire.Unpacker(SLOTS).feed(len(packet).to_bytes(4, "little") + packet):
            within_bounds(message)


def within_bounds(message: wire.Message) -> None:
    if isinstance(message, wire.SampleMessage):
        assert message.sample.slot < SLOTS
    sample = getattr(message, "sample", None)
    if sample is not None:
        assert 0 <= sample.index <= wire.COUNT_LIMIT
        assert abs(sample.pts_s) <= wire.TIME_LIMIT_S
        int(sample.pts_s * 1000)


HUGE_BYTES = 16 * 1024**2


@pytest.mark.parametrize("name", [*CHECKPOINT_FIELDS, "active", "shown", "reason", "status", "state", "owner"])
def test_a_field_of_any_size_costs_no_memory(name: str) -> None:
    """A row of numbers in JSON takes thirty times its size once it is parsed."""
    for huge in (b"[" + b"1," * (HUGE_BYTES // 2) + b"1]", b"9" * HUGE_BYTES, b'"' + b"x" * HUGE_BYTES + b'"'):
        tracemalloc.start()
        try:
            if name in CHECKPOINT_FIELDS:
                with pytest.raises(Unreadable, match=name):
                    read_checkpoint([huge if name == field else None for field in CHECKPOINT_FIELDS])
            with pytest.raises(Unreadable, match=name):
                read_view("j", {name.encode(): huge})
            assert tracemalloc.get_traced_memory()[1] < HUGE_BYTES // 4
        finally:
            tracemalloc.stop()
