"""Bars on standard error, for people who look at it."""

from __future__ import annotations

from rich.progress import Progress, ProgressColumn

from streamtag.cli.common import can_draw, err


def progress_bar(
    *columns: str | ProgressColumn, quiet: bool, transient: bool = True, refresh_per_second: float = 10
) -> Progress:
    """Rich's display of progress, which shows nothing where ``quiet`` or where standard error cannot be drawn on.

    A log would get an empty line, or each bar as it stood at its end.
    """
    return Progress(
        *columns,
        console=err,
        transient=transient,
        disable=quiet or not can_draw(err),
        refresh_per_second=refresh_per_second,
    )
