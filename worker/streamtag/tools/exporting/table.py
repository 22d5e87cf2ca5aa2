"""Comma-separated values. Texts of strangers stay texts, also in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from streamtag.core.records import Result
from streamtag.redaction import printable
from streamtag.tools.exporting.rows import Row, rows

# A cell that begins so is a formula to spreadsheets, which quotes do not prevent; an apostrophe does (OWASP, "CSV
# Injection"). Tabs and line ends, which OWASP names too, are no part of a printable text.
FORMULA = ("=", "+", "-", "@")
PIECE_ROWS = 1000


def table(results: Iterable[Result]) -> Iterator[bytes]:
    """The rows under a heading, in UTF-8, lines ended by a line feed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Row._fields)
    held = 0
    for result in results:
        for row in rows(result):
            writer.writerow(_cells(row))
            held += 1
        if held >= PIECE_ROWS:
            yield _taken(text)
            held = 0
    yield _taken(text)


def _cells(row: Row) -> Iterator[str | int | float]:
    for value in row:
        if isinstance(value, bool):
            yield int(value)
        elif isinstance(value, str):
            yield _harmless(value)
        else:
            yield "" if value is None else value


def _harmless(text: str) -> str:
    text = printable(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def _taken(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return piece
