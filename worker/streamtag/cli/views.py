"""How records look on a terminal."""

from __future__ import annotations

import math
from typing import Any

from rich.text import Text

from streamtag.core.records import Event, JobStatus, JobView, Label, Result
from streamtag.redaction import printable

MOST_TOLD = 12  # parts of one value
COLOURS = {
    JobStatus.QUEUED: "cyan",
    JobStatus.RUNNING: "blue",
    JobStatus.DONE: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "yellow",
    JobStatus.UNREADABLE: "magenta",
}


def outcome_line(view: JobView) -> Text:
    """How a job ended, in one line."""
    counters = view.counters
    line = Text.assemble((printable(view.job_id), "bold"), "  ", (str(view.status), COLOURS[view.status]))
    if counters.decoded or view.status is JobStatus.DONE:
        line.append(f"  {counters.published} samples of {counters.decoded} frames")
    if view.reason:
        line.append(f"  {printable(view.reason)}")
    return line


def result_line(result: Result) -> Text:
    """A sample: its time, its frame and its best labels, active ones in green."""
    line = Text(f"{clock(result.pts_s)}  #{result.index:<7d}")
    if result.region:
        line.append(f" {printable(result.region)}:", style="cyan")
    for label in result.labels[:3]:
        style = "bold green" if label.name in result.active else ""
        line.append(f" {printable(label.name)} {label.smoothed:.2f}", style=style)
    shown = {label.name for label in result.labels[:3]}
    scores = {group.name: f" {group.smoothed:.2f}" for group in result.groups}
    for name in (name for name in result.active if name not in shown):
        line.append(f" {printable(name)}{scores.get(name, '')}", style="bold green")
    if result.reused:
        line.append(" reused", style="dim")
    return line


def event_line(event: Event) -> Text:
    """An event: its time, its kind, its job and what else it says."""
    style = {"enter": "bold green", "exit": "yellow", "gap": "red", "frame_failed": "red"}.get(event.kind, "cyan")
    line = Text.assemble(
        clock(event.pts_s), "  ", (f"{printable(event.kind):<6}", style), f" {printable(event.job_id)}"
    )
    content = dict(event.content)
    label = content.pop("label", None)
    if label is not None:
        line.append(f"  {printable(str(label['name']))}", style="bold")
    content.pop("stream", None)
    details = "  ".join(f"{name}={value}" for name, value in content.items() if value not in ("", None))
    return line.append(f"  {printable(details)}" if details else "", style="dim")


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
    if not math.isfinite(seconds):
        return ""  # a producer's clock may hold anything
    seconds = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def age(since_unix_s: float, now_unix_s: float) -> str:
    """How long ago; empty where it never was."""
    return duration(now_unix_s - since_unix_s) if since_unix_s else ""


def counted(number: int, noun: str) -> str:
    """A number of things."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def nested(value: Any, between: str = ", ") -> str:
    """A value for people; empty where there is none. What is in another one has slashes between its parts."""
    if isinstance(value, dict):
        parts = [f"{name} {told}" for name, one in value.items() if (told := nested(one, " / "))]
    elif isinstance(value, list | tuple):
        parts = [nested(one, " / ") for one in value]
    elif isinstance(value, bool):
        return "yes" if value else "no"
    else:
        return "" if value is None else str(value)
    more = [f"… {len(parts)} in all"] if len(parts) > MOST_TOLD else []
    return between.join(parts[:MOST_TOLD] + more)
