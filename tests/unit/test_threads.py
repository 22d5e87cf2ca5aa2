"""The worker's threads: no silent half-life."""

from __future__ import annotations

import threading

from streamtag.pipeline.health import Health
from streamtag.pipeline.threads import Threads

from tests.support import LIMIT_S, eventually


def test_a_loop_goes_round_until_it_is_told_to_stop() -> None:
    health, stopping, died = Health(stuck_s=60.0), threading.Event(), threading.Event()
    threads = Threads(health, died.set)
    turns: list[int] = []

    def turn() -> None:
        turns.append(1)
        if len(turns) == 3:
            stopping.set()

    threads.spawn("loop", turn, stopping)
    threads.join("loop")
    assert len(turns) == 3
    assert threads.failure is None
    assert not died.is_set()
    assert health.stuck() == {}


def test_a_loop_that_raises_is_told_at_once_and_the_first_failure_is_kept() -> None:
    died, second = threading.Event(), threading.Event()
    threads = Threads(Health(stuck_s=60.0), died.set)

    def fail() -> None:
        raise KeyError("a bug")

    def fail_later() -> None:
        second.wait(LIMIT_S)
        raise MemoryError

    threads.spawn("first", fail, threading.Event())
    threads.spawn("second", fail_later, threading.Event())
    assert died.wait(LIMIT_S)
    second.set()
    threads.join("first", "second", "none of this name")
    assert isinstance(threads.failure, KeyError)


def test_a_thread_that_does_not_come_round_shows() -> None:
    health, stopping, inside, release = Health(stuck_s=0.0), threading.Event(), threading.Event(), threading.Event()
    threads = Threads(health, lambda: None)

    def hang() -> None:
        inside.set()
        release.wait(LIMIT_S)

    threads.spawn("hangs", hang, stopping)
    assert inside.wait(LIMIT_S)
    eventually(health.stuck, "it shows")
    assert list(health.stuck()) == ["hangs"]
    stopping.set()
    release.set()
    threads.join("hangs")
