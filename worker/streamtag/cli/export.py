"""``streamtag export``: the results of a job as a file that others read."""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

from streamtag.cli import completion
from streamtag.cli.common import (
    OUTPUT,
    Config,
    Model,
    Overrides,
    end_on_sigterm,
    err,
    out,
    print_json,
    settings_from,
)
from streamtag.cli.progress import progress_bar
from streamtag.client import Client
from streamtag.core.entry_id import id_of
from streamtag.core.records import JobView, Result
from streamtag.errors import ConfigError, StreamtagError
from streamtag.redaction import printable
from streamtag.tools.exporting.edl import Rate
from streamtag.tools.exporting.formats import Exported, ExportFormat, format_of
from streamtag.tools.exporting.formats import export as pieces_of

STDOUT = Path("-")
SHOWN_S = 0.1  # between two looks of the bar: some formats come a result at a time


def export(
    job_id: Annotated[str, typer.Argument(help="Job whose results are written.", autocompletion=completion.jobs)],
    format_: Annotated[
        ExportFormat | None,
        typer.Option("--format", "-f", help="Default: what the file's ending says; without a file jsonl."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File, whole or not at all; - is standard output.")
    ] = STDOUT,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    fps: Annotated[Rate, typer.Option("--fps", help="Frames a second of an edl's timecodes.")] = Rate.PAL,
    region: Annotated[str | None, typer.Option("--region", help="Results of one named region only.")] = None,
    config: Config = None,
    model: Model = None,
    json: Annotated[
        bool, typer.Option("--json", help="What was written, as one JSON object.", rich_help_panel=OUTPUT)
    ] = False,
    overrides: Overrides = None,
) -> None:
    """Write the results of a job that Redis has now: as data, as subtitles, or as a list of cuts.

    jsonl has each result whole; csv and parquet a row for each label of each sample; vtt, srt and edl what is active,
    by presentation time.
    """
    format_ = format_ or (ExportFormat.JSONL if output == STDOUT else format_of(output))
    if output == STDOUT and json:
        raise ConfigError("--json tells what was written to a file; name one with --output")
    if output == STDOUT and format_ is ExportFormat.PARQUET and out.is_terminal:
        raise ConfigError("parquet is not for terminals; name a file with --output")
    end_on_sigterm()
    settings = settings_from(config, model, None, overrides)
    with Client(settings=settings) as client:
        view, job = client.status(job_id), client.job(job_id)
        stored = Stored(client, view, region)
        step_s = settings.sampling.step_s(job.sampling, job.is_live)
        about = Exported(view, settings.smoothing.reset_gap_s, step_s, fps)
        pieces = pieces_of(stored, format_, about)
        if output == STDOUT:
            written = _copy(pieces, sys.stdout.buffer, stored, shown=not out.is_terminal)
        else:
            with written_whole(output, force) as file:
                written = _copy(pieces, file, stored, shown=not json)
                stored.check()
    stored.check()
    if json:
        names = {"job_id": job_id, "format": format_, "output": str(output)}
        print_json(names | {"samples": stored.told, "missing": stored.missing, "bytes": written})
    elif stored.missing:
        text = f"{stored.missing} samples of {view.counters.published} that were published are not stored any more"
        err.print(f"[yellow]note:[/] {text} (redis.results_maxlen, redis.results_max_age_s)", soft_wrap=True)


class Stored:
    """The results of a job that are there when this begins: what comes later is not waited for.

    Args:
        region: whose results are told; None for all.
    """

    def __init__(self, client: Client, view: JobView, region: str | None = None) -> None:
        self._client = client
        self._view = view
        self._region = region
        self._others: set[str] = set()  # regions whose results are not
        self.read = 0
        self.told = 0
        self.done = 0.0  # 0 to 1

    def __iter__(self) -> Iterator[Result]:
        newest = self._client.newest_results(self._view.job_id, 1)
        last = id_of(newest[0].id) if newest else (0, 0)
        first: tuple[int, int] | None = None
        for result in self._client.results(self._view.job_id):
            now = id_of(result.id)
            if now > last:
                return
            first = first or now
            self.read += 1
            self.done = (now[0] - first[0] + 1) / (last[0] - first[0] + 1)
            if self._region not in (None, result.region):
                self._others.add(result.region)
                continue
            self.told += 1
            yield result

    @property
    def missing(self) -> int:
        """Results that were published before this began and had gone by then."""
        return max(0, self._view.counters.published - self.read)

    def check(self) -> None:
        """
        Raises:
            StreamtagError: the job had results, and none is left, or none is of the region.
        """
        if self._others and not self.told:
            names = ", ".join(map(printable, sorted(self._others - {""})))
            known = f"has results of {names}" if names else "has no named regions"
            raise StreamtagError(f"--region {self._region!r}: {self._view.job_id} {known}")
        if not self.read and self._view.counters.published:
            raise StreamtagError(
                f"{self._view.job_id}: no result of it is stored any more; they go redis.expire_s after its end"
            )


@contextmanager
def written_whole(path: Path, force: bool) -> Iterator[BinaryIO]:
    """A file to write, which has its name once all of it is on the disk, and is gone if anything comes between.

    Raises:
        ConfigError: something of that name is there, or the folder is not.
        StreamtagError: it cannot be written to the end.
    """
    path = path.expanduser().resolve()
    _check_free(path, force)
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        file = part.open("xb")
    except OSError as error:
        raise ConfigError(f"cannot write {printable(str(path))}: {error.strerror}") from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _check_free(path, force)  # somebody else may have been quicker
        part.replace(path)
    except OSError as error:
        raise StreamtagError(f"{printable(str(path))} is not written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _check_free(path: Path, force: bool) -> None:
    if path.exists() and not path.is_file():
        raise ConfigError(f"{printable(str(path))} is no file; for pipes write to standard output, --output -")
    if path.exists() and not force:
        raise ConfigError(f"{printable(str(path))} is there already; --force replaces it")


def _copy(pieces: Iterable[bytes], file: BinaryIO, stored: Stored, shown: bool) -> int:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[size]}"),
        TimeElapsedColumn(),
    )
    written, shown_s = 0, float("-inf")
    with progress_bar(*columns, quiet=not shown) as progress:
        bar = progress.add_task("export", total=1.0, size="")
        for piece in pieces:
            file.write(piece)
            written += len(piece)
            if (now_s := time.monotonic()) - shown_s >= SHOWN_S:
                progress.update(bar, completed=stored.done, description=f"{stored.read} samples", size=_size(written))
                shown_s = now_s
        file.flush()
    return written


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
