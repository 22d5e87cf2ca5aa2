"""What ``streamtag top`` shows, and what its keys do to it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from streamtag.cli import views
from streamtag.cli.status import waits_for
from streamtag.cli.tables import Column, Grid
from streamtag.queue.fleet import FleetNow
from streamtag.redaction import printable
from streamtag.tools.top_table import Line, Order, TopTable, fleet_figures, sparkline

MAX_WORDS = 100  # characters
LABELS = 3
_COLOURS = ("bold red", "yellow", "green", "cyan", "red", "dim")
_COLUMNS = (
    Column("stream", gives=True),
    Column("state"),
    Column("labels", gives=True, rank=2),
    Column("score", rank=4),
    Column("rate", right=True, rank=5),
    Column("lag", right=True, rank=3),
    Column("last", right=True, rank=1),
    Column("worker", rank=9),
    Column("job", rank=10),
    Column("note", rank=8),
)
_AROUND = 4  # lines of a table that are no rows: its heading, a rule, and what surrounds them


@dataclass
class Screen:
    """What is chosen to be seen."""

    order: Order = Order.STATE
    turned: bool = False
    words: str = ""
    over: bool = True
    typing: bool = False  # the words of the filter
    first: int = 0  # of the lines that are shown
    table: TopTable = field(default_factory=TopTable)
    fleet: FleetNow | None = None

    def see(self, fleet: FleetNow) -> None:
        """Take a look in."""
        self.fleet = fleet
        self.table.see(fleet)

    def press(self, key: str) -> bool:
        """Heed a key; False where it ends all this."""
        if self.typing:
            self._type(key)
        elif key == "q":
            return False
        elif key == "s":
            orders = list(Order)
            self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        elif key == "S":
            self.turned = not self.turned
        elif key == "a":
            self.over = not self.over
        elif key == "/":
            self.typing = True
        elif key == "escape":
            self.words = ""
        else:
            steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -20, "page down": 20}
            self.first = 0 if key == "home" else 1_000_000 if key == "end" else self.first + steps.get(key, 0)
        return True

    def _type(self, key: str) -> None:
        if key in ("enter", "escape"):
            self.typing = False
            self.words = self.words if key == "enter" else ""
        elif key == "backspace":
            self.words = self.words[:-1]
        elif len(key) == 1:
            self.words = (self.words + key)[:MAX_WORDS]
        self.first = 0

    def lines(self) -> list[Line]:
        """The lines that are chosen."""
        return self.table.lines(self.order, self.turned, self.words, self.over)

    def draw(self, console: Console, trouble: str) -> RenderableType:
        """The screen as it fits the terminal."""
        lines = self.lines()
        head = [self._fleet_line(len(lines))]
        if trouble:
            head.append(Text(printable(trouble), style="bold red", no_wrap=True, overflow="ellipsis"))
        room = max(1, console.height - len(head) - _AROUND - 1)
        self.first = max(0, min(self.first, len(lines) - room))
        shown = lines[self.first : self.first + room]
        left = len(lines) - self.first - len(shown)
        foot = f"{self.first} above, {left} below  " if self.first or left else ""
        grid = self.grid(shown)
        return Group(*head, grid.screen(console, room + _AROUND), self._keys(foot))

    def grid(self, lines: list[Line]) -> Grid:
        """These lines under their headings."""
        grid = Grid(*_COLUMNS)
        workers = list(self.fleet.workers) if self.fleet else []
        now_unix_s = time.time()
        for line in lines:
            view = line.stream.view
            labels = ", ".join(f"{label.name} {label.score:.2f}" for label in line.active[:LABELS])
            more = len(line.active) - LABELS
            note = "; ".join(part for part in (waits_for(view, workers), view.reason) if part)
            grid.row(
                line.name,
                Text(line.told_state, style=_COLOURS[line.concern]),
                Text(labels + (f" +{more}" if more > 0 else ""), style="bold green"),
                Text(sparkline(line.scores), style="cyan"),
                f"{line.rate:.1f}" if line.is_running else "",
                f"{view.lag_s:.1f} s" if view.lag_s is not None else "",
                views.age(line.sampled_unix_s, now_unix_s),
                line.worker,
                view.job_id if view.job_id != line.name else "",
                note,
            )
        return grid

    def fleet_text(self) -> str:
        """The fleet in one line."""
        return _sentence(fleet_figures(self.fleet)) if self.fleet else ""

    def _fleet_line(self, count: int) -> Text:
        streams = f"{count} of {len(self.fleet.streams)} streams" if self.fleet else ""
        return Text(f"{streams} · {self.fleet_text()}", style="bold", no_wrap=True, overflow="ellipsis")

    def _keys(self, foot: str) -> Text:
        if self.typing:
            return Text(f"/{printable(self.words)}█  enter keeps it, escape clears it", style="reverse", no_wrap=True)
        words = f": {printable(self.words)}" if self.words else ""
        turned = " turned" if self.turned else ""
        over = "hide" if self.over else "show"
        text = f"{foot}q quit  s sort: {self.order}{turned}  S turn  / filter{words}  a {over} what is over  ↑↓ move"
        return Text(text, style="dim", no_wrap=True, overflow="ellipsis")


def _sentence(figures: dict[str, Any]) -> str:
    workers = views.counted(figures["workers"], "worker")
    parts = [workers + (f" ({figures['leaving']} leaving)" if figures["leaving"] else "")]
    parts.append(f"{figures['running']} of {figures['slots']} slots")
    parts.append(f"{figures['samples_per_s']:g} of {figures['supply']:g} samples/s")
    parts.append(f"busy {figures['busy']:.0%}")
    waits = f", the oldest for {views.duration(figures['oldest_waiting_s'])}" if figures["queued"] else ""
    parts.append(f"{figures['queued']} waiting{waits}")
    parts.append(f"{figures['dropped_share']:.1%} dropped")
    if figures["redis_memory_share"] is not None:
        parts.append(f"Redis {figures['redis_memory_share']:.0%} full")
    if figures["left_out"]:
        parts.append(f"{figures['left_out']} jobs more are not looked at")
    return " · ".join(parts)
