"""The formats, what each is good for, and the one way into them: results in, pieces of a file out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import orjson

from streamtag.core.records import JobView, Result
from streamtag.core.stretches import stretches
from streamtag.errors import ConfigError
from streamtag.extras import require
from streamtag.tools.exporting.edl import Rate, edl
from streamtag.tools.exporting.parquet import parquet
from streamtag.tools.exporting.subtitles import srt, vtt
from streamtag.tools.exporting.table import table


class ExportFormat(StrEnum):
    """What an export is written as; also the ending of its file."""

    JSONL = "jsonl"  # every result whole, as `tail --json` prints it
    CSV = "csv"  # a row for each label of each sample
    PARQUET = "parquet"  # the same rows
    VTT = "vtt"  # what is active, over a video in a browser
    SRT = "srt"  # the same in players
    EDL = "edl"  # the same in film editors (CMX 3600)

    @property
    def media_type(self) -> str:
        """As a web server says it."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    ExportFormat.JSONL: "application/x-ndjson",
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
    ExportFormat.VTT: "text/vtt; charset=utf-8",
    ExportFormat.SRT: "application/x-subrip; charset=utf-8",
    ExportFormat.EDL: "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What the file is of, and how its times are told."""

    view: JobView
    gap_s: float = 5.0  # without a sample, after which what was active is not known to be (smoothing.reset_gap_s)
    step_s: float | None = None  # between two samples, as the job asked for them; None where its frames decided
    rate: Rate = Rate.PAL  # of an edl


def export(results: Iterable[Result], format_: ExportFormat, about: Exported) -> Iterator[bytes]:
    """The pieces of a file, in order. Of the results only a few are held at a time, however many they are.

    Args:
        results: of one job, in order.

    Raises:
        ConfigError: parquet is asked for and its package is not there; said at once and not at the first piece.
        StreamtagError: what is stored cannot be told in this format.
    """
    if format_ is ExportFormat.PARQUET:
        require("export to parquet")
    return _pieces(results, format_, about)


def _pieces(results: Iterable[Result], format_: ExportFormat, about: Exported) -> Iterator[bytes]:
    if format_ is ExportFormat.JSONL:
        return (orjson.dumps(result, option=orjson.OPT_APPEND_NEWLINE) for result in results)
    if format_ is ExportFormat.CSV:
        return table(results)
    if format_ is ExportFormat.PARQUET:
        return parquet(results, about.view.job_id)
    told = stretches(results, about.gap_s, about.step_s)
    if format_ is ExportFormat.VTT:
        return vtt(told)
    if format_ is ExportFormat.SRT:
        return srt(told)
    return edl(told, about.view, about.rate)


def format_of(path: Path) -> ExportFormat:
    """The format that the ending of a file's name means.

    Raises:
        ConfigError: it means none.
    """
    try:
        return ExportFormat(path.suffix.lower().removeprefix("."))
    except ValueError:
        known = ", ".join(ExportFormat)
        raise ConfigError(f"{path}: its ending names no format ({known}); give --format") from None
