"""What the commands of ``streamtag bench`` share: how they say what they do and what they found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from streamtag.cli.common import out, settings_from
from streamtag.cli.progress import progress_bar
from streamtag.settings import Settings


def worker_settings(
    config: Path | None, model: str | None, weights: str | None, overrides: Sequence[str] | None
) -> Settings:
    """Of a worker in this process, beside whose log a bar is shown."""
    quiet = ["log.level=error", *(overrides or [])]
    return settings_from(config, model or "mobilenetv2", weights or "random", quiet)


@contextmanager
def telling(json: bool) -> Iterator[Callable[[str], None]]:
    """What is being done, where there is no number to count."""
    columns = SpinnerColumn(), TextColumn("{task.description}")
    # Once a second, as below: the bench's own process is what many benches measure.
    with progress_bar(*columns, quiet=json, refresh_per_second=1) as progress:
        task = progress.add_task("", total=None)
        yield lambda text: progress.update(task, description=escape(text))


def counting(what: str, json: bool) -> Progress:
    """A bar of so many of so many."""
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn()
    # Drawn once a second: ten times cost the process that is measured 95 us for each sample of 48 slow cameras.
    return progress_bar(*columns, quiet=json, refresh_per_second=1)


def say(*lines: str) -> None:
    """Sentences below a table."""
    for line in lines:
        out.print(escape(line), highlight=False, soft_wrap=True)
