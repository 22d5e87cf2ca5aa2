"""What the formats of ``export`` make of times, and of names that mean something to who reads them."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow.parquet
import pytest
from streamtag.core.records import GroupLabel, JobStatus, JobView, Label, Result
from streamtag.errors import ConfigError, StreamtagError
from streamtag.tools.exporting import parquet, table
from streamtag.tools.exporting.edl import Rate
from streamtag.tools.exporting.formats import Exported, ExportFormat, export, format_of

VIEW = JobView("film-1", JobStatus.DONE, "/films/holiday.mp4", stream="holiday")
DOG = Label(7, "dog", 0.75, 0.5)


def sample(pts_s: float, *active: str, labels: tuple[Label, ...] = (DOG,)) -> Result:
    return Result(f"{int(pts_s * 1000)}-1", 3, pts_s, labels, active)


def text(format_: ExportFormat, *results: Result, about: Exported | None = None) -> str:
    return b"".join(export(results, format_, about or Exported(VIEW))).decode()


def test_vtt() -> None:
    found = text(ExportFormat.VTT, sample(0), sample(3599.5, "a --> b <c> &\nd"), sample(3601.25))
    assert found == "WEBVTT\n\n1\n00:59:59.500 --> 01:00:01.250\na --&gt; b &lt;c&gt; &amp;?d\n"
    assert text(ExportFormat.VTT) == "WEBVTT\n"


def test_srt() -> None:
    found = text(ExportFormat.SRT, sample(0, "{\\an8}<b>", "a-->b"), sample(1, "dog"), sample(2))
    assert found == ("1\n00:00:00,000 --> 00:00:01,000\n(\\an8)‹b›\na--›b\n\n2\n00:00:01,000 --> 00:00:02,000\ndog\n")


@pytest.mark.parametrize(
    ("rate", "times"),
    [
        (Rate.PAL, "00:00:01:15 00:01:00:00 00:00:01:15 00:01:00:00"),
        # 60 s are 1798 frames of 30000/1001 a second, which is two less than a minute of timecode.
        (Rate.NTSC, "00:00:01:18 00:00:59:28 00:00:01:18 00:00:59:28"),
    ],
)
def test_edl(rate: Rate, times: str) -> None:
    seconds = [1.6, *range(5, 60, 5)]
    found = text(
        ExportFormat.EDL, *(sample(at, "dog\n002") for at in seconds), sample(60), about=Exported(VIEW, rate=rate)
    )
    assert found == (
        "TITLE: holiday\nFCM: NON-DROP FRAME\n\n"
        f"001  AX       V     C        {times}\n* FROM CLIP NAME: holiday.mp4\n* COMMENT: dog?002\n"
    )


def test_cuts_of_an_edl_never_overlap_nor_are_empty() -> None:
    at_1000_a_second = [sample(number / 1000, "ab"[number % 2]) for number in range(200)]
    lines = [line.split() for line in text(ExportFormat.EDL, *at_1000_a_second).splitlines() if line[:3].isdecimal()]
    times = [(line[4], line[5]) for line in lines]
    assert len(times) == 200
    assert all(start < end for start, end in times)
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(times))


def test_a_timecode_beyond_a_day_is_refused_with_another_way() -> None:
    with pytest.raises(StreamtagError, match=r"24 hours.*vtt or csv"):
        text(ExportFormat.EDL, sample(86_399.9, "dog"), sample(86_401))


def test_csv_has_a_row_a_label_and_no_formula() -> None:
    evil = Label(8, "=HYPERLINK(1)\r\n", 0.25, 0.5)
    group = GroupLabel("animal", 0.8, 0.7)
    result = Result("5-1", 3, 0.5, (DOG, evil), ("dog", "@cat"), region="door", groups=(group,))
    found = list(csv.DictReader(io.StringIO(text(ExportFormat.CSV, result))))
    assert [(row["label"], row["class_id"], row["score"], row["active"], row["group"]) for row in found] == [
        ("dog", "7", "0.75", "1", "0"),
        ("'=HYPERLINK(1)??", "8", "0.25", "0", "0"),
        ("animal", "", "0.8", "0", "1"),
        ("'@cat", "", "", "1", "0"),  # active though it is not among the best: not left out
    ]
    assert {(row["id"], row["frame"], row["pts_s"], row["region"]) for row in found} == {("5-1", "3", "0.5", "door")}


def test_jsonl_is_what_tail_prints() -> None:
    result = sample(0.5, "dog")
    assert orjson.loads(text(ExportFormat.JSONL, result)) == orjson.loads(orjson.dumps(result.to_dict()))


def test_parquet_has_the_rows_of_the_table_with_their_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)
    results = [sample(number / 2, *(["dog", "=2"] if number % 2 else [])) for number in range(5)]
    path = tmp_path / "a.parquet"
    path.write_bytes(b"".join(export(results, ExportFormat.PARQUET, Exported(VIEW))))
    found = pyarrow.parquet.ParquetFile(path)
    assert found.metadata.num_row_groups == 3
    assert found.schema_arrow.metadata[b"streamtag.job_id"] == b"film-1"
    rows = found.read().to_pylist()
    assert [(row["pts_s"], row["label"], row["active"], row["score"]) for row in rows if row["active"]] == [
        (0.5, "dog", True, 0.75),
        (0.5, "=2", True, None),
        (1.5, "dog", True, 0.75),
        (1.5, "=2", True, None),
    ]
    assert len(rows) == 7
    empty = tmp_path / "empty.parquet"
    empty.write_bytes(b"".join(export([], ExportFormat.PARQUET, Exported(VIEW))))
    assert pyarrow.parquet.read_table(empty).num_rows == 0


@pytest.mark.parametrize("format_", list(ExportFormat))
def test_few_results_are_held_at_a_time(format_: ExportFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 10)
    monkeypatch.setattr(table, "PIECE_ROWS", 10)
    asked = 0

    def endless() -> Iterator[Result]:
        nonlocal asked
        while asked < 1000:
            asked += 1
            yield sample(asked / 2, "ab"[asked % 2])

    pieces = export(endless(), format_, Exported(VIEW))
    for _ in range(3):
        next(pieces)
    assert 0 < asked < 60


def test_the_ending_of_a_file_names_its_format() -> None:
    assert format_of(Path("a/b.VTT")) is ExportFormat.VTT
    for name in ("a.txt", "vtt", ".csv"):
        with pytest.raises(ConfigError, match="its ending names no format"):
            format_of(Path(name))
