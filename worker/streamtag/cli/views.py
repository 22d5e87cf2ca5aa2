"""How records look on a terminal."""

from __future__ import annotations

import time

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from streamtag.core.records import Event, JobStatus, JobView, Label, Result

_COLOURS = {
    JobStatus.QUEUED: "cyan",
    JobStatus.RUNNING: "blue",
    JobStatus.DONE: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "yellow",
}


def table(found: list[JobView], workers: int) -> Table:
    """All jobs of a queue, a row each."""
    title = f"{len(found)} jobs, {workers} workers"
    grid = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    grid.add_column("job", overflow="fold", min_width=16)
    grid.add_column("status", no_wrap=True)
    grid.add_column("stream", no_wrap=True)
    for name in ("done", "frames", "samples", "drop", "fail", "age"):
        grid.add_column(name, justify="right", no_wrap=True)
    for view in found:
        counters = view.counters
        grid.add_row(
            escape(view.job_id),
            Text(view.status, style=_COLOURS[view.status]),
            view.state,
            "" if view.progress is None else f"{view.progress:.0%}",
            str(counters.decoded),
            str(counters.published),
            str(sum(counters.dropped.values())),
            str(sum(counters.failed.values())),
            duration(time.time() - view.submitted_unix_s) if view.submitted_unix_s else "",
        )
    return grid


def reason_line(view: JobView) -> Text:
    """Why a job ended or waits."""
    return Text.assemble((view.job_id, "bold"), ": ", view.reason)


def outcome_line(view: JobView) -> Text:
    """How a job ended, in one line."""
    counters = view.counters
    line = Text.assemble((view.job_id, "bold"), "  ", (str(view.status), _COLOURS[view.status]))
    line.append(f"  {counters.published} samples of {counters.decoded} frames")
    if view.reason:
        line.append(f"  {view.reason}")
    return line


def result_line(result: Result) -> Text:
    """A sample: its time, its frame and its best labels, active ones in green."""
    line = Text(f"{clock(result.pts_s)}  #{result.index:<7d}")
    for label in result.labels[:3]:
        line.append(f" {label.name} {label.smoothed:.2f}", style="bold green" if label.name in result.active else "")
    return line


def event_line(event: Event) -> Text:
    """An event: its time, its kind, its job and what else it says."""
    style = {"enter": "bold green", "exit": "yellow", "gap": "red", "frame_failed": "red"}.get(event.kind, "cyan")
    line = Text.assemble(clock(event.pts_s), "  ", (f"{event.kind:<6}", style), f" {event.job_id}")
    content = dict(event.content)
    label = content.pop("label", None)
    if label is not None:
        line.append(f"  {label['name']}", style="bold")
    content.pop("stream", None)
    details = "  ".join(f"{name}={value}" for name, value in content.items() if value not in ("", None))
    return line.append(f"  {details}" if details else "", style="dim")


def label_rows(labels: list[Label]) -> list[tuple[str, str, str]]:
    """Rank, name and score, a row a label."""
    return [(str(rank), label.name, f"{label.score:.4f}") for rank, label in enumerate(labels, start=1)]


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss.mmm."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours:d}:{minutes:02d}:{rest:06.3f}"


def duration(seconds: float) -> str:
    """Seconds in their largest whole unit."""
    seconds = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
