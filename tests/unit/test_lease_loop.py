"""The leases thread, with a queue without Redis and a clock that tests turn."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from streamtag.errors import QueueRefused, QueueUnavailable
from streamtag.metrics import Metrics
from streamtag.pipeline.lease_loop import LEAST_TICK_S, LeaseLoop
from streamtag.pipeline.run import Run, Runs

from tests.support.loops import LEASE, Clock, FakeQueue, FakeStream, outage, run_of


@dataclass
class Bench:
    queue: FakeQueue = field(default_factory=FakeQueue)
    clock: Clock = field(default_factory=Clock)
    runs: Runs = field(default_factory=Runs)
    metrics: Metrics = field(default_factory=Metrics)
    abandoned: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loop = LeaseLoop(
            self.queue.as_session(),
            self.runs,
            self.metrics,
            self._abandon,
            self._cancel,
            outage(self.clock, self.metrics),
            self.clock,
        )

    def _abandon(self, run: Run, reason: str) -> None:
        run.lease_lost = True
        self.abandoned[run.job_id] = reason

    def _cancel(self, run: Run) -> None:
        run.cancelled = True

    def add(self, *names: str) -> list[Run]:
        made = [run_of(name, clock=self.clock) for name in names]
        assert all(self.runs.add(run) for run in made)
        return made

    def turn(self, for_s: float) -> None:
        end_s = self.clock.now_s + for_s
        while self.clock.now_s < end_s:
            self.loop.run_once()
            self.clock.now_s += 0.25


def test_every_lease_is_renewed_in_one_call_each_period() -> None:
    bench = Bench()
    bench.add("a", "b")
    bench.turn(3 * LEASE.renew_s)
    assert bench.queue.asked == [("renew", "a,b")] * 3


def test_a_stream_that_hangs_is_not_renewed() -> None:
    bench = Bench()
    bench.runs.add(run_of("a", clock=bench.clock))
    bench.runs.add(run_of("hangs", clock=bench.clock, stream=FakeStream(healthy=False)))
    bench.turn(1.0)
    assert bench.queue.asked == [("renew", "a")]


def test_what_another_has_or_a_person_cancelled_is_told() -> None:
    bench = Bench(queue=FakeQueue(answers={"lost": "LOST", "cancelled": "CANCELLED"}))
    _, lost, cancelled = bench.add("a", "lost", "cancelled")
    bench.turn(1.0)
    assert list(bench.abandoned) == ["lost"]
    assert (lost.lease_lost, cancelled.cancelled, cancelled.lease_lost) == (True, True, False)


def test_a_lease_that_cannot_be_renewed_is_given_up_by_our_own_clock() -> None:
    bench = Bench(queue=FakeQueue(raises={"renew": QueueUnavailable("away")}))
    bench.add("a")
    bench.turn(LEASE.stop_after_s)
    assert bench.abandoned == {}
    bench.turn(1.0)
    assert list(bench.abandoned) == ["a"]


def test_a_commit_shows_as_well_as_a_renewal_that_a_lease_is_ours() -> None:
    bench = Bench(queue=FakeQueue(raises={"renew": QueueUnavailable("away")}))
    (run,) = bench.add("a")
    bench.turn(LEASE.stop_after_s - 1)
    run.committed_s = bench.clock.now_s
    bench.turn(LEASE.stop_after_s - 1)
    assert bench.abandoned == {}


def test_one_job_whose_key_is_wrong_does_not_keep_the_others_from_being_renewed() -> None:
    bench = Bench(queue=FakeQueue(raises={"renew bad": QueueRefused("WRONGTYPE of job:bad")}))
    a, _, b = bench.add("a", "bad", "b")
    bench.clock.now_s += 1.0
    bench.turn(0.1)
    assert list(bench.abandoned) == ["bad"]
    assert "WRONGTYPE" in bench.abandoned["bad"]
    assert a.renewed_s == b.renewed_s == 1001.0


def test_between_renewals_it_sleeps_and_it_is_not_late_for_the_next_nor_for_a_lease_that_runs_out() -> None:
    bench = Bench()
    (run,) = bench.add("a")
    bench.loop.run_once()
    assert bench.loop.patience_s() == LEASE.renew_s
    bench.clock.now_s += LEASE.renew_s
    bench.loop.run_once()
    assert len(bench.queue.asked) == 2
    bench.queue.raises["renew"] = QueueUnavailable("away")
    ends_s = run.held_s + LEASE.stop_after_s
    while not bench.abandoned:
        bench.clock.now_s += bench.loop.patience_s()
        bench.loop.run_once()
    assert bench.clock.now_s == pytest.approx(ends_s, abs=2 * LEAST_TICK_S)
