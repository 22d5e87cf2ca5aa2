"""The claims thread, with a queue without Redis and a clock that tests turn."""

from __future__ import annotations

import pytest
from streamtag.core.records import StreamState
from streamtag.core.sharing import MAX_DELAY_S
from streamtag.errors import QueueRefused, QueueUnavailable, RejectJob
from streamtag.pipeline.claim_loop import SUSPECT_PATIENCE_S
from streamtag.pipeline.room import LOOK_S
from streamtag.pipeline.slots import AUTO_FINITE, AUTO_JOBS, Slots
from streamtag.queue.memory import RedisMemory

from tests.support.claiming import Bench, Stopping, entries
from tests.support.loops import LEASE, FakeQueue, run_of, view


def test_it_takes_what_it_has_slots_for() -> None:
    bench = Bench(slots=2, queue=FakeQueue(entries=entries("a", "b", "c")))
    bench.turn(3)
    assert bench.started == ["a", "b"]
    assert bench.queue.times("fetch") == 2


@pytest.mark.parametrize(
    "error",
    [
        RejectJob("no job"),
        QueueRefused("WRONGTYPE"),
        RecursionError("nested too deeply"),
        OverflowError("too large"),
        UnicodeEncodeError("utf-8", "\udce9", 0, 1, "surrogates not allowed"),
        ValueError("a checkpoint that is none"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_entry_that_cannot_be_acquired_is_dead_lettered_alone(error: Exception) -> None:
    bench = Bench(queue=FakeQueue(entries=entries("a", "bad", "b"), raises={"acquire bad": error}))
    bench.turn(3)
    assert bench.started == ["a", "b"]
    assert list(bench.queue.reasons) == ["bad"]
    assert str(error) in bench.queue.reasons["bad"]


def test_an_entry_that_cannot_even_be_dead_lettered_harms_no_other() -> None:
    refused = QueueRefused("WRONGTYPE")
    raises: dict[str, Exception] = {"acquire bad": refused, "dead_letter_entry bad": refused}
    bench = Bench(queue=FakeQueue(entries=entries("bad", "b"), raises=raises))
    bench.turn(3)
    assert bench.started == ["b"]


def test_a_claim_that_cannot_be_started_is_dead_lettered_alone() -> None:
    bench = Bench(queue=FakeQueue(entries=entries("a", "bad", "b")), bad_starts={"bad": ValueError("smoother state")})
    bench.turn(3)
    assert bench.started == ["a", "b"]
    assert bench.queue.reasons == {"bad": "ValueError: smoother state"}


def test_an_abandoned_entry_that_is_no_job_does_not_hide_those_behind_it() -> None:
    queue = FakeQueue(abandoned_entries=entries("bad", "b"), raises={"acquire bad": RecursionError("nested")})
    bench = Bench(queue=queue)
    bench.turn()
    assert bench.started == ["b"]
    assert list(queue.reasons) == ["bad"]


def test_what_is_short_is_the_workers_own_affair() -> None:
    bench = Bench(queue=FakeQueue(entries=entries("a"), raises={"acquire a": MemoryError()}))
    with pytest.raises(MemoryError):
        bench.turn()


def test_abandoned_jobs_are_looked_for_now_and_then() -> None:
    bench = Bench()
    bench.turn(5)
    assert bench.queue.times("abandoned") == 1
    bench.clock.now_s += LEASE.reclaim_s
    bench.turn(5)
    assert bench.queue.times("abandoned") == 2


def test_without_redis_it_asks_less_and_less_often_and_reads_its_own_entries_when_it_is_back() -> None:
    bench = Bench()
    bench.turn()
    bench.queue.raises = {"fetch": QueueUnavailable("away"), "ensure_group": QueueUnavailable("away")}
    asked_s = []
    for _ in range(1000):
        before = len(bench.queue.asked)
        bench.turn()
        if len(bench.queue.asked) > before:
            asked_s.append(bench.clock.now_s - 1000.0)
        bench.clock.now_s += 0.01
    assert asked_s == pytest.approx([0.0, 0.2, 0.6, 1.4, 3.0, 5.0, 7.0, 9.0], abs=0.1)
    assert bench.redis == [True] + [False] * 8
    bench.queue.raises = {}
    bench.clock.now_s += 2.0
    bench.turn()
    assert bench.redis[-1]
    assert bench.queue.times("redelivered") == 2


def test_a_finite_job_that_brought_down_too_many_workers_is_given_up_and_a_live_one_never() -> None:
    limit = LEASE.max_crashes
    queue = FakeQueue(
        entries=entries("file", "camera", "young"),
        crash_counts={"file": limit, "camera": 10 * limit, "young": limit - 1},
        sources={"camera": "rtsp://cam/1"},
    )
    bench = Bench(queue=queue)
    bench.turn(3)
    assert bench.started == ["camera", "young"]
    assert list(queue.reasons) == ["file"]
    assert f"brought down {limit} workers without progress" in queue.reasons["file"]


def test_a_suspect_leaves_no_slot_to_others_until_it_makes_progress() -> None:
    bench = Bench()
    (suspect,) = [run_of("suspect", crashes=2)]
    bench.runs.add(suspect)
    bench.queue.entries = entries("a")
    bench.turn(2)
    assert bench.started == []
    suspect.progressed = True
    bench.turn()
    assert bench.started == ["a"]


def test_a_suspect_whose_camera_is_off_starves_nobody() -> None:
    """It once made 15 of 16 slots useless, for ever: an offline camera and two hand-overs were enough."""
    bench = Bench()
    suspect = run_of("suspect", source="rtsp://cam/1", crashes=2)
    bench.runs.add(suspect)
    bench.queue.entries = entries("a", "b")
    suspect.state = StreamState.RECONNECTING
    bench.turn(3)
    assert bench.started == ["a", "b"]


def test_what_gone_workers_leave_is_removed_now_and_then() -> None:
    bench = Bench()
    bench.turn(5)
    assert bench.queue.times("retire_others") == 1
    bench.clock.now_s += 60.0
    bench.turn(5)
    assert bench.queue.times("retire_others") == 2


def test_a_live_stream_is_no_suspect_whatever_became_of_its_workers() -> None:
    queue = FakeQueue(
        abandoned_entries=entries("camera"), crash_counts={"camera": 9}, sources={"camera": "rtsp://cam/1"}
    )
    bench = Bench(queue=queue)
    bench.runs.add(run_of("file"))
    bench.queue.entries = entries("a", "b")
    bench.turn(3)
    assert bench.started == ["camera", "a", "b"]


def test_a_suspect_waits_for_a_worker_of_its_own_but_not_for_ever() -> None:
    """Where each worker has a camera, or a film of ten hours, none becomes free."""
    queue = FakeQueue(abandoned_entries=entries("suspect"), crash_counts={"suspect": 3})
    bench = Bench(queue=queue)
    bench.runs.add(run_of("film"))
    bench.queue.entries = entries("a")
    for _ in range(int(SUSPECT_PATIENCE_S / LEASE.reclaim_s)):
        bench.turn()
        bench.clock.now_s += LEASE.reclaim_s
    assert bench.started == []
    bench.clock.now_s += LEASE.reclaim_s
    bench.turn()
    assert bench.started[0] == "suspect"


def test_above_its_share_of_memory_only_what_was_begun_goes_on() -> None:
    """And no longer than until there is some room again, not at the very figure at which it stopped."""
    queue = FakeQueue(entries=entries("new"), abandoned_entries=entries("begun"), used=RedisMemory(90, 100, False))
    bench = Bench(queue=queue)
    bench.turn(3)
    assert bench.started == ["begun"]
    assert bench.metrics.registry.get_sample_value("streamtag_redis_memory_short") == 1
    assert bench.metrics.registry.get_sample_value("streamtag_redis_memory_used_bytes") == 90
    assert bench.queue.times("memory") == 1, "it is asked every few seconds, not at every turn"
    for used, started in ((89, ["begun"]), (87, ["begun", "new"])):
        bench.queue.used = RedisMemory(used, 100, False)
        bench.clock.now_s += LOOK_S
        bench.turn()
        assert bench.started == started
    assert not bench.room.short


@pytest.mark.parametrize("used", [RedisMemory(99, 0, False), RedisMemory(99, 100, True), RedisMemory(89, 100, False)])
def test_without_a_limit_or_with_room_jobs_are_taken(used: RedisMemory) -> None:
    bench = Bench(queue=FakeQueue(entries=entries("new"), used=used))
    bench.turn()
    assert bench.started == ["new"]


def live(*names: str) -> FakeQueue:
    return FakeQueue(entries=entries(*names), sources={name: f"rtsp://{name}/1" for name in names})


def test_it_reads_one_entry_at_a_time_while_they_are_live_and_more_and_more_of_finite_ones() -> None:
    bench = Bench(slots=20, queue=live("a", "b", "c"))
    bench.queue.entries += entries(*(f"film-{number}" for number in range(7)))
    for so_far in (1, 2, 3, 4, 6, 10):
        bench.turn()
        assert len(bench.started) == so_far


def test_a_new_job_is_left_to_an_emptier_worker_for_a_moment_and_then_taken() -> None:
    bench = Bench(queue=live("a", "b"))
    bench.runs.add(run_of("mine", "rtsp://mine/1"))
    bench.neighbours.hear([view("other", running=0, room=4, supply=100.0)])
    stopping = Stopping()
    bench.loop.run_once(stopping)
    assert bench.started == ["a"]
    assert 0 < sum(stopping.waited_s) <= MAX_DELAY_S
    assert bench.queue.blocks == [None], "it does not stand in the line before the emptier one"


def test_of_the_live_streams_that_a_dead_worker_leaves_each_takes_one_at_a_time() -> None:
    queue = FakeQueue(abandoned_entries=entries("a", "b"), sources={"a": "rtsp://a/1", "b": "rtsp://b/1"})
    bench = Bench(queue=queue)
    for so_far in (1, 2):
        bench.turn()
        assert len(bench.started) == so_far


def test_auto_takes_new_jobs_while_the_device_can_serve_more() -> None:
    bench = Bench(slots="auto", queue=live("a", "b", "c", "d"))
    bench.neighbours.know_me(view("me", running=0, room=64, supply=5.0))  # two samples a second each
    bench.turn(9)
    assert bench.started == ["a", "b", "c"]
    bench.queue.abandoned_entries = entries("begun")
    bench.clock.now_s += LEASE.reclaim_s
    bench.turn()
    assert bench.started[-1] == "begun", "what was begun elsewhere goes on"


def test_auto_bounds_finite_jobs_and_all_of_them() -> None:
    films = [run_of(f"film-{number}") for number in range(AUTO_FINITE - 1)]
    cameras = [run_of(f"cam-{number}", f"rtsp://cam-{number}/1") for number in range(AUTO_JOBS)]
    auto = Slots("auto")
    assert auto.free(films) == 1
    assert auto.free(cameras[:-3]) == 3
    assert auto.free([*films, *cameras[:20]]) == 1
    assert Slots(40).free(films) == 40 - len(films)
