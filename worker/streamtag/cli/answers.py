"""How the answers of ``classify`` are printed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from streamtag.cli import views
from streamtag.cli.common import err, out, print_json
from streamtag.cli.tables import Grid
from streamtag.redaction import printable
from streamtag.tools.classify import Answer


def json_of(answer: Answer) -> dict[str, Any]:
    """An answer for programs."""
    content: dict[str, Any] = {"path": answer.path}
    if answer.region:
        content["region"] = answer.region
    if answer.labels:
        content["labels"] = [asdict(label) for label in answer.labels]
    if answer.groups:
        content["groups"] = [{"name": group.name, "score": group.score} for group in answer.groups]
    if answer.error:
        content["error"] = answer.error
    if answer.note:
        content["note"] = answer.note
    if answer.captions:
        content["samples"] = answer.samples
        content["segments"] = [asdict(segment) for segment in answer.segments]
    return content


def show(answer: Answer, content: dict[str, Any]) -> None:
    """An answer for people, with what was drawn of it."""
    if answer.labels or "error" not in content:
        out.print(Text.assemble((printable(answer.path), "bold"), *_region(answer)), soft_wrap=True)
    if answer.labels:
        grid = Grid("rank", "label", "probability", indent=2)
        for row in views.label_rows(list(answer.labels)):
            grid.row(*row)
        grid.print()
    if answer.groups:
        told = ", ".join(f"{group.name} {group.score:.2f}" for group in answer.groups)
        out.print(Text(f"  {printable(told)}", style="dim"), soft_wrap=True)
    for segment in answer.segments:
        span = f"{views.clock(segment.start_s)} to {views.clock(segment.end_s)}"
        out.print(Text(f"  {span}  {printable(segment.label)}"), soft_wrap=True)
    show_trouble(content)
    for drawn in ("annotated", "timeline"):
        if drawn in content:
            say_drawn(Path(content[drawn]))


def show_trouble(content: dict[str, Any]) -> None:
    """What went wrong with an answer. It names the file, since standard error may be read alone."""
    for trouble, style in (("error", "red"), ("note", "yellow")):
        if trouble in content:
            err.print(Text(printable(f"{content['path']}: {content[trouble]}"), style=style), soft_wrap=True)


def _region(answer: Answer) -> list[tuple[str, str]]:
    return [("  ", ""), (printable(answer.region), "cyan")] if answer.region else []


def print_side_by_side(chosen: list[str], found: dict[str, list[Answer]], json: bool) -> None:
    """The answers of several networks about the same sources."""
    for row, source in enumerate(chosen):
        answers = {name: answers[row] for name, answers in found.items()}
        if json:
            print_json({"path": source, "networks": {name: json_of(answer) for name, answer in answers.items()}})
            continue
        out.print(Text(printable(source), style="bold"), soft_wrap=True)
        grid = Grid("rank", *answers, indent=2)
        for rank in range(max(len(answer.labels) for answer in answers.values())):
            labels = [answer.labels[rank] if rank < len(answer.labels) else None for answer in answers.values()]
            grid.row(str(rank + 1), *(f"{label.name} {label.score:.4f}" if label else "" for label in labels))
        grid.print()
        for name, answer in answers.items():
            if answer.error:
                err.print(Text(printable(f"{source}: {name}: {answer.error}"), style="red"), soft_wrap=True)


def say_drawn(path: Path) -> None:
    """Name a file that was drawn."""
    out.print(Text(f"  drawn on {printable(str(path))}"), soft_wrap=True)
