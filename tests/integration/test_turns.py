"""Turns of films: no more at once than there are places, and none waits for one that is stuck or dead."""

from __future__ import annotations

import multiprocessing.connection
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from streamtag.core.job import Sampling
from streamtag.ingest import turns
from streamtag.ingest.session import forkserver
from streamtag.ingest.stream import Stream
from streamtag.ingest.turns import Turn, Turns

from tests.support.films import write_film
from tests.support.stream_reading import Heard, read
from tests.support.waiting import LIMIT_S


def decode(turns_: Turns, orders: Connection, patience_s: float) -> None:
    """A process that says what has become of its turn, and leaves it when it is told to."""
    turns.PATIENCE_S = patience_s
    signs: list[float] = []
    turn = Turn(turns_, lambda: signs.append(time.monotonic()))
    while True:
        orders.recv()
        turn.take()
        orders.send(len(signs))
        orders.recv()
        turn.leave()


class Decoder:
    """One of them."""

    def __init__(self, turns_: Turns, patience_s: float = LIMIT_S) -> None:
        self.orders, theirs = forkserver().Pipe()
        self.process: BaseProcess = forkserver().Process(target=decode, args=(turns_, theirs, patience_s), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self) -> None:
        self.orders.send("take")

    def has(self, within_s: float = LIMIT_S) -> bool:
        return self.orders.poll(within_s)

    def leave(self) -> int:
        """How many signs of life it gave while it waited."""
        signs: int = self.orders.recv()
        self.orders.send("leave")
        return signs


@pytest.fixture
def start() -> Iterator[Callable[..., Decoder]]:
    places = Turns(2)
    started: list[Decoder] = []

    def one(patience_s: float = LIMIT_S) -> Decoder:
        started.append(Decoder(places, patience_s))
        return started[-1]

    yield one
    for each in started:
        each.process.kill()
        each.process.join()
    places.close()


def test_as_many_decode_at_once_as_there_are_places(start: Callable[..., Decoder]) -> None:
    first, second, third, fourth = (start() for _ in range(4))
    for one in (first, second):
        one.ask()
        assert one.has()
    third.ask()
    fourth.ask()
    assert not third.has(1.2)
    assert not fourth.has(0)
    first.leave()
    second.leave()
    signs, waiting = 0, [third, fourth]
    while waiting:  # in any order: both may have waited for the same place
        ready = multiprocessing.connection.wait([one.orders for one in waiting], LIMIT_S)
        assert ready
        signs += next(one for one in waiting if one.orders is ready[0]).leave()
        waiting = [one for one in waiting if one.orders is not ready[0]]
    assert signs >= 2, "they gave no sign of life while they waited"


def test_the_place_of_one_that_is_killed_is_free(start: Callable[..., Decoder]) -> None:
    holders, waiting = [start(), start()], start()
    for one in holders:
        one.ask()
        assert one.has()
    waiting.ask()
    assert not waiting.has(0.3)
    for one in holders:
        os.kill(one.process.pid or 0, signal.SIGKILL)
    assert waiting.has()


def test_nobody_waits_for_ever_for_one_that_is_stuck(start: Callable[..., Decoder]) -> None:
    holders, waiting = [start(), start()], start(patience_s=1.0)
    for one in holders:
        one.ask()
        assert one.has()
        os.kill(one.process.pid or 0, signal.SIGSTOP)
    waiting.ask()
    assert waiting.has()
    waiting.leave()
    for one in holders:
        os.kill(one.process.pid or 0, signal.SIGCONT)
        one.leave()
    waiting.ask()
    assert waiting.has()


def test_a_film_waits_for_its_turn_and_is_read_whole(tmp_path: Path) -> None:
    path = write_film(tmp_path / "film.mp4", 2.0, "mp4")
    places = Turns(1)
    holder = Decoder(places)
    holder.ask()
    assert holder.has()
    waits: list[int] = []

    def give_way(_stream: Stream, heard: Heard) -> None:
        waits.append(len(heard.samples))
        if len(waits) == 10:
            holder.leave()

    found = read(path, Sampling(every=1), turns=places, meddle=give_way)
    assert waits[9] == 0
    assert [sample.index for sample in found.samples] == list(range(50))
    holder.process.kill()
    holder.process.join()
    places.close()
