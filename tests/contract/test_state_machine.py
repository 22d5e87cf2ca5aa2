"""Hypothesis drives the real scripts and a model in plain Python through the same acts, and compares after each.

Workers crash by not being asked again, and come back as zombies by being asked: every claim that was handed out may act
at any time. A lost reply is a command sent twice, or an answer that nobody uses. Runs are derandomised: CI fails for a
change and not for bad luck; a failure prints how to repeat it.
"""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from streamtag.core.records import JobStatus

from tests.contract.two_queues import SOURCES, WORKERS, Hold, TwoQueues
from tests.support.redis_server import RedisServer

STEPS = 50
# Well more than gives the steps below: Hypothesis also draws constants of the modules that are imported by then, so
# the same seed gives other runs where more of the tests are collected.
RUNS = 110
LEAST_STEPS = 2000
# A test that does not come by each of these tests less than it says. (Every refusal has a test of its own elsewhere.)
REACHED = {
    *(f"acquire {answer}" for answer in ("OK", "DUPLICATE")),
    *(f"{what} {answer}" for what in ("commit", "renew", "release", "take") for answer in ("OK", "LOST")),
    *(f"{what} OK" for what in ("done", "failed", "requeue")),
    *(f"cancel {answer}" for answer in ("cancelled", "cancelling")),
}
JOBS = st.sampled_from(tuple(SOURCES))
WORKER = st.sampled_from(WORKERS)
ANY = st.integers(0, 1000)  # one of the things there are


