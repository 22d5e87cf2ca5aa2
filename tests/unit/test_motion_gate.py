"""A sample that shows nothing new takes the scores of the last one classified, and of no other."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from streamtag.core.bundle import Bundle
from streamtag.core.motion_gate import SIDE, THUMBNAIL, MotionGate, Reference
from streamtag.ingest.stream import Unclassified
from streamtag.networks.engines.null import NullEngine
from streamtag.pipeline.run import Classified, PendingSample, Reused, Run, RunNews
from streamtag.settings import EngineSettings

from tests.support.loops import FakeSlots, pending, run_of
from tests.unit.test_inference_loop import NEVER, Bench, NotFinite


def flat(value: int) -> bytes:
    return np.full(THUMBNAIL, value, np.uint8).tobytes()


def test_a_picture_is_compared_with_the_last_one_classified_and_not_with_the_one_before() -> None:
    """Each step is within the gate; their sum is not."""
    gate = MotionGate(0.02, 10.0)
    assert [gate.look(number, number * 0.1, flat(100 + 2 * number)) for number in range(1, 7)] == [
        None,
        1,
        1,
        None,
        4,
        4,
    ]


def test_one_small_part_that_changes_is_enough() -> None:
    gate = MotionGate(0.02, 10.0)
    empty = np.full(THUMBNAIL, 100, np.uint8)
    person = empty.copy()
    person[SIDE // 2, SIDE // 2] = 110
    assert gate.look(1, 0.0, empty.tobytes()) is None
    assert gate.look(2, 0.5, person.tobytes()) is None


def test_after_the_longest_time_a_sample_is_classified_whatever_it_shows() -> None:
    gate = MotionGate(0.02, 10.0)
    looks = [gate.look(number, number - 1.0, flat(7)) for number in range(1, 26)]
    assert [number for number, look in enumerate(looks, 1) if look is None] == [1, 11, 21]


def test_time_that_goes_back_says_nothing_about_the_past() -> None:
    gate = MotionGate(0.02, 10.0)
    assert [gate.look(1, 5.0, flat(7)), gate.look(2, 4.0, flat(7))] == [None, None]


def test_of_a_picture_that_was_lost_nothing_is_taken() -> None:
    gate = MotionGate(0.02, 10.0)
    gate.look(1, 0.0, flat(7))
    gate.lost(1)
    assert gate.look(2, 0.1, flat(7)) is None
    gate.lost(1)  # of one that is not the last any more it hears late
    assert gate.look(3, 0.2, flat(7)) == 2


def test_it_goes_on_where_an_earlier_owner_stopped() -> None:
    gate = MotionGate(0.02, 10.0, Reference(41, 3.0, flat(7), np.array([0.9, 0.1], np.float32)))
    assert gate.look(42, 3.5, flat(7)) == 41


def gated(bench: Bench, source: str = "clip.mp4") -> Run:
    run = run_of("a", source)
    run.gates.append(MotionGate(0.02, 10.0))
    return run


def put(bench: Bench, run: Run, slots: FakeSlots, *numbers: int) -> list[PendingSample]:
    items = [pending(run, number, slots) for number in numbers]
    bench.put(*items)
    return items


def told(messages: list[Classified | RunNews]) -> list[tuple[int, int]]:
    """Samples that take scores, each with the number of the sample that has them."""
    return [
        (message.event.sample.sampled, message.event.number)
        for message in messages
        if isinstance(message, RunNews) and isinstance(message.event, Reused)
    ]


def test_the_device_sees_a_still_picture_once_and_its_followers_wait_for_it() -> None:
    bench = Bench()
    run, slots = gated(bench), FakeSlots(seen=[5, 5, 5, 90, 90])
    put(bench, run, slots, 0, 1, 2, 3)
    assert slots.released == [1, 2]
    assert bench.mailbox.take(0.0) == []  # what comes of the first is not known yet
    bench.clock.now_s += 1.0
    batch, *news = bench.turn()
    assert isinstance(batch, Classified)
    assert [item.sample.index for item in batch.items] == [0, 3]
    assert told(news) == [(2, 1), (3, 1)]
    put(bench, run, slots, 4)
    assert told(bench.mailbox.take(0.0)) == [(5, 4)]  # by now it is known


@pytest.mark.parametrize("known", [True, False])
def test_whoever_gathers_hears_that_all_is_there_also_where_pictures_pass_by(known: bool) -> None:
    """At once where the scores that a sample takes are known, else with those."""
    bench, began_s = Bench(), time.monotonic()
    run, slots = gated(bench), FakeSlots(seen=[5, 5])
    put(bench, run, slots, 0)
    bench.clock.now_s += 1.0
    if known:
        bench.turn()
        coming = threading.Timer(0.1, put, (bench, run, slots, 1))
    else:
        put(bench, run, slots, 1)
        coming = threading.Timer(0.1, bench.loop.run_once, (NEVER,))
    coming.start()
    assert told(bench.mailbox.take(0.0, gather_s=10.0)) == [(2, 1)]
    assert time.monotonic() - began_s < 5
    coming.join()


def test_where_the_network_has_no_answer_its_followers_fail_with_it_and_the_next_is_classified() -> None:
    bench = Bench(engine=NotFinite)
    run, slots = gated(bench), FakeSlots(seen=[5] * 5)
    put(bench, run, slots, 1, 2)
    bench.clock.now_s += 1.0
    news = bench.turn()
    events = [message.event for message in news if isinstance(message, RunNews)]
    assert [(event.sample.sampled, event.reason) for event in events if isinstance(event, Unclassified)] == [
        (2, "not_finite"),
        (3, "not_finite"),
    ]
    put(bench, run, slots, 4)
    bench.clock.now_s += 1.0
    (batch,) = bench.turn()
    assert isinstance(batch, Classified)
    assert [item.sample.index for item in batch.items] == [4]


def test_those_who_follow_a_live_sample_that_grew_stale_are_dropped_with_it() -> None:
    bench = Bench()
    run, slots = gated(bench, "rtsp://cam/1"), FakeSlots(seen=[5] * 5)
    put(bench, run, slots, 0, 1)
    bench.clock.now_s += 0.6
    events = [message.event for message in bench.turn() if isinstance(message, RunNews)]
    assert [(event.sample.sampled, event.reason) for event in events if isinstance(event, Unclassified)] == [
        (1, "stale"),
        (2, "stale"),
    ]
    assert sorted(slots.released) == [0, 1]


class Two(NullEngine):
    """Takes two batches at once."""

    def __init__(self, bundle: Bundle, settings: EngineSettings) -> None:
        super().__init__(bundle, settings)
        self.in_flight = 2


@pytest.mark.parametrize("on_the_device", [False, True])
def test_a_run_that_is_forgotten_leaves_nothing_behind(on_the_device: bool) -> None:
    """Nothing of it reaches a later run of the same job."""
    bench = Bench(engine=Two)
    first, second, slots = gated(bench), gated(bench), FakeSlots(seen=[5] * 5)
    put(bench, first, slots, 0, 1)
    bench.clock.now_s += 1.0
    if on_the_device:
        bench.loop.run_once(NEVER)
    bench.loop.forget(first)
    put(bench, second, slots, 0, 2)
    bench.clock.now_s += 1.0
    messages = bench.turn(4)
    assert [message.run for message in messages if isinstance(message, RunNews)] == [second]
