"""Tables for people: fitted to a terminal, whole in a pipe, and never able to play tricks on either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamtag.cli.common import out
from streamtag.redaction import printable

LEAST_WRAPPED = 24  # characters that a column of sentences needs to stay readable
LEAST_NAME = 12  # of a name, of which a narrow terminal shows less, or on several lines
BEFORE_NAMES = 8  # columns of this rank and above leave before names are shown in less than they take


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, how it is set, and how soon a narrow terminal does without it."""

    name: str
    right: bool = False
    wraps: bool = False  # sentences and paths; everything else stays on one line whatever the width
    gives: bool = False  # names of any length: they give way to the other columns
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
        widths = self._fitting(console)
        width = max(console.width, self._width(widths))
        if self._title:
            console.print(Text(printable(self._title), style="table.title"), soft_wrap=True)
        # Line by line, since a console would cut what is wider than itself.
        for segments in console.render_lines(
            self._table(widths, self._rows, titled=False), console.options.update_width(width), pad=False
        ):
            line = Text.assemble(" " * self._indent, *((segment.text, segment.style or "") for segment in segments))
            line.rstrip()
            if not line.plain and not self._title:
                continue  # the box keeps a distance from a title that is not there
            console.print(line, soft_wrap=True)
        return frozenset(column.name for column in self._columns) - {self._columns[at].name for at in widths}

    def screen(self, console: Console, lines: int) -> Table:
        """The table as it fits a screen of so many lines; the last of them says how many rows are missing."""
        widths = self._fitting(console)
        room = max(1, lines - 4 - bool(self._title))  # heading, rule, and what surrounds them
        most = len(self._rows) if len(self._rows) <= room else room - 1
        table = self._table(widths, [self._on_one_line(row, widths) for row in self._rows[:most]])
        if most < len(self._rows):
            table.caption, table.caption_justify = f"and {len(self._rows) - most} more", "left"
        return table

    def _fitting(self, console: Console) -> dict[int, int]:
        """The columns that are shown, and how wide each is at least. A pipe has room for everything."""
        natural = {at: self._natural_width(at) for at in range(len(self._columns))}
        if not console.is_terminal:
            return natural
        widths = {at: min(width, LEAST_WRAPPED) if self._columns[at].wraps else width for at, width in natural.items()}
        names = {at for at, column in enumerate(self._columns) if column.gives}
        narrow = False
        while self._width(widths) > console.width:
            leaving = max(widths, key=lambda at: (self._columns[at].rank, at))
            if self._columns[leaving].rank < BEFORE_NAMES and not narrow:
                widths |= {at: min(widths[at], LEAST_NAME) for at in names & widths.keys()}
                narrow = True
            elif self._columns[leaving].rank == 0:
                break
            else:
                del widths[leaving]
        for _ in range(console.width - self._width(widths)):
            lacking = [at for at in names & widths.keys() if widths[at] < natural[at]]
            if lacking:
                widths[min(lacking, key=lambda at: (widths[at], at))] += 1
        return widths

    def _width(self, widths: Mapping[int, int]) -> int:
        padding, dividers = len(widths), len(widths) - 1
        # 2: the edges of the box
        return self._indent + sum(widths.values()) + padding + (dividers + 2 if self._headings else 0)

    def _natural_width(self, at: int) -> int:
        return max([cell_len(self._columns[at].name), *(cell_len(row[at].plain) for row in self._rows)])

    def _on_one_line(self, row: Sequence[Text], widths: Mapping[int, int]) -> Sequence[Text]:
        return [
            _cut(cell, widths[at]) if self._columns[at].gives and at in widths else cell for at, cell in enumerate(row)
        ]

    def _table(self, widths: Mapping[int, int], rows: Sequence[Sequence[Text]], titled: bool = True) -> Table:
        table = Table(
            title=(printable(self._title) or None) if titled else None,
            title_justify="left",
            header_style="bold",
            show_header=self._headings,
            box=box.SIMPLE_HEAD if self._headings else None,
            padding=(0, 1, 0, 0),
        )
        for at, width in widths.items():
            column = self._columns[at]
            table.add_column(
                self._aligned(Text(column.name), at),
                justify="right" if column.right else "left",
                no_wrap=not (column.wraps or column.gives),
                overflow="fold" if column.wraps or column.gives else "ignore",
                min_width=width,
                max_width=width if column.gives else None,
            )
        for row in rows:
            table.add_row(*(self._aligned(row[at], at) for at in widths))
        return table

    def _aligned(self, cell: Text, at: int) -> Text:
        if not self._columns[at].right:
            return cell
        # By spaces: what may never be cut is not justified either.
        cell = cell.copy()
        cell.pad_left(self._natural_width(at) - cell.cell_len)
        return cell


def _cut(cell: Text, width: int) -> Text:
    """The beginning and the end of a name that is too long: of many that are alike, they differ in one of the two."""
    text = cell.plain
    if cell_len(text) <= width:
        return cell
    end = (width - 1) // 2
    last = next(text[at:] for at in range(len(text)) if cell_len(text[at:]) <= end)
    return Text(f"{chop_cells(text, width - 1 - end)[0]}…{last}", style=cell.style)
