"""Named regions on the command line: submitted, tailed, classified without Redis, and drawn."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamtag.cli.regions import named_regions
from streamtag.errors import ConfigError
from streamtag.settings import Settings

from tests.support import NULL, Worker, json_lines, run_cli, start_worker

BOTH = ("--roi", "left=0,0,0.5,1", "--roi", "right=0.5,0,0.5,1")


def test_a_job_of_two_regions_is_two_streams_of_results(settings: Settings, workers: list[Worker], clip: Path) -> None:
    start_worker(workers, settings, *NULL)
    ran = run_cli(settings, "submit", str(clip), *BOTH, "--fps", "2", "--id", "two", "--wait", "--json")
    assert ran.returncode == 0, ran.stderr
    (job,) = json_lines(ran.stdout)
    counters = job["counters"]
    assert (counters["published"], counters["regions"]) == (32, 2)
    assert counters["decoded"] * 2 == counters["sampled"] + counters["skipped"] == 400
    left = json_lines(run_cli(settings, "tail", "two", "--region", "left", "--json").stdout)
    assert len(left) == 16
    assert {result["region"] for result in left} == {"left"}
    last = json_lines(run_cli(settings, "tail", "two", "--region", "right", "-n", "3", "--json").stdout)
    assert [(result["region"], result["index"]) for result in last] == [("right", one["index"]) for one in left[-3:]]
    told = json_lines(run_cli(settings, "tail", "two", "--events", "--region", "right", "--json").stdout)
    assert {event["kind"] for event in told} == {"enter", "exit"}
    assert " right: " in run_cli(settings, "tail", "two").stdout
    none = run_cli(settings, "tail", "two", "--region", "middle")
    assert (none.returncode, none.stdout) == (2, "")
    assert "two has the regions left, right" in none.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["0,0,1"], "four numbers"),
        (["door=0,0,1,1", "0,0,1,1"], "each has a name"),
        (["door=0,0,1,1", "door=0,0,1,1"], "another region 'door'"),
        (["the door=0,0,1,1"], "--roi must be"),
        (["door=0,0,1,2"], "--roi must be"),
        (["door=0.5,0,1,1"], "--roi: must lie within"),
    ],
)
def test_what_is_no_region_is_refused_at_the_door(given: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        named_regions(given)


@pytest.mark.long
def test_classify_answers_for_each_region_and_draws_them(settings: Settings, clip: Path, tmp_path: Path) -> None:
    picture = tmp_path / "one.png"
    cv2.imwrite(str(picture), cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG).read()[1])
    (tmp_path / "torn.png").write_bytes(picture.read_bytes()[:1000])
    sources, out, table = [str(picture), str(tmp_path / "torn.png"), str(clip)], tmp_path / "out", tmp_path / "a.csv"
    drawing = ("--annotate", str(out), "--csv", str(table), "--model", "demo")
    ran = run_cli(settings, "classify", *sources, *BOTH, "--json", "-k", "2", *drawing)
    answers = json_lines(ran.stdout)
    assert ran.returncode == 1
    assert [(Path(one["path"]).name, one["region"]) for one in answers] == [
        (Path(source).name, region) for source in sources for region in ("left", "right")
    ]
    assert ["error" in one for one in answers] == [False, False, True, True, False, False]
    assert [one["samples"] for one in answers[4:]] == [40, 40]
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["region"] for row in rows if row["path"] == str(clip)} == {"left", "right"}
    drawn, original = cv2.imread(str(out / "one.png")), cv2.imread(str(picture))
    assert drawn is not None
    assert original is not None
    width = drawn.shape[1]
    for border in (0, width // 2 - 1, width // 2, width - 1):
        assert tuple(drawn[40, border]) == (0, 200, 255)
    for half in (slice(8, width // 2 - 8), slice(width // 2 + 8, width - 8)):
        assert np.any(drawn[-60:-8, half] != original[-60:-8, half])  # its caption
    copy = cv2.VideoCapture(str(out / f"{clip.stem}.mp4"), cv2.CAP_FFMPEG)
    assert copy.get(cv2.CAP_PROP_FRAME_COUNT) == 200
    many = run_cli(settings, "classify", str(clip), *BOTH, "--timeline", str(tmp_path / "t.png"), "--model", "demo")
    assert (many.returncode, "one region" in many.stderr) == (2, True)
