"""Where sinks stand in the events: one runner moves them, and what was trimmed before it was told is known."""

from __future__ import annotations

import time

import orjson
import pytest
from streamtag.core.records import Event
from streamtag.errors import LeaseLost, QueueUnavailable
from streamtag.queue.notices import COUNT, Feeds, Notices, Place, SinkView

from tests.contract.sides import Queue


@pytest.fixture
def notices(queue: Queue) -> Notices:
    """Of the runner that has the lease."""
    found = Notices(queue.connection, "one")
    assert found.hold(60) == ""
    return found


def happen(queue: Queue, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        event = {"job_id": "j", "kind": "enter", "pts_s": float(number)}
        queue.connection.client.xadd(queue.keys.events, {"event": orjson.dumps(event)})


def trim(queue: Queue, left: int) -> None:
    queue.connection.client.xtrim(queue.keys.events, maxlen=left, approximate=False)


def counts(queue: Queue) -> bool:
    """Whether the server tells how many entries were ever added."""
    return int(queue.connection.client.info("server")["redis_version"].split(".")[0]) >= 7


def begin(notices: Notices, sink: str = "s") -> Place:
    unheard = notices.read(sink)
    assert unheard.is_new
    notices.advance(sink, unheard.place)
    return unheard.place


def hear(notices: Notices, sink: str = "s") -> list[float]:
    """Take all that there is, batch by batch."""
    heard: list[float] = []
    while (unheard := notices.read(sink)).events:
        place = unheard.place
        for event in unheard.events:
            heard.append(event.pts_s)
            place = place.after(event.id)
        notices.advance(sink, place, delivered=len(unheard.events))
    return heard


def test_a_new_sink_hears_what_happens_from_then_on(queue: Queue, notices: Notices) -> None:
    happen(queue, 3)
    begin(notices)
    assert hear(notices) == []
    happen(queue, COUNT + 5, first=3)
    assert hear(notices) == [float(number) for number in range(3, COUNT + 8)]
    assert notices.read("s").lost == 0


def test_a_sink_that_is_there_before_any_event(queue: Queue, notices: Notices) -> None:
    begin(notices)
    happen(queue, 2)
    assert hear(notices) == [0, 1]


def test_what_was_trimmed_before_it_was_told_is_counted(queue: Queue, notices: Notices) -> None:
    happen(queue, 5)
    begin(notices)
    happen(queue, 10, first=5)
    assert hear(notices)[-1] == 14
    happen(queue, 20, first=15)
    trim(queue, 6)
    unheard = notices.read("s")
    assert [event.pts_s for event in unheard.events] == [29, 30, 31, 32, 33, 34]
    # Before 7.0 nobody knows how many, and that is what is said.
    assert unheard.lost == (14 if counts(queue) else None)
    notices.advance("s", unheard.place, lost=unheard.lost or 0)
    assert hear(notices)[-1] == 34
    assert notices.read("s").lost == 0
    (view,) = Feeds(queue.connection).sinks(["s"])
    assert (view.lost, view.delivered, view.behind) == (14, 16, 0) if counts(queue) else (0, 16, None)


def test_all_of_them_trimmed(queue: Queue, notices: Notices) -> None:
    happen(queue, 1)
    begin(notices)
    happen(queue, 7, first=1)
    trim(queue, 0)
    unheard = notices.read("s")
    assert (unheard.events, unheard.lost) == ((), 7 if counts(queue) else None)
    notices.advance("s", unheard.place, lost=unheard.lost or 0)
    assert notices.read("s").lost == 0
    happen(queue, 1, first=8)
    assert hear(notices) == [8]


def test_nothing_was_lost_where_only_what_was_told_is_trimmed(queue: Queue, notices: Notices) -> None:
    begin(notices)
    happen(queue, 10)
    assert len(hear(notices)) == 10
    happen(queue, 3, first=10)
    trim(queue, 4)  # the last one told, and the three
    assert notices.read("s").lost == 0
    assert hear(notices) == [10, 11, 12]


def test_events_that_begin_anew_are_heard(queue: Queue, notices: Notices) -> None:
    begin(notices)
    happen(queue, 5)
    hear(notices)
    queue.connection.client.delete(queue.keys.events)
    happen(queue, 2, first=5)
    assert hear(notices) == [5, 6]
    assert notices.read("s").lost == 0


def test_one_runner_at_a_time_moves_a_sink(queue: Queue, notices: Notices) -> None:
    place = begin(notices)
    other = Notices(queue.connection, "two")
    assert other.hold(60) == "one"
    assert Feeds(queue.connection).runner() == "one"
    with pytest.raises(LeaseLost):
        other.advance("s", place)
    assert notices.hold(0.05) == ""
    time.sleep(0.1)
    with pytest.raises(LeaseLost):
        notices.advance("s", place)
    assert other.hold(60) == ""
    other.advance("s", place)
    assert notices.hold(0) == "two"  # what is another's cannot be left
    assert other.hold(0) == ""
    assert notices.hold(60) == ""


def test_a_dead_letter_has_its_event_and_why(queue: Queue, notices: Notices) -> None:
    begin(notices)
    happen(queue, 1)
    (event,) = (unheard := notices.read("s")).events
    notices.bury("s", unheard.place.after(event.id), event, "answered 422\x1b[31m", 3, 10)
    (letter,) = Feeds(queue.connection).undelivered()
    assert (letter.sink, letter.reason, letter.tries) == ("s", "answered 422?[31m", 3)
    assert (letter.event.id, letter.event.job_id, letter.event.kind) == (event.id, "j", "enter")
    assert abs(letter.at_unix_s - time.time()) < 60
    assert Feeds(queue.connection).sinks(["s", "none"])[1] == SinkView("none", None, None)
    assert notices.read("s").events == ()


def test_keys_that_are_not_ours_stop_it_and_are_named(queue: Queue, notices: Notices) -> None:
    place = begin(notices)
    client = queue.connection.client
    client.hset(queue.keys.notify_sink("s"), "position", "soon")
    with pytest.raises(QueueUnavailable, match="position"):
        notices.read("s")
    notices.advance("s", place)
    client.hset(queue.keys.notify_sink("s"), "dead", "many")
    with pytest.raises(QueueUnavailable, match="dead"):
        notices.advance("s", place)
    queue.occupy(queue.keys.notify_lease, "list")
    with pytest.raises(QueueUnavailable, match="is a list"):
        notices.hold(1)


def test_a_server_without_memory_left_knows_what_was_told(queue: Queue, notices: Notices) -> None:
    """Or the same event would be told again each second until there is room."""
    begin(notices)
    happen(queue, 2)
    client = queue.connection.client
    client.config_set("maxmemory", 1)
    try:
        assert notices.hold(60) == ""
        assert hear(notices) == [0, 1]
        place = notices.read("s").place
        notices.bury("s", place, Event(place.id, "j", "enter", 1.0, {}), "answered 422", 1, 10)
    finally:
        client.config_set("maxmemory", 0)
    assert hear(notices) == []
    (letter,) = Feeds(queue.connection).undelivered()
    assert letter.reason == "answered 422"
