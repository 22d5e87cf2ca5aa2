"""The intake loop: what goes wrong about one stream is that stream's."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from streamtag.core.records import StreamState
from streamtag.core.stream_state import Outcome, OutcomeKind, StateChanged
from streamtag.ingest.intake import Intake
from streamtag.pipeline.run import CROWD, Classified, Mailbox, RunNews

from tests.support.loops import FakeStream, run_of


@pytest.fixture
def intake() -> Iterator[Intake]:
    made = Intake()
    yield made
    made.close()


def add(intake: Intake, *streams: FakeStream) -> None:
    for stream in streams:
        intake.add(stream.as_stream())


def test_a_stream_whose_handling_raises_is_broken_off_and_the_others_go_on(intake: Intake) -> None:
    def fail(what: str) -> None:
        raise KeyError(what)

    bad, good = FakeStream(on_ask=fail), FakeStream()
    add(intake, bad, good)
    intake.run_once()
    assert bad.asked == ["start", "break_off 'start'", "check", "break_off 'check'"]
    assert good.asked == ["start", "check"]


def test_what_is_short_is_the_workers_own_affair(intake: Intake) -> None:
    def fail(what: str) -> None:
        if what == "start":
            raise MemoryError

    add(intake, FakeStream(on_ask=fail))
    with pytest.raises(MemoryError):
        intake.run_once()


def test_streams_are_stopped_and_killed_in_its_own_turn_and_forgotten_once_they_are_over(intake: Intake) -> None:
    stopped, killed = FakeStream(), FakeStream()
    add(intake, stopped, killed)
    intake.run_once()
    intake.stop(stopped.as_stream())
    intake.kill(killed.as_stream())
    assert "stop" not in stopped.asked
    intake.run_once()
    assert stopped.asked == ["start", "check", "stop", "check"]
    assert killed.asked == ["start", "check", "kill", "check"]
    stopped.outcome = Outcome(OutcomeKind.STOPPED)
    intake.run_once()
    intake.run_once()
    assert stopped.asked.count("check") == 3


def test_while_the_commits_are_behind_finite_sources_wait_and_live_ones_are_read() -> None:
    """A film of broken frames filled the memory once, while Redis had no room for what was told of them."""
    behind = [True]
    made = Intake(lambda: behind[0])
    film, camera = FakeStream(), FakeStream(live=True)
    talking: list[socket.socket] = []
    for stream in (film, camera):
        stream.session, decoder = socket.socketpair()
        decoder.send(b"news")
        talking += [stream.session, decoder]
    add(made, film, camera)
    for _ in range(3):
        made.run_once()
    assert "receive" not in film.asked
    assert film.asked.count("hold_back") == 2, "so that the watchdog knows that it is us who are silent"
    assert camera.asked.count("receive") == 2
    behind[0] = False
    made.run_once()
    assert film.asked.count("receive") == 1
    made.close()
    for one in talking:
        one.close()


def test_a_mailbox_is_behind_when_so_much_news_waits() -> None:
    mailbox = Mailbox(64, news_limit=3)
    for number in range(3):
        assert not mailbox.is_behind()
        mailbox.put(RunNews(run_of("film"), StateChanged(StreamState.LIVE, str(number)), 0.0))
    assert mailbox.is_behind()
    mailbox.take(0)
    assert not mailbox.is_behind()


def camera(talking: list[socket.socket]) -> FakeStream:
    stream = FakeStream(live=True)
    stream.session, decoder = socket.socketpair()
    talking += [stream.session, decoder]
    return stream


def hear(stream: FakeStream, what: str) -> None:
    if what == "receive":
        stream.session.recv(9)


def test_what_live_streams_say_comes_together_and_a_call_does_not_wait_for_it() -> None:
    turns: list[int] = []
    talking: list[socket.socket] = []
    period_s = 0.3
    made = Intake(
        gather_s=lambda: period_s, on_gathered=lambda: turns.append(sum(one.asked.count("receive") for one in cameras))
    )
    cameras = [camera(talking) for _ in range(3)]
    add(made, *cameras)
    made.run_once()
    assert made.gathers
    for number, (stream, at) in enumerate(zip(cameras, talking[1::2], strict=True)):
        threading.Timer(0.02 * number, at.send, (b"news",)).start()
        stream.on_ask = partial(hear, stream)
    began_s = time.monotonic()
    made.run_once()
    assert time.monotonic() - began_s > 0.2
    assert turns[-1] == 3, "all of them in one turn"
    period_s = 600.0
    made.kill(cameras[0].as_stream())
    made.run_once()
    assert "kill" in cameras[0].asked
    assert time.monotonic() - began_s < period_s / 2, "the time in which the next would come together is not waited for"
    add(made, FakeStream())
    made.run_once()
    assert not made.gathers, "a film waits for nobody"
    made.close()
    for one in talking:
        one.close()


def test_streams_that_are_connected_are_looked_at_now_and_then_and_others_each_turn() -> None:
    talking: list[socket.socket] = []
    made = Intake()
    connected, waits = camera(talking), FakeStream(live=True)
    add(made, connected, waits)
    talking[1].send(b"news")  # and nobody takes it: the selector does not wait
    for _ in range(20):
        made.run_once()
    assert waits.asked.count("check") == 20
    assert connected.asked.count("check") < 10
    made.close()
    for one in talking:
        one.close()


def news(event: StateChanged | Outcome) -> RunNews:
    return RunNews(run_of("film"), event, 0.0)


def test_messages_come_together_unless_a_stream_has_ended_or_many_have_come() -> None:
    mailbox, live = Mailbox(64), StateChanged(StreamState.LIVE)
    mailbox.put(news(live))
    threading.Timer(0.05, mailbox.put, (news(live),)).start()
    began_s = time.monotonic()
    assert len(mailbox.take(5.0, gather_s=0.2)) == 2
    assert 0.15 < time.monotonic() - began_s < 2
    threading.Timer(0.05, mailbox.put, (news(Outcome(OutcomeKind.ENDED)),)).start()
    began_s = time.monotonic()
    assert len(mailbox.take(5.0, gather_s=4.0)) == 1
    for _ in range(CROWD):
        threading.Timer(0.05, mailbox.put, (news(live),)).start()
    assert len(mailbox.take(5.0, gather_s=4.0)) == CROWD
    threading.Timer(0.05, mailbox.put, (news(live),)).start()
    assert len(mailbox.take(5.0, gather_s=0.01)) == 1, "then the first is waited for"
    assert time.monotonic() - began_s < 3


def test_whoever_takes_can_be_woken_without_a_message_and_once() -> None:
    mailbox, began_s = Mailbox(64), time.monotonic()
    threading.Timer(0.05, mailbox.wake).start()
    assert mailbox.take(30.0) == []
    mailbox.wake()
    assert mailbox.take(30.0) == [], "also where that came before the wait"
    assert time.monotonic() - began_s < 10
    began_s = time.monotonic()
    assert mailbox.take(0.1) == []
    assert time.monotonic() - began_s >= 0.1


def put_batch(mailbox: Mailbox, last: bool) -> None:
    mailbox.put_batch(Classified([], np.empty((0, 2), np.float32)), threading.Event())
    if last:
        mailbox.all_here()


def test_gathering_ends_with_the_last_that_is_on_its_way_but_not_before_its_least() -> None:
    mailbox, began_s = Mailbox(64), time.monotonic()
    threading.Timer(0.05, put_batch, (mailbox, False)).start()
    threading.Timer(0.1, put_batch, (mailbox, True)).start()
    assert len(mailbox.take(5.0, gather_s=4.0)) == 2
    assert time.monotonic() - began_s < 2
    put_batch(mailbox, True)
    threading.Timer(0.1, put_batch, (mailbox, True)).start()
    threading.Timer(0.4, put_batch, (mailbox, True)).start()
    assert len(mailbox.take(5.0, gather_s=4.0, least_s=0.2)) == 3
    assert time.monotonic() - began_s < 3


@pytest.mark.parametrize(("last", "taken"), [(True, 2), (False, 1)])
def test_where_nothing_more_is_on_its_way_the_next_batch_is_waited_for_a_little(last: bool, taken: int) -> None:
    """And where some is, the device is busy: then no longer than what was to be gathered."""
    mailbox, began_s = Mailbox(64), time.monotonic()
    put_batch(mailbox, last)
    following = threading.Timer(0.6, put_batch, (mailbox, True))
    following.start()
    assert len(mailbox.take(5.0, gather_s=0.2, next_s=20.0)) == taken
    assert time.monotonic() - began_s < 10
    following.join()
