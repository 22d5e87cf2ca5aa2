"""What the claims thread does where there is more than it can do at once."""

from __future__ import annotations

import pytest
from streamtag.pipeline.claim_loop import ABANDONED_LIMIT

from tests.support.claiming import Bench, entries
from tests.support.loops import LEASE, FakeQueue, run_of, view


def full_of_cameras(*waiting: str) -> Bench:
    bench = Bench(slots="auto", queue=FakeQueue(entries=entries(*waiting), sources={"cam": "rtsp://cam/1"}))
    bench.runs.add(run_of("mine", "rtsp://mine/1"))
    bench.neighbours.know_me(view("me", running=1, room=63, supply=1.0))
    return bench


def test_a_worker_full_of_live_streams_takes_one_film_at_a_time() -> None:
    """Films once waited there for as long as there were cameras."""
    bench = full_of_cameras("film-1", "film-2")
    bench.turn(4)
    assert bench.started == ["film-1"]
    (film,) = [run for run in bench.runs.all() if not run.live]
    bench.runs.remove(film)
    bench.turn(2)
    assert bench.started == ["film-1", "film-2"]


def test_and_no_live_stream_nor_a_film_behind_one() -> None:
    bench = full_of_cameras("cam", "film")
    bench.turn(4)
    assert bench.started == []
    assert bench.queue.times("fetch") == 0


def test_a_worker_that_stays_full_looks_ever_more_seldom_whether_a_film_is_next() -> None:
    """Two looks a second were once a third of what a full worker asked of Redis."""
    bench = full_of_cameras("cam")
    asked_s = []
    for _ in range(100):
        before = bench.queue.times("next_waiting")
        bench.turn()
        if bench.queue.times("next_waiting") > before:
            asked_s.append(bench.clock.now_s - 1000.0)
        bench.clock.now_s += 0.1
    assert asked_s == pytest.approx([0.0, 0.5, 1.5, 3.5, 5.5, 7.5, 9.5], abs=0.11)
    bench.queue.entries = entries("film")
    bench.clock.now_s += LEASE.reclaim_s
    bench.turn()
    assert bench.started == ["film"]


def test_without_a_slot_nobody_asks_for_what_others_left_and_with_one_at_once() -> None:
    bench = Bench(slots=1, queue=FakeQueue(abandoned_entries=entries("left")))
    bench.runs.add(mine := run_of("mine", "rtsp://mine/1"))
    for _ in range(5):
        bench.turn()
        bench.clock.now_s += LEASE.reclaim_s
    assert bench.queue.times("abandoned") == 0
    assert bench.queue.times("memory") >= 3, "whether Redis is short of memory is told nevertheless"
    bench.runs.remove(mine)
    bench.turn()
    assert bench.started == ["left"]


def test_of_many_abandoned_jobs_some_are_looked_at_and_the_rest_at_once_after_them() -> None:
    bench = Bench(slots=20, queue=FakeQueue(abandoned_entries=entries(*(f"film-{number}" for number in range(12)))))
    bench.turn()
    assert len(bench.started) == ABANDONED_LIMIT
    bench.queue.abandoned_entries = bench.queue.abandoned_entries[ABANDONED_LIMIT:]
    bench.turn()
    assert len(bench.started) == 12, "not only when it is time to look again"
