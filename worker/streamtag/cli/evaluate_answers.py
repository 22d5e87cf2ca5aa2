"""How the figures of ``evaluate`` are printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from streamtag.cli.common import err, out
from streamtag.cli.tables import Column, Grid
from streamtag.redaction import printable

MOST_CLASSES = 20  # in the table, the weakest first


def show(content: dict[str, Any], many: bool) -> None:
    """The figures of one network.

    Args:
        many: whether the best five are worth a line.
    """
    out.print(f"[bold]{share(content, 'accuracy')}[/] of {content['samples']} samples right", highlight=False)
    if many:
        out.print(f"{share(content, 'top5')} among the best five", highlight=False)
    before, after = content["calibration"]["before"], content["calibration"]["after"]
    out.print(
        f"calibration error {number(before, 'ece')} at temperature {before['temperature']:.2f}, {number(after, 'ece')} "
        f"at the fitted {number(after, 'temperature', 2)} (on samples that it was not fitted to)",
        highlight=False,
    )
    if level := content["level"]:
        out.print(
            f"told a label or group: {share(level, 'told')} of the samples, {share(level, 'true')} of those truly; "
            f"{number(level, 'bits', 1)} of {level['most_bits']:.1f} bits; the best group is true for "
            f"{share(level, 'groups')} of those with one",
            highlight=False,
        )
        _show_choice(level["exact"], level["choice"])
    _show_classes(content)
    show_remarks(content)


def _show_choice(now: float, choice: dict[str, Any] | None) -> None:
    if choice is None:
        return
    wanted = f"{choice['wanted']:.0%} of the labels told are true"
    if choice["exact"] is None:
        text = f"with no share of its group's score that a label needs: at most {share(choice, 'best')}"
    else:
        text = (
            f"where a label has {number(choice, 'exact', 2)} of its group's score ({now:.2f} is in force); on samples "
            f"that this was not chosen on {share(choice, 'told')} are told, {share(choice, 'true')} of those truly, "
            f"{number(choice, 'bits', 1)} bits"
        )
    out.print(f"{wanted} {text}", highlight=False)


def _show_classes(content: dict[str, Any]) -> None:
    thresholds = {row["label"]: row for row in content["thresholds"]}
    names = ("samples", "precision", "recall", "F1", "equal errors at")
    grid = Grid("class", *(Column(name, right=True) for name in names))
    rows = content["classes"]
    shown = rows if len(rows) <= MOST_CLASSES else sorted(rows, key=lambda row: row["f1"])[:MOST_CLASSES]
    for row in shown:
        threshold = thresholds.get(row["label"])
        grid.row(
            row["label"],
            str(row["support"]),
            *(number(row, name, 2) for name in ("precision", "recall", "f1")),
            number(threshold, "equal_error_threshold") if threshold else "",
        )
    grid.print()
    if len(rows) > len(shown):
        out.print(f"the {len(shown)} weakest of {len(rows)} classes; all of them with --json or --report")


def show_side_by_side(names: Sequence[str], rows: list[list[str]], pairs: Sequence[object]) -> None:
    """Several networks, and whether they differ."""
    grid = Grid("", *(Column(name, right=True) for name in names))
    for row in rows:
        grid.row(*row)
    grid.print()
    for pair in pairs:
        out.print(escape(str(pair)), highlight=False, soft_wrap=True)


def show_remarks(content: dict[str, Any]) -> None:
    """Warnings, what was left out and what was written."""
    for text in content["warnings"]:
        err.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)
    if content["trained_on"]:
        text = f"{content['trained_on']} items were trained on and are left out (--include-trained counts them)"
        err.print(f"[yellow]warning:[/] {text}", highlight=False, soft_wrap=True)
    for row in content["unreadable"]:
        left_out = escape(printable(f"{row['path']}: {row['reason']}"))
        err.print(f"[yellow]left out[/] {left_out}", highlight=False, soft_wrap=True)
    if "report" in content:
        out.print(f"report: {escape(printable(content['report']))}", highlight=False, soft_wrap=True)
    for name, value in content.get("written", {}).items():
        text = f"of {len(value)} labels" if name == "thresholds" else f"{value:g}"
        out.print(f"written into the bundle: {name} {text}", highlight=False)
    for label, reason in content.get("left_out", {}).items():
        out.print(f"  {escape(label)}: no new threshold; {escape(reason)}", highlight=False, soft_wrap=True)
    for name, reason in content.get("refused", {}).items():
        err.print(f"[red]not written: {name}[/]: {escape(reason)}", highlight=False, soft_wrap=True)


def share(content: dict[str, Any], name: str) -> str:
    """A share in percent, with half its interval."""
    low, high = content[f"{name}_95"]
    return f"{content[name]:.1%} ± {50 * (high - low):.1f}"


def number(content: dict[str, Any], name: str, digits: int = 3) -> str:
    """A number with half its interval."""
    low, high = content[f"{name}_95"]
    return f"{content[name]:.{digits}f} ± {(high - low) / 2:.{digits}f}"
