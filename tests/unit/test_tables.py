"""Tables: whole in a pipe, fitted to a terminal, deaf to what their cells would like to do."""

from __future__ import annotations

import io

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from streamtag.cli import dlq
from streamtag.cli.tables import Column, Grid

LONG_ID = "camera-" + "x" * 90


def drawn(grid: Grid, width: int, terminal: bool) -> tuple[list[str], frozenset[str]]:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None, legacy_windows=False)
    omitted = grid.print(console)
    return file.getvalue().splitlines(), omitted


def grid_of(*ids: str) -> Grid:
    grid = Grid(Column("job"), Column("age", rank=1), Column("reason", wraps=True, rank=2), title="jobs")
    for job_id in ids:
        grid.row(job_id, "3m", "a reason of many words that goes on and on " * 4)
    return grid


def test_a_pipe_gets_each_row_whole_on_one_line() -> None:
    lines, omitted = drawn(grid_of(LONG_ID, "short"), 80, terminal=False)
    assert not omitted
    (row,) = [line for line in lines if LONG_ID in line]
    assert row.count("a reason of many words") == 4
    assert "…" not in "".join(lines)
    assert all(line == line.rstrip() for line in lines)


def test_a_terminal_does_without_what_matters_least_and_wraps_sentences() -> None:
    lines, omitted = drawn(grid_of("gate", "yard"), 60, terminal=True)
    assert not omitted
    assert max(map(len, lines)) <= 60
    assert sum("many" in line for line in lines) > 2
    lines, omitted = drawn(grid_of("gate" * 6), 40, terminal=True)
    assert omitted == {"reason"}
    assert max(map(len, lines)) <= 40


def test_an_id_is_whole_on_any_terminal() -> None:
    for width in (20, 40, 80):
        lines, omitted = drawn(grid_of(LONG_ID), width, terminal=True)
        assert any(LONG_ID in line for line in lines)
        assert omitted == {"age", "reason"}


def test_names_of_any_length_leave_room_for_what_is_said_of_them() -> None:
    for name in (LONG_ID, "倉庫の北門" * 9, "🚗🎥" * 20):
        grid = Grid(Column("job", gives=True), Column("state"), Column("done", rank=1), Column("note", rank=9))
        grid.row(name, "reconnecting", "12%", "a reason of many words")
        for width in (40, 60, 80):
            lines, omitted = drawn(grid, width, terminal=True)
            assert omitted == {"note"}, (name, width)
            assert max(map(cell_len, lines)) <= width, (name, width)
            assert sum("reconnecting  12%" in line for line in lines) == 1, "in one row"
            folded = "".join(line.partition("reconnecting")[0].strip() for line in lines[2:] if "─" not in line)
            assert name in folded, "nothing of it is lost"
        assert any(name in line for line in drawn(grid, 200, terminal=True)[0])


def test_on_a_screen_a_long_name_is_one_line_with_its_beginning_and_its_end() -> None:
    grid = Grid(Column("job", gives=True), "state")
    grid.row(f"north-gate-{'x' * 80}-left", "live")
    grid.row(f"北門{'倉' * 40}左", "live")
    file = io.StringIO()
    console = Console(file=file, width=40, height=20, force_terminal=True, color_system=None)
    console.print(grid.screen(console, 20))
    rows = [line for line in file.getvalue().splitlines() if "live" in line]
    assert [(row.split("…")[0][:6].strip(), row.split("…")[1].split()[0][-1]) for row in rows] == [
        ("north", "t"),
        ("北門倉倉倉", "左"),
    ]
    assert max(map(cell_len, rows)) <= 40


def test_cells_are_text_and_nothing_else() -> None:
    grid = Grid("name")
    grid.row("\x1b[2Jgone\x07 [bold]x[/] two\nlines \u202egnp.exe caf\udce9")
    grid.row(Text("[red]y", style="red"))
    lines, _ = drawn(grid, 80, terminal=False)
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "?[2Jgone? [bold]x[/] two?lines ?gnp.exe caf?" in text
    assert "[red]y" in text


def test_a_screen_says_what_it_leaves_out() -> None:
    grid = grid_of(*(f"job{number}" for number in range(50)))
    file = io.StringIO()
    console = Console(file=file, width=80, height=20, force_terminal=True, color_system=None)
    console.print(grid.screen(console, 20))
    lines = file.getvalue().splitlines()
    assert "more" in lines[-1]


def test_figures_stand_under_each_other_on_the_right() -> None:
    for terminal in (True, False):
        grid = Grid("name", Column("samples", right=True))
        grid.row("a", "7")
        grid.row("b", "1234")
        lines, _ = drawn(grid, 80, terminal)
        head, *rows = [line for line in lines if line.strip() and "─" not in line]
        assert {len(line) for line in (head, *rows)} == {len(head)}, lines


def test_dead_letters_are_readable_on_a_narrow_terminal() -> None:
    grid = Grid(*dlq.COLUMNS)
    grid.row(LONG_ID, "12m", "3", "/films/of/the/north/gate/lobby.mp4", "no such file on this worker's machine")
    for width, left_out in ((40, {"age", "tries", "source"}), (60, {"tries"}), (80, set())):
        lines, omitted = drawn(grid, width, terminal=True)
        assert omitted == left_out, width
        assert max(map(len, lines)) <= width
        assert any("no such file on this" in line for line in lines)