class Protocol(RuleBasedStateMachine):
    """The acts of producers, of workers and of time."""

    url = ""  # of the server
    outcomes: ClassVar[Counter[str]] = Counter()  # of all runs together

    def __init__(self) -> None:
        super().__init__()
        self.both = TwoQueues(self.url, self.outcomes)
        self.taken = 0  # steps

    def teardown(self) -> None:
        try:
            self.both.end_everything()
        finally:
            self.both.close()

    def now_and_then(self) -> bool:
        """What ends jobs, or is about none, must not drown the work on them."""
        return self.taken % 3 == 0

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        self.taken += 1
        self.outcomes["step"] += 1
        self.both.compare()

    # Producers.

    @initialize(names=st.sets(JOBS, min_size=1), rubbish=st.booleans(), failed=st.integers(0, 3))
    def begin(self, names: set[str], rubbish: bool, failed: int) -> None:
        for name in sorted(names):
            self.both.submit(name)
        if rubbish:
            self.both.write_by_hand("nobody", readable=False)
        for worker in WORKERS:
            self.both.fetch(worker)
        for hold in self.both.holds[:failed]:
            self.both.end(hold, JobStatus.FAILED)

    @precondition(lambda self: len(self.both.model.jobs) < len(SOURCES) or self.now_and_then())
    @rule(name=JOBS, twice=st.booleans())
    def submit(self, name: str, twice: bool) -> None:
        for _ in range(1 + twice):
            self.both.submit(name)

    @precondition(lambda self: self.now_and_then())
    @rule(name=JOBS, readable=st.booleans())
    def write_by_hand(self, name: str, readable: bool) -> None:
        self.both.write_by_hand(name, readable)

    @precondition(lambda self: self.now_and_then())
    @rule(name=JOBS, twice=st.booleans())
    def cancel(self, name: str, twice: bool) -> None:
        for _ in range(1 + twice):
            self.both.cancel(name)

    @precondition(lambda self: self.both.model.letters)
    @rule(which=ANY, with_source=st.booleans())
    def requeue(self, which: int, with_source: bool) -> None:
        self.both.requeue(which, with_source)

    @precondition(lambda self: self.both.model.letters and self.now_and_then())
    @rule(which=ANY)
    def drop(self, which: int) -> None:
        self.both.drop(which)

    # Workers.

    @rule(name=WORKER, reply_lost=st.booleans())
    def fetch(self, name: str, reply_lost: bool) -> None:
        self.both.fetch(name, reply_lost)

    @rule(name=WORKER, which=ANY, reply_lost=st.booleans())
    def look_at_what_was_delivered(self, name: str, which: int, reply_lost: bool) -> None:
        if entries := self.both.redelivered(name):
            self.both.acquire(name, entries[which % len(entries)], reply_lost)

    @rule(name=WORKER, which=ANY, pause=st.booleans())
    def reclaim(self, name: str, which: int, pause: bool) -> None:
        self.both.reclaim(name, which, pause)

    @precondition(lambda self: self.both.current())
    @rule(which=ANY, times=st.integers(1, 6), results=st.integers(0, 3), decoding=st.booleans())
    def work(self, which: int, times: int, results: int, decoding: bool) -> None:
        hold = _one_of(self.both.current(), which)
        for _ in range(times):
            self.both.commit(hold, results, decoding)

    @precondition(lambda self: self.both.current())
    @rule(which=ANY, results=st.integers(0, 3))
    def lose_the_reply_of_a_commit(self, which: int, results: int) -> None:
        self.both.commit(_one_of(self.both.current(), which), results, decoding=True, reply_lost=True)

    @precondition(lambda self: self.both.current())
    @rule(which=ANY, results=st.integers(0, 3), decoding=st.booleans())
    def vanish_after_a_commit(self, which: int, results: int, decoding: bool) -> None:
        """It is in Redis, and the worker does not know; its successor begins after it."""
        hold = _one_of(self.both.current(), which)
        self.both.commit(hold, results, decoding)
        self.both.lapse(hold.claim.entry_id)

    @precondition(lambda self: self.both.stale())
    @rule(which=ANY, results=st.integers(0, 3))
    def commit_as_a_zombie(self, which: int, results: int) -> None:
        self.both.commit(_one_of(self.both.stale(), which), results, decoding=True)

    @precondition(lambda self: self.both.current())
    @rule(which=ANY, name=WORKER, reply_lost=st.booleans())
    def take_what_is_offered(self, which: int, name: str, reply_lost: bool) -> None:
        hold = _one_of(self.both.current(), which)
        for lost in [True] * reply_lost + [False]:
            self.both.take(hold, name, lost)

    @precondition(lambda self: self.both.stale() and self.now_and_then())
    @rule(which=ANY, name=WORKER)
    def take_what_was_offered_long_ago(self, which: int, name: str) -> None:
        self.both.take(_one_of(self.both.stale(), which), name)

    @rule(name=WORKER, twice=st.booleans())
    def renew(self, name: str, twice: bool) -> None:
        for _ in range(1 + twice):
            self.both.renew(name)

    @precondition(lambda self: self.both.holds)
    @rule(which=ANY, twice=st.booleans())
    def release(self, which: int, twice: bool) -> None:
        for _ in range(1 + twice):
            self.both.release(_one_of(self.both.holds, which))

    @precondition(lambda self: self.both.holds and self.now_and_then())
    @rule(
        which=ANY, status=st.sampled_from((JobStatus.DONE, JobStatus.CANCELLED, JobStatus.FAILED)), twice=st.booleans()
    )
    def end(self, which: int, status: JobStatus, twice: bool) -> None:
        for _ in range(1 + twice):
            self.both.end(_one_of(self.both.holds, which), status)

    # Time and operators.

    @precondition(lambda self: any(entry.pending_to for entry in self.both.model.entries.values()))
    @rule(which=ANY)
    def lapse(self, which: int) -> None:
        pending = [entry_id for entry_id, entry in self.both.model.entries.items() if entry.pending_to]
        self.both.lapse(pending[which % len(pending)])

    @rule(name=st.sampled_from((*SOURCES, "nobody")), again=st.booleans(), flush_scripts=st.booleans())
    def expire(self, name: str, again: bool, flush_scripts: bool) -> None:
        if flush_scripts:
            self.both.client.script_flush()
        if self.both.expire(name) and again and name in SOURCES:
            self.both.submit(name)


def _one_of(holds: list[Hold], which: int) -> Hold:
    return holds[which % len(holds)]


@pytest.mark.long
@pytest.mark.parametrize("server", ["new", "old"], indirect=True)
@pytest.mark.timeout(900)  # a failure is made small before it is told
def test_the_scripts_do_what_the_model_says(server: RedisServer) -> None:
    Protocol.url = server.url
    Protocol.outcomes.clear()
    run_state_machine_as_test(
        Protocol,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            derandomize=True,
            print_blob=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Protocol.outcomes["step"] >= LEAST_STEPS
    assert Protocol.outcomes["commit OK"] >= LEAST_STEPS / 10, Protocol.outcomes
    assert set(Protocol.outcomes) >= REACHED, REACHED - set(Protocol.outcomes)
