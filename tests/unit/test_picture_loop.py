"""The pictures thread, with a queue without Redis and a clock that tests turn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from streamtag.core.album import Picture, PictureGate, PictureKind
from streamtag.core.track import Transition
from streamtag.errors import LeaseLost, QueueRefused, QueueUnavailable
from streamtag.metrics import Metrics
from streamtag.pipeline.picture_box import MAX_WAITING, PictureBox
from streamtag.pipeline.picture_loop import PictureLoop
from streamtag.pipeline.run import Run, Runs
from streamtag.queue.memory import RedisMemory
from streamtag.queue.pictures import PictureStep
from streamtag.view_settings import ViewSettings

from tests.support.loops import Clock, FakeQueue, outage, pending, run_of

CAMERA = "rtsp://camera.lan/1"


@dataclass
class Bench:
    settings: ViewSettings = field(default_factory=lambda: ViewSettings(thumbnails=True, pictures=8))
    queue: FakeQueue = field(default_factory=FakeQueue)
    clock: Clock = field(default_factory=Clock)
    runs: Runs = field(default_factory=Runs)
    box: PictureBox = field(default_factory=PictureBox)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        trouble = outage(self.clock, self.metrics)
        self.loop = PictureLoop(
            self.queue.as_session(), self.runs, self.box, self.settings, self.metrics, trouble, self.clock
        )

    def add(self, name: str, source: str = CAMERA, deliveries: int = 1) -> Run:
        run = run_of(name, source, self.clock)
        run.claim = replace(run.claim, deliveries=deliveries)
        run.picture_gates = [PictureGate(self.settings.thumbnail_every_s)]
        assert self.runs.add(run)
        return run

    def classify(self, run: Run, *numbers: int, best: int = 0) -> None:
        items = [pending(run, number) for number in numbers]
        scores = np.zeros((len(items), 2), np.float32)
        scores[:, best] = 1.0
        self.box.offer(items, np.zeros((8, 8, 8, 3), np.uint8), scores)

    def turn(self, later_s: float = 0.25) -> list[PictureStep]:
        self.queue.written.clear()
        self.loop.work()
        self.clock.now_s += later_s
        return list(self.queue.written)


def newest_s(steps: list[PictureStep]) -> list[float | None]:
    return [step.newest.pts_s if step.newest else None for step in steps]


def album(steps: list[PictureStep]) -> list[tuple[str, float, str]]:
    return [(str(one.kind), one.pts_s, one.label) for step in steps for one in step.album]


def test_the_newest_picture_of_a_run_is_written_no_more_often_than_it_may() -> None:
    bench = Bench()
    run = bench.add("j")
    written = []
    for number in range(0, 200, 5):  # a sample a second of the stream, four turns a second
        bench.classify(run, number, best=number // 5 % 2)
        written += newest_s(bench.turn())
    assert written == [float(second) for second in range(0, 40, 8)]
    assert bench.metrics.pictures.so_far == 5
    assert newest_s(bench.turn(100)) == [39.0]
    assert bench.turn() == [], "what is there is not written again"


def test_a_label_that_enters_gets_the_picture_of_its_sample() -> None:
    bench = Bench()
    run = bench.add("j")
    for number in range(10):
        bench.classify(run, number, best=int(number >= 4))
    bench.box.entered(run, [Transition("dog", "enter", 0.8), Transition("cat", "exit", 0.8)])
    assert album(bench.turn()) == [("enter", 0.8, "dog")]


def test_a_film_gets_regular_pictures_and_those_that_are_too_many_go() -> None:
    bench = Bench()
    run = bench.add("film", "clip.mp4")
    steps: list[PictureStep] = []
    for number in range(0, 400, 10):
        bench.classify(run, number)
        steps += bench.turn()
    named = [f"{place + 1}" for place in range(len(steps))]
    assert named
    assert {kind for kind, _, _ in album(steps)} == {"regular"}
    assert sum(len(step.gone) for step in steps) == sum(len(step.album) for step in steps) - 3


@pytest.mark.parametrize("away", [True, False])
def test_what_is_to_go_goes_also_when_redis_was_away_or_full_meanwhile(away: bool) -> None:
    bench = Bench()
    run = bench.add("film", "clip.mp4")
    kept = 0
    for number in range(0, 1600, 10):
        in_the_middle = 150 < number < 500
        bench.queue.raises = {"write": QueueUnavailable("gone")} if away and in_the_middle else {}
        bench.queue.used = RedisMemory(82 if in_the_middle and not away else 10, 100, evicts=False)
        bench.classify(run, number)
        kept += sum(len(step.album) - len(step.gone) for step in bench.turn(4.0))
    assert 0 < kept <= 4


def test_the_last_picture_is_written_when_the_run_is_over() -> None:
    bench = Bench()
    run = bench.add("j")
    bench.classify(run, 0)
    bench.turn()
    bench.classify(run, 1, best=1)
    bench.box.entered(run, [Transition("dog", "enter", 0.2)])
    bench.runs.remove(run)
    (step,) = bench.turn()
    assert newest_s([step]) == [0.2]
    assert album([step]) == [("enter", 0.2, "dog")]
    assert bench.turn(100) == []


@pytest.mark.parametrize("error", [LeaseLost("j"), QueueRefused("its key is a list")])
def test_what_is_wrong_about_one_job_ends_its_pictures_alone(error: Exception) -> None:
    bench = Bench()
    run, other = bench.add("j"), bench.add("other")
    bench.queue.raises["write j"] = error
    for number in range(0, 100, 20):
        bench.classify(run, number)
        bench.classify(other, number)
        bench.turn(5.0)
    asked = [job for what, job in bench.queue.asked if what == "write"]
    assert (asked.count("j"), asked.count("other")) == (1, 5)
    assert (run.failure, run.lease_lost) == ("", False), "the job goes on, or hears of it elsewhere"


def test_while_redis_is_away_nothing_is_asked_and_afterwards_it_goes_on() -> None:
    bench = Bench()
    run = bench.add("j")
    bench.queue.raises["write"] = QueueUnavailable("gone")
    bench.classify(run, 0)
    bench.turn(0.0)
    bench.turn(0.0)
    assert bench.queue.times("write") == 1
    del bench.queue.raises["write"]
    bench.clock.now_s += 5
    assert newest_s(bench.turn()) == [0.0]


def test_when_redis_gets_short_of_memory_pictures_are_the_first_that_is_given_up() -> None:
    bench = Bench()
    run = bench.add("j")
    bench.queue.used = RedisMemory(82, 100, evicts=False)  # jobs are taken up to 90
    bench.classify(run, 0)
    bench.box.entered(run, [Transition("dog", "enter", 0.0)])
    assert bench.turn(4.0) == []
    bench.queue.used = RedisMemory(50, 100, evicts=False)
    (step,) = bench.turn()
    assert newest_s([step]) == [0.0]
    assert album([step]) == []


def test_a_run_that_another_had_goes_on_with_its_album() -> None:
    bench = Bench()
    bench.queue.albums["film"] = [
        (f"{second}-0", Picture(0.0, second, kind=PictureKind.REGULAR)) for second in (0, 8, 16)
    ]
    run = bench.add("film", "clip.mp4", deliveries=2)
    bench.classify(run, 85)  # 17 s
    assert album(bench.turn(5.0)) == []
    bench.classify(run, 125)  # 25 s
    assert album(bench.turn()) == [("regular", 25.0, "")]


def test_a_thread_that_is_late_loses_pictures_and_holds_nobody_up() -> None:
    bench = Bench()
    run = bench.add("j")
    for number in range(300):
        bench.classify(run, number, best=number % 2)
    offered, _ = bench.box.take()
    assert len(offered) == MAX_WAITING


def test_without_the_setting_nothing_is_kept() -> None:
    bench = Bench()
    run = bench.add("j")
    run.picture_gates = []
    bench.classify(run, 0)
    bench.box.entered(run, [Transition("dog", "enter", 0.0)])
    assert bench.box.take() == ([], [])
