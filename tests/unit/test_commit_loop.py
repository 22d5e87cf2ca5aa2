"""The commits thread, with a queue without Redis and a clock that tests turn."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from streamtag.core.gaps import GapNoticed
from streamtag.core.options import SmoothingSettings
from streamtag.core.records import StreamState
from streamtag.core.smoothing import Smoother
from streamtag.core.stream_state import Outcome, OutcomeKind, StateChanged
from streamtag.errors import JobCancelled, LeaseLost, QueueRefused, QueueUnavailable
from streamtag.ingest.stream import Unclassified
from streamtag.metrics import Metrics
from streamtag.pipeline.commit_loop import CommitLoop
from streamtag.pipeline.gathering import CROWDED
from streamtag.pipeline.picture_box import PictureBox
from streamtag.pipeline.run import Classified, Mailbox, Run, RunNews, Runs
from streamtag.settings import WorkerSettings

from tests.support.loops import Clock, FakeQueue, WallClock, outage, pending, run_of, sample
from tests.support.waiting import eventually

SETTINGS = WorkerSettings(commit_s=0.01)


@dataclass
class Bench:
    queue: FakeQueue = field(default_factory=FakeQueue)
    clock: Clock = field(default_factory=Clock)
    runs: Runs = field(default_factory=Runs)
    metrics: Metrics = field(default_factory=Metrics)
    mailbox: Mailbox = field(default_factory=lambda: Mailbox(64))
    killed: list[str] = field(default_factory=list)
    settings: WorkerSettings = SETTINGS
    gathered_s: float = 0.0  # how long intake lets samples come together

    def __post_init__(self) -> None:
        self.loop = CommitLoop(
            self.queue.as_session(),
            self.runs,
            self.mailbox,
            self.settings,
            self.metrics,
            lambda run: self.killed.append(run.job_id),
            outage(self.clock, self.metrics),
            PictureBox(),
            lambda: self.gathered_s,
            self.clock,
        )

    def add(self, *names: str, source: str = "clip.mp4") -> list[Run]:
        made = [run_of(name, source, self.clock) for name in names]
        assert all(self.runs.add(run) for run in made)
        return made

    def classify(self, number: int, *runs: Run) -> None:
        scores = np.full((len(runs), 2), 0.5, np.float32)
        self.mailbox.put_batch(Classified([pending(run, number) for run in runs], scores), _NEVER)

    def tell(self, run: Run, event: Unclassified | StateChanged | GapNoticed | Outcome) -> None:
        self.mailbox.put(RunNews(run, event, 1e9))

    def turn(self, times: int = 1, later_s: float = 0.5) -> None:
        for _ in range(times):
            self.loop.run_once()
            self.clock.now_s += later_s

    def left(self) -> list[str]:
        return [run.job_id for run in self.runs.all()]


_NEVER = threading.Event()
ENDED = Outcome(OutcomeKind.ENDED, 1, 1)


@pytest.mark.parametrize("what", ["commit", "finish"])
def test_a_job_that_redis_refuses_ends_alone_with_its_reason(what: str) -> None:
    bench = Bench(queue=FakeQueue(raises={f"{what} bad": QueueRefused("WRONGTYPE of res:bad")}))
    runs = bench.add("a", "bad", "b")
    for run in runs:
        bench.classify(0, run)
        bench.tell(run, ENDED)
    bench.turn(3)
    assert bench.left() == []
    assert bench.queue.published["a"] == bench.queue.published["b"] == ["0-1"]
    assert bench.queue.reasons == {"bad": "WRONGTYPE of res:bad"}
    assert {job for name, job in bench.queue.asked if name == "finish"} >= {"a", "b"}
    assert bench.killed == ["bad"]
    assert bench.metrics.commits.labels("refused").so_far == (what == "commit")


def test_a_job_that_cannot_be_dead_lettered_goes_by_its_entry_or_is_left_to_its_lease() -> None:
    refused = QueueRefused("WRONGTYPE")
    raises: dict[str, Exception] = {"commit": refused, "dead_letter": refused, "dead_letter_entry two": refused}
    bench = Bench(queue=FakeQueue(raises=raises))
    bench.add("one", "two")
    bench.turn(3)
    assert bench.left() == []
    assert bench.queue.reasons == {"one": "WRONGTYPE"}


def test_scores_that_one_stream_cannot_take_do_not_harm_its_neighbours_of_the_batch() -> None:
    bench = Bench()
    a, bad, b = bench.add("a", "bad", "b")
    bad.track.regions[0].smoother = Smoother(SmoothingSettings(), 3)  # of another network
    bench.classify(0, a, bad, b)
    bench.turn(3)
    assert bench.queue.published == {"a": ["0-1"], "b": ["0-1"]}
    assert bench.left() == ["a", "b"]
    assert "internal error: ValueError" in bench.queue.reasons["bad"]


def test_news_that_cannot_be_taken_in_ends_its_run_alone() -> None:
    bench = Bench()
    a, bad = bench.add("a", "bad")
    bench.tell(bad, StateChanged(StreamState.LIVE, "\udce9"))  # no JSON can say that
    bench.tell(a, StateChanged(StreamState.LIVE, "fine"))
    bench.turn(3)
    assert bench.left() == ["a"]
    assert "internal error" in bench.queue.reasons["bad"]
    assert a.state is StreamState.LIVE


def test_without_redis_all_wait_and_nothing_is_lost() -> None:
    bench = Bench()
    a, b = bench.add("a", "b")
    bench.queue.raises = {"commit": QueueUnavailable("OOM")}
    bench.classify(0, a, b)
    bench.turn(4, later_s=0.01)
    assert bench.queue.times("commit") == 1, "not again before the back-off is over"
    bench.turn(4)
    assert bench.queue.times("commit") == 3
    assert bench.left() == ["a", "b"]
    bench.queue.raises = {}
    bench.clock.now_s += 5
    bench.turn()
    assert bench.queue.published == {"a": ["0-1"], "b": ["0-1"]}
    assert not a.failure


def test_a_lease_that_is_lost_while_redis_is_away_is_given_up_at_once() -> None:
    bench = Bench()
    a, b = bench.add("a", "b")
    bench.queue.raises = {"commit": QueueUnavailable("away")}
    bench.turn()
    b.lease_lost = True
    bench.turn(1, later_s=0.0)
    assert bench.left() == ["a"]
    assert a in bench.runs.all()


@pytest.mark.parametrize(
    ("error", "ends"), [(LeaseLost("another has it"), "lease_lost"), (JobCancelled("by a person"), "cancelled")]
)
def test_a_job_that_is_no_longer_ours_leaves_without_another_commit(error: Exception, ends: str) -> None:
    bench = Bench(queue=FakeQueue(raises={"commit": error}))
    (run,) = bench.add("a")
    bench.classify(0, run)
    bench.turn(3)
    assert getattr(run, ends)
    assert bench.queue.times("commit") == 1
    assert bench.killed == ["a"]
    assert bench.left() == []
    assert bench.queue.times("finish") == (ends == "cancelled")
    assert bench.queue.reasons == {}


def test_a_run_is_committed_when_its_time_has_come_or_it_has_much_to_say() -> None:
    bench = Bench()
    (run,) = bench.add("a")
    bench.turn(1, later_s=0.0)
    assert bench.queue.times("commit") == 1  # its state is news
    bench.classify(0, run)
    bench.turn(2, later_s=0.001)
    assert bench.queue.times("commit") == 1
    for number in range(1, SETTINGS.commit_results + 1):
        bench.classify(number, run)
    bench.turn(1, later_s=0.0)
    assert len(bench.queue.published["a"]) == SETTINGS.commit_results + 1


@pytest.mark.parametrize(("gathered_s", "commits"), [(0.05, 8), (0.0, 2)])
def test_what_came_together_before_it_was_classified_does_not_wait_for_company_again(
    gathered_s: float, commits: int
) -> None:
    """Cameras' samples wait for one another on their way in; films' do not, and theirs come together here."""
    bench = Bench(settings=WorkerSettings(commit_s=0.25), gathered_s=gathered_s)
    cameras = bench.add(*(f"cam-{number}" for number in range(CROWDED)))
    for number in range(15):
        bench.classify(number, *cameras)
        bench.turn(1, later_s=0.02)
    assert bench.queue.times("commit") == commits * len(cameras)


def test_rounds_fall_into_step_with_what_comes_by_the_same_period() -> None:
    """Scores that came just after a round waited for the next, and so did all that came after them."""
    period_s, turns = 0.5, 6
    bench = Bench(settings=WorkerSettings(commit_s=period_s), gathered_s=period_s, clock=WallClock())
    cameras = bench.add(*(f"cam-{number}" for number in range(CROWDED)))
    stopped = threading.Event()

    def commit() -> None:
        while not stopped.is_set():
            bench.loop.run_once()

    committing = threading.Thread(target=commit)
    committing.start()
    in_time: list[bool] = []
    try:
        eventually(lambda: bench.queue.times("commit") == len(cameras), "all are committed once")
        for number in range(turns):
            bench.classify(number, *cameras)
            bench.mailbox.all_here()
            time.sleep(0.5 * period_s)
            in_time.append(len(bench.queue.published.get("cam-0", ())) > number)
            time.sleep(0.5 * period_s)
    finally:
        stopped.set()
        bench.mailbox.wake()
        committing.join()
    assert any(in_time[2:])


def test_a_job_ends_when_all_its_samples_are_accounted_for() -> None:
    bench = Bench()
    (run,) = bench.add("a")
    bench.tell(run, Outcome(OutcomeKind.ENDED, 3, 3))
    bench.classify(0, run)
    bench.tell(run, Unclassified(sample(1), True, "stale"))
    bench.turn(2)
    assert bench.left() == ["a"]
    bench.tell(run, Unclassified(sample(2), False, "corrupt", "torn"))
    bench.turn()
    assert bench.left() == []
    assert run.state is StreamState.ENDED
    assert run.track.counters.to_dict()["decoded"] == 3


def test_a_job_without_a_result_is_a_dead_letter_and_a_stopped_one_is_handed_back() -> None:
    bench = Bench()
    useless, stopped = bench.add("useless", "stopped")
    bench.tell(useless, Unclassified(sample(0), False, "corrupt", "torn"))
    bench.tell(useless, ENDED)
    bench.tell(stopped, Outcome(OutcomeKind.STOPPED))
    bench.turn(2)
    assert bench.left() == []
    assert bench.queue.reasons == {"useless": "corrupt: torn"}
    assert bench.queue.asked[-1] == ("release", "stopped")


def test_the_end_is_told_once_however_often_it_is_tried() -> None:
    bench = Bench()
    (run,) = bench.add("a")
    bench.turn()
    bench.classify(0, run)
    bench.tell(run, ENDED)
    bench.queue.raises = {"finish": QueueUnavailable("away")}
    bench.turn(8)
    bench.queue.raises = {}
    bench.turn(8)
    assert bench.left() == []
    told = [event["kind"] for event in bench.queue.events]
    assert told == ["enter", "enter", "exit", "exit", "state"]


def test_of_a_job_that_was_given_up_it_says_that_the_worker_lives() -> None:
    """Else an outage longer than a lease counts as a crash of each of its jobs. Asked again until Redis answers."""
    bench = Bench(queue=FakeQueue(raises={"release a": QueueUnavailable("away")}))
    lost, other = bench.add("a", "b")
    lost.lease_lost = True
    bench.turn(2)
    assert bench.left() == ["b"]
    bench.queue.raises = {"release a": LeaseLost("another has it")}
    bench.turn(20)
    bench.classify(0, other)
    bench.turn(2)
    assert bench.queue.times("release") >= 2
    assert bench.queue.published["b"] == ["0-1"]
    asked = bench.queue.times("release")
    bench.turn(5)
    assert bench.queue.times("release") == asked
