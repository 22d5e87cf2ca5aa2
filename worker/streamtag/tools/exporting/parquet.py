"""Parquet, by pyarrow: the rows of a table with their types, a group of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from streamtag.core.records import Result
from streamtag.tools.exporting.rows import Row, rows

GROUP_ROWS = 20_000  # a few megabytes: small enough to hold, large enough to be read quickly


class _Pieces:
    """A file for pyarrow to write to, from which what was written is taken."""

    def __init__(self) -> None:
        self.closed = False
        self._held: list[bytes] = []

    def write(self, content: bytes) -> int:
        self._held.append(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        content, self._held = b"".join(self._held), []
        return content


def parquet(results: Iterable[Result], job_id: str) -> Iterator[bytes]:
    """The rows of all results; the job's id is in the metadata of the file."""
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet as pq  # noqa: PLC0415 - an extra

    kinds = {"frame": pa.int64(), "class_id": pa.int64(), "active": pa.bool_(), "group": pa.bool_()}
    kinds |= dict.fromkeys(("pts_s", "score", "smoothed"), pa.float64())
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in Row._fields], {"streamtag.job_id": job_id})
    pieces = _Pieces()
    with pq.ParquetWriter(pieces, schema, compression="zstd") as writer:
        held: list[Row] = []
        for result in results:
            held += rows(result)
            if len(held) >= GROUP_ROWS:
                writer.write_table(_table(pa, schema, held))
                held.clear()
                yield pieces.take()
        if held:
            writer.write_table(_table(pa, schema, held))
    yield pieces.take()


def _table(pa: Any, schema: Any, held: list[Row]) -> Any:
    columns = zip(*held, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
