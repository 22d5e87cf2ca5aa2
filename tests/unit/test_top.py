"""The table of ``streamtag top``: what looks add up to, its order, its filter, and the keys."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from streamtag.cli.keyboard import keys_of
from streamtag.cli.top_screen import Screen
from streamtag.core.records import Counters, JobStatus, JobView, WorkerView
from streamtag.queue.fleet import FleetNow, ShownLabel, StreamNow
from streamtag.queue.memory import RedisMemory
from streamtag.tools.top_table import Order, TopTable, fleet_figures, sparkline

WORKER = WorkerView("one", "host", "1.0", "m", "null", 16, 2, 30.5, False, 1.0, 2.0, busy=0.4, supply=100.0)


def stream(name: str, state: str = "live", *, score: float = 0.5, published: int = 0, **more: Any) -> StreamNow:
    status = more.pop("status", JobStatus.RUNNING)
    worker = more.pop("worker", "one")
    view = JobView(
        f"job-{name}", status, "rtsp://h/1", stream=name, state=state, worker=worker,
        counters=Counters(published, published, published), **more,
    )  # fmt: skip
    return StreamNow(view, (ShownLabel("dog", score, score > 0.4), ShownLabel("cat", 0.1, False)))


def fleet(*streams: StreamNow, at_unix_s: float = 1000.0) -> FleetNow:
    return FleetNow(at_unix_s, {one.view.job_id: one for one in streams}, (WORKER,), RedisMemory(5, 10, False), 0)


FLEET = fleet(
    stream("yard", score=0.9, lag_s=0.2, last_sample_unix_s=999.0),
    stream("gate", "stalled", score=0.2, lag_s=9.0, last_sample_unix_s=900.0, worker="two"),
    stream("hall", "reconnecting", last_sample_unix_s=950.0),
    stream("old", status=JobStatus.DONE),
    stream("bad", status=JobStatus.FAILED),
    stream("next", status=JobStatus.QUEUED, submitted_unix_s=970.0),
)


def names(order: Order = Order.STATE, **more: Any) -> list[str]:
    table = TopTable()
    table.see(FLEET)
    return [line.name for line in table.lines(order, **more)]


def test_what_is_in_trouble_comes_first() -> None:
    assert names() == ["hall", "gate", "yard", "next", "bad", "old"]
    assert names(over=False) == ["hall", "gate", "yard", "next"]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        (Order.NAME, ["bad", "gate", "hall"]),
        (Order.LABEL, ["yard", "hall", "bad"]),
        (Order.LAG, ["gate", "yard", "bad"]),
        (Order.AGE, ["gate", "hall", "yard"]),
        (Order.WORKER, ["hall", "yard", "gate"]),
    ],
)
def test_orders(order: Order, first: list[str]) -> None:
    assert names(order)[:3] == first
    assert set(names(order, turned=True)) == set(names(order))


def test_each_word_of_a_filter_is_found_somewhere() -> None:
    assert names(words="DOG one") == ["hall", "yard"]
    assert names(words="stalled") == ["gate"]
    assert names(words="job-yard") == ["yard"]
    assert names(words="cat") == [], "it is not active"


def test_rates_and_scores_come_of_looks() -> None:
    table = TopTable()
    for number in range(30):
        table.see(fleet(stream("a", published=4 * number, score=number / 30), at_unix_s=1000.0 + 2 * number))
    (line,) = table.lines(Order.RATE)
    assert line.rate == pytest.approx(2.0)
    assert line.scores == pytest.approx([number / 30 for number in range(10, 30)])
    table.see(fleet())
    table.see(fleet(stream("a", published=500), at_unix_s=1100.0))
    assert table.lines(Order.RATE)[0].rate == 0.0, "it is another job by now"


def test_bars() -> None:
    assert sparkline([0, 0.13, 0.5, 0.99, 1.0, 7, -1]) == "▁▂▅███▁"


def test_the_fleet_adds_up() -> None:
    figures = fleet_figures(FLEET)
    assert (figures["workers"], figures["slots"], figures["queued"], figures["oldest_waiting_s"]) == (1, 16, 1, 30.0)
    assert figures["redis_memory_share"] == 0.5


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"q", ["q"]),
        ("/dög\r".encode(), ["/", "d", "ö", "g", "enter"]),
        (b"\x1b[A\x1b[B\x1bOA\x1b[6~", ["up", "down", "up", "page down"]),
        (b"\x1b", ["escape"]),
        (b"\x1b[1;5Cx\x7f", ["x", "backspace"]),
        (b"\x1b[", []),
        (b"\xff\x00\x07", ["�"]),
    ],
)
def test_keys(typed: bytes, keys: list[str]) -> None:
    assert keys_of(typed) == keys


def drawn(screen: Screen, width: int = 100, height: int = 12, trouble: str = "") -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(screen.draw(console, trouble))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().rstrip("\n").split("\n")]


@pytest.mark.parametrize("height", [8, 12, 60])
def test_it_fits_the_terminal_and_moves(height: int) -> None:
    screen = Screen(Order.NAME)
    screen.see(fleet(*(stream(f"s{number:03d}") for number in range(200))))
    for width in (40, 100, 300):
        lines = drawn(screen, width, height, "Redis is away")
        assert len(lines) <= height
        assert max(map(len, lines)) <= width
        assert lines[1] == "Redis is away"
        assert any("s000" in line for line in lines)
    screen.press("end")
    lines = drawn(screen, 100, height)
    assert any("s199" in line for line in lines)
    assert "0 below" in lines[-1]
    screen.press("up")
    assert "1 below" in drawn(screen, 100, height)[-1]


def test_the_filter_is_typed_and_other_keys_are_letters_meanwhile() -> None:
    screen = Screen()
    screen.see(FLEET)
    for key in ("/", "q", "u", "backspace", "backspace", "y", "a"):
        assert screen.press(key)
    assert "/ya█" in drawn(screen)[-1]
    screen.press("enter")
    assert [line.name for line in screen.lines()] == ["yard"]
    assert "/ filter: ya" in drawn(screen)[-1]
    screen.press("escape")
    assert len(screen.lines()) == 6
    screen.press("a")
    assert len(screen.lines()) == 4
    assert not screen.press("q")


def test_a_film_that_is_read_is_no_live_stream_to_people() -> None:
    """To programs its state is what the protocol says."""
    screen = Screen()
    screen.see(fleet(stream("yard"), stream("film", progress=0.4), stream("dark", "black", progress=0.4)))
    words = {line.name: line.told_state for line in screen.lines()}
    assert words == {"yard": "live", "film": "running", "dark": "black"}
    assert {line.name: line.to_dict()["state"] for line in screen.lines()} == words | {"film": "live"}
    assert sum("running" in line for line in drawn(screen, 200)) == 1
    screen.words = "running"
    assert [line.name for line in screen.lines()] == ["film"]


def test_names_of_strangers_are_text() -> None:
    screen = Screen()
    screen.see(fleet(stream("[red]x\x1b[2J\u202e", "live", reason="a\nb")))
    text = "\n".join(drawn(screen, 200))
    assert "[red]x?[2J?" in text
    assert "\x1b[2J" not in text
    assert "a?b" in text
