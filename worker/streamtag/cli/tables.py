"""Tables for people: fitted to a terminal, whole in a pipe, and never able to play tricks on either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamtag.cli.common import out
from streamtag.redaction import printable

LEAST_WRAPPED = 24  # characters that a column of sentences needs to stay readable


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, how it is set, and how soon a narrow terminal does without it."""

    name: str
    right: bool = False
    wraps: bool = False  # sentences and paths; everything else stays on one line whatever the width
    rank: int = 0  # 0 stays; of the others the highest leaves first


class Grid:
    """Rows under headings.

    Args:
        title: of the table, printed above it.
        headings: False for a list of names with their values.
        indent: columns that the table stands to the right, under a line of its own.
    """

    def __init__(self, *columns: Column | str, title: str = "", headings: bool = True, indent: int = 0) -> None:
        self._columns = [Column(one) if isinstance(one, str) else one for one in columns]
        self._title = title
        self._headings = headings
        self._indent = indent
        self._rows: list[list[Text]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, *cells: str | Text, style: str = "") -> None:
        """Add a row. Cells are text and nothing else: neither markup nor terminal escapes have an effect."""
        row = [Text(printable(str(cell)), style=cell.style if isinstance(cell, Text) else style) for cell in cells]
        self._rows.append(row)

    def print(self, console: Console = out) -> frozenset[str]:
        """Print the table; the answer names the columns for which the terminal was too narrow."""
        chosen, width = self._fitting(console)
        # Line by line, since a console would cut what is wider than itself.
        for segments in console.render_lines(
            self._table(chosen, self._rows), console.options.update_width(width), pad=False
        ):
            line = Text.assemble(" " * self._indent, *((segment.text, segment.style or "") for segment in segments))
            line.rstrip()
            if not line.plain and not self._title:
                continue  # the box keeps a distance from a title that is not there
            console.print(line, soft_wrap=True)
        return frozenset(column.name for column in self._columns) - {self._columns[at].name for at in chosen}

    def screen(self, console: Console, lines: int) -> Table:
        """The table as it fits a screen of so many lines; the last of them says how many rows are missing."""
        chosen, _ = self._fitting(console)
        room = max(1, lines - 4 - bool(self._title))  # heading, rule, and what surrounds them
        if len(self._rows) <= room:
            return self._table(chosen, self._rows)
        table = self._table(chosen, self._rows[: room - 1])
        table.caption, table.caption_justify = f"and {len(self._rows) - room + 1} more", "left"
        return table

    def _fitting(self, console: Console) -> tuple[list[int], int]:
        """Which columns are shown, and how wide the table is. A pipe has room for everything."""
        chosen = list(range(len(self._columns)))
        natural = self._width(chosen, wrapped=False)
        if not console.is_terminal:
            return chosen, max(console.width, natural)
        while self._width(chosen, wrapped=True) > console.width:
            leaving = max(chosen, key=lambda at: (self._columns[at].rank, at))
            if self._columns[leaving].rank == 0:
                break
            chosen.remove(leaving)
        return chosen, max(console.width, self._width(chosen, wrapped=True))

    def _width(self, chosen: Sequence[int], wrapped: bool) -> int:
        widths = [self._column_width(at, wrapped) for at in chosen]
        padding, dividers = len(widths), len(widths) - 1
        return self._indent + sum(widths) + padding + (dividers + 2 if self._headings else 0)  # 2: the edges of the box

    def _column_width(self, at: int, wrapped: bool) -> int:
        column = self._columns[at]
        width = max([cell_len(column.name), *(cell_len(row[at].plain) for row in self._rows)])
        return min(width, LEAST_WRAPPED) if wrapped and column.wraps else width

    def _table(self, chosen: Sequence[int], rows: Sequence[Sequence[Text]]) -> Table:
        table = Table(
            title=printable(self._title) or None,
            title_justify="left",
            header_style="bold",
            show_header=self._headings,
            box=box.SIMPLE_HEAD if self._headings else None,
            padding=(0, 1, 0, 0),
        )
        for at in chosen:
            column = self._columns[at]
            table.add_column(
                self._aligned(Text(column.name), at),
                justify="right" if column.right else "left",
                no_wrap=not column.wraps,
                overflow="fold" if column.wraps else "ignore",
                min_width=self._column_width(at, wrapped=True),
            )
        for row in rows:
            table.add_row(*(self._aligned(row[at], at) for at in chosen))
        return table

    def _aligned(self, cell: Text, at: int) -> Text:
        if not self._columns[at].right:
            return cell
        # By spaces: what may never be cut is not justified either.
        cell = cell.copy()
        cell.pad_left(self._column_width(at, wrapped=False) - cell.cell_len)
        return cell
