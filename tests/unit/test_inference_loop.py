"""The inference loop on the engine without a network."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from streamtag.core.engine_choice import EngineChoice
from streamtag.core.options import BatchingSettings
from streamtag.ingest.stream import Unclassified
from streamtag.metrics import Metrics
from streamtag.networks.engines.base import Done, WarmUp
from streamtag.networks.engines.null import NullEngine
from streamtag.networks.loading import LoadedNetwork
from streamtag.pipeline.inference_loop import InferenceLoop
from streamtag.pipeline.picture_box import PictureBox
from streamtag.pipeline.run import Classified, Mailbox, PendingSample, RunNews
from streamtag.settings import EngineSettings

from tests.support.loops import BUNDLE, Clock, FakeSlots, pending, run_of

NEVER = threading.Event()


class NotFinite(NullEngine):
    """Has no answer for pictures that are all 1."""

    def dispatch(self, pictures: np.ndarray) -> Done:
        scores = super().dispatch(pictures).result().copy()
        scores[pictures[:, 0, 0, 0] == 1] = np.nan
        return Done(scores)


class Broken(NullEngine):
    """A device that is gone."""

    def dispatch(self, pictures: np.ndarray) -> Done:
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")


@dataclass
class Bench:
    engine: type[NullEngine] = NullEngine
    clock: Clock = field(default_factory=Clock)
    slots: int = 12
    mailbox: Mailbox = field(default_factory=lambda: Mailbox(64))

    def __post_init__(self) -> None:
        engine = self.engine(BUNDLE, EngineSettings(name="null", buckets=[1, 4]))
        network = LoadedNetwork(BUNDLE, engine, WarmUp(), EngineChoice("null", "none", "named", ""))
        self.loop = InferenceLoop(
            network, BatchingSettings(), self.mailbox, Metrics(), self.slots, PictureBox(), self.clock
        )

    def put(self, *items: PendingSample) -> None:
        """What comes in one turn of intake."""
        for item in items:
            self.loop.put(item)
        self.loop.go_on()

    def turn(self, times: int = 2) -> list[Classified | RunNews]:
        for _ in range(times):
            self.loop.run_once(NEVER)
        return self.mailbox.take(0.0)


def test_a_batch_leaves_when_it_is_full_or_when_the_first_can_wait_no_longer() -> None:
    bench, run = Bench(), run_of("a")
    slots = FakeSlots()
    bench.put(pending(run, 0, slots))
    assert bench.turn() == []
    bench.clock.now_s += 1.0
    (batch,) = bench.turn()
    assert isinstance(batch, Classified)
    assert batch.scores.shape == (1, 2)
    assert slots.released == [0]


def test_samples_that_have_come_together_leave_at_once() -> None:
    bench = Bench()
    for name in ("a", "b"):
        bench.loop.put(pending(run_of(name, "rtsp://cam/1"), 0), gathered=True)
    bench.loop.go_on()
    (batch,) = bench.turn()
    assert isinstance(batch, Classified)
    assert len(batch.items) == 2


def test_a_live_sample_that_waited_too_long_is_dropped_with_its_reason() -> None:
    bench, run = Bench(), run_of("cam", "rtsp://cam/1")
    slots = FakeSlots()
    bench.put(pending(run, 3, slots))
    bench.clock.now_s += 0.6
    (news,) = bench.turn()
    assert isinstance(news, RunNews)
    assert isinstance(news.event, Unclassified)
    assert (news.event.dropped, news.event.reason, slots.released) == (True, "stale", [3])


def test_a_newer_live_sample_drives_the_older_one_out_before_its_slots_are_used_up() -> None:
    bench, run = Bench(slots=4), run_of("cam", "rtsp://cam/1")
    slots = FakeSlots()
    for number in range(3):
        bench.put(pending(run, number, slots))
    assert slots.released == [0]
    (news,) = bench.mailbox.take(0.0)
    assert isinstance(news, RunNews)
    assert isinstance(news.event, Unclassified)
    assert (news.event.sample.index, news.event.dropped, news.event.reason) == (0, True, "superseded")


def test_a_picture_that_cannot_be_read_fails_alone() -> None:
    bench, bad, good = Bench(), run_of("bad"), run_of("good")
    bench.put(pending(good, 0))
    bench.put(pending(bad, 1, FakeSlots(broken=True)))
    bench.put(pending(good, 2))
    bench.clock.now_s += 1.0
    news, batch = bench.turn()
    assert isinstance(batch, Classified)
    assert [item.sample.index for item in batch.items] == [0, 2]
    assert batch.scores.shape == (2, 2)
    assert isinstance(news, RunNews)
    assert isinstance(news.event, Unclassified)
    assert (news.run, news.event.dropped, news.event.reason) == (bad, False, "internal")


def test_a_sample_without_finite_scores_fails_alone() -> None:
    bench, run = Bench(engine=NotFinite), run_of("a")
    for number in range(3):
        bench.put(pending(run, number))
    bench.clock.now_s += 1.0
    news, batch = bench.turn()
    assert isinstance(batch, Classified)
    assert [item.sample.index for item in batch.items] == [0, 2]
    assert np.isfinite(batch.scores).all()
    assert isinstance(news, RunNews)
    assert isinstance(news.event, Unclassified)
    assert (news.event.sample.index, news.event.reason) == (1, "not_finite")


def test_a_device_that_is_gone_is_the_workers_own_affair() -> None:
    bench = Bench(engine=Broken)
    bench.put(pending(run_of("a"), 0))
    bench.clock.now_s += 1.0
    with pytest.raises(RuntimeError, match="CUDA"):
        bench.turn()


def test_what_waits_of_a_job_that_is_gone_gives_its_slots_back() -> None:
    bench, gone, stays = Bench(), run_of("gone"), run_of("stays")
    slots = FakeSlots()
    bench.put(pending(gone, 1, slots))
    bench.put(pending(stays, 2))
    bench.loop.forget(gone)
    assert slots.released == [1]
    bench.clock.now_s += 1.0
    (batch,) = bench.turn()
    assert isinstance(batch, Classified)
    assert [item.run for item in batch.items] == [stays]


def test_what_comes_in_one_turn_is_queued_together_and_a_full_batch_at_once() -> None:
    bench, run = Bench(), run_of("a")
    for number in range(3):
        bench.loop.put(pending(run, number))
    assert bench.turn() == [], "the rest of the turn is still to come"
    bench.loop.put(pending(run, 3))
    (batch,) = bench.turn()
    assert isinstance(batch, Classified)
    assert [item.sample.index for item in batch.items] == [0, 1, 2, 3]
    bench.loop.go_on()
    assert bench.turn() == [], "nothing came since"


def test_the_engine_without_a_network_knows_a_picture_again_in_any_batch() -> None:
    engine = NullEngine(BUNDLE, EngineSettings(name="null"))
    dark, bright = (np.full((1, *BUNDLE.preprocessing.shape), colour, np.uint8) for colour in (0, 255))
    alone = [engine.dispatch(picture).result() for picture in (dark, bright)]
    assert not np.array_equal(alone[0], alone[1])
    together = engine.dispatch(np.concatenate([bright, dark, bright])).result()
    assert np.array_equal(together, np.concatenate([alone[1], alone[0], alone[1]]))
    assert together.argmax(axis=1).tolist() == [1, 0, 1]
