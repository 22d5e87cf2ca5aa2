"""What browsers are told: all once, then what changed, and never more waiting than there is room for."""

from __future__ import annotations

import asyncio

import pytest
from streamtag.core.records import Counters, JobStatus, JobView
from streamtag.queue.fleet import FleetNow, ShownLabel, StreamNow
from streamtag.queue.memory import RedisMemory
from streamtag.view.feed import Feed
from streamtag.view.guard import Allowance, is_ours
from streamtag.view.hub import MAX_VIEWERS_EACH, MAX_WAITING, Hub, TooMany


def stream(job_id: str, published: int = 0, state: str = "live", status: JobStatus = JobStatus.RUNNING) -> StreamNow:
    counters = Counters(decoded=published, sampled=published, published=published)
    view = JobView(job_id, status, "rtsp://cam", job_id, state, counters=counters, submitted_unix_s=5.0)
    return StreamNow(view, (ShownLabel("dog", 0.912, True),))


def look(at_unix_s: float, *streams: StreamNow) -> FleetNow:
    return FleetNow(at_unix_s, {one.view.job_id: one for one in streams}, (), RedisMemory(0, 0, False), 0)


def test_of_a_stream_that_changed_only_what_changed_is_told() -> None:
    feed = Feed()
    first = feed.see(look(100.0, stream("a"), stream("b")))
    assert [tile["id"] for tile in first["jobs"]] == ["a", "b"]
    assert first["jobs"][0]["labels"] == [["dog", 0.91, 1]]
    assert "fleet" in first
    assert feed.see(look(101.0, stream("a"), stream("b"))) == {"now": 101.0, "jobs": [], "gone": []}
    changed = feed.see(look(102.0, stream("a"), stream("b", state="frozen")))
    assert changed["jobs"] == [{"n": 2, "state": "frozen"}]
    assert {tile["id"]: tile["state"] for tile in feed.whole()["jobs"]} == {"a": "live", "b": "frozen"}


def test_a_stream_that_is_gone_is_told_and_its_number_is_never_another_s() -> None:
    feed = Feed()
    feed.see(look(100.0, stream("a"), stream("b")))
    assert feed.see(look(101.0, stream("b"), stream("c")))["gone"] == [1]
    assert feed.job_id(1) is None
    feed.see(look(102.0, stream("a"), stream("b"), stream("c")))
    assert [feed.job_id(number) for number in (2, 3, 4)] == ["b", "c", "a"]


def test_the_rate_is_that_of_the_last_seconds_and_begins_anew_with_the_counter() -> None:
    feed = Feed()
    feed.see(look(100.0, stream("a", 10)))
    assert feed.see(look(102.0, stream("a", 20)))["jobs"][0]["rate"] == 5.0
    for second in range(3, 20):
        feed.see(look(100.0 + second, stream("a", 20)))
    assert feed.whole()["jobs"][0]["rate"] == 0.0
    feed.see(look(120.0, stream("a", 3)))
    assert feed.see(look(121.0, stream("a", 4)))["jobs"][0]["rate"] == 1.0


def test_the_strip_counts_what_waits_and_since_when() -> None:
    feed = Feed()
    fleet = feed.see(look(100.0, stream("a", status=JobStatus.QUEUED), stream("b")))["fleet"]
    assert (fleet["queued"], fleet["oldest"]) == (1, 5.0)


def test_a_slow_reader_is_kept_little_for_and_then_told_everything_anew() -> None:
    async def read() -> list[bytes]:
        hub = Hub(lambda: b"whole")
        viewer = hub.join("address")
        told = [await viewer.next()]
        hub.tell(b"one")
        told.append(await viewer.next())
        for _ in range(1000):
            hub.tell(b"x" * 1000)
            assert viewer.waiting_bytes <= MAX_WAITING * 1000
        told.append(await viewer.next())
        hub.tell(b"two")
        told.append(await viewer.next())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(viewer.next(), 0.01)
        return told

    assert asyncio.run(read()) == [b"whole", b"one", b"whole", b"two"]


def test_one_address_cannot_take_all_the_room() -> None:
    hub = Hub(bytes)
    viewers = [hub.join("one") for _ in range(MAX_VIEWERS_EACH)]
    with pytest.raises(TooMany, match="close one of them"):
        hub.join("one")
    hub.join("another")
    hub.leave(viewers[0])
    hub.join("one")
    for number in range(MAX_VIEWERS_EACH - 1):
        hub.join(f"address {number}")
    with pytest.raises(TooMany):
        hub.join("one more")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:9180", "localhost", "LOCALHOST:1", "localhost.", "[::1]:9180", "10.1.2.3", "wall.lan:80"]
)
def test_hosts_that_are_ours(host: str) -> None:
    assert is_ours(host, {"localhost", "wall.lan"})


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9180", "127.0.0.1.evil.example", "", "localhost:evil", "[::1].evil", "[evil]"],
)
def test_hosts_that_another_may_own(host: str) -> None:
    assert not is_ours(host, {"localhost", "wall.lan"})


def test_an_address_may_ask_so_often_and_others_are_not_hurt() -> None:
    now_s = 0.0
    allowance = Allowance(2.0, 3.0, lambda: now_s)
    assert [allowance.take("one") for _ in range(5)] == [True, True, True, False, False]
    assert allowance.take("another")
    now_s = 0.5
    assert [allowance.take("one") for _ in range(2)] == [True, False]
