"""``streamtag export``: what a job found, as files that others read; whole, or not at all."""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest
from streamtag.client import Client
from streamtag.settings import Settings

from tests.e2e.test_optional_packages import without
from tests.support import environment, eventually, json_lines, run_cli
from tests.support.browser import chromium
from tests.support.films import write_film
from tests.support.stored_job import StoredJob, label, steps
from tests.support.terminal import Terminal
from tests.support.web import served

# Whatever the test itself was started with: a process in the background of a shell hears no Ctrl-C.
INTERRUPTIBLE = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execvp(sys.argv[1], sys.argv[1:])"
)
EVIL = "dog --> <script>alert(1)</script> &amp;"


@pytest.fixture
def job(settings: Settings) -> StoredJob:
    """Eight samples in four seconds: a dog from second 1 to 3, and something evil at the end."""
    stored = StoredJob(settings)
    stored.publish(steps([], [], ["dog"], ["dog"], ["dog"], ["dog"], [], [EVIL]))
    stored.finish()
    return stored


def many(settings: Settings, count: int) -> StoredJob:
    """A job with so many samples."""
    stored = StoredJob(settings)
    names = [label(f"label {number}") for number in range(5)]
    for begin in range(0, count, 5000):
        numbers = range(begin, min(count, begin + 5000))
        stored.publish([{"pts_s": number / 10, "labels": names, "active": []} for number in numbers])
    stored.finish()
    return stored


@pytest.mark.long
def test_every_format_is_written_by_the_ending_of_its_file(settings: Settings, job: StoredJob, tmp_path: Path) -> None:
    written = {}
    for name in ("a.jsonl", "a.csv", "a.vtt", "a.srt", "a.edl", "a.parquet"):
        ran = run_cli(settings, "export", "film-1", "--output", str(tmp_path / name), "--json")
        assert (ran.returncode, ran.stderr) == (0, "")
        (said,) = json_lines(ran.stdout)
        assert (said["samples"], said["missing"], said["format"]) == (8, 0, name.removeprefix("a."))
        assert said["bytes"] == (tmp_path / name).stat().st_size
        written[name] = (tmp_path / name).read_bytes()
    assert [line["pts_s"] for line in json_lines(written["a.jsonl"].decode())] == [n / 2 for n in range(8)]
    rows = list(csv.DictReader(io.StringIO(written["a.csv"].decode())))
    assert [row["pts_s"] for row in rows if row["label"] == "dog" and row["active"] == "1"] == [
        "1.0",
        "1.5",
        "2.0",
        "2.5",
    ]
    assert b"00:00:01.000 --> 00:00:03.000\ndog\n" in written["a.vtt"]
    assert b"00:00:01,000 --> 00:00:03,000\ndog\n" in written["a.srt"]
    assert b"00:00:01:00 00:00:03:00 00:00:01:00 00:00:03:00\n* FROM CLIP NAME: film 1.mp4\n" in written["a.edl"]
    assert len(pyarrow.parquet.read_table(tmp_path / "a.parquet")) == len(rows) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(written)


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(
    settings: Settings, job: StoredJob, tmp_path: Path
) -> None:
    path = tmp_path / "a.vtt"
    path.write_text("mine")
    ran = run_cli(settings, "export", "film-1", "-o", str(path))
    assert (ran.returncode, path.read_text()) == (2, "mine")
    assert "is there already; --force replaces it" in ran.stderr.replace("\n", " ")
    assert run_cli(settings, "export", "film-1", "-o", str(path), "--force").returncode == 0
    to_stdout = run_cli(settings, "export", "film-1", "--format", "vtt")
    assert (to_stdout.returncode, to_stdout.stderr) == (0, "")
    assert to_stdout.stdout == path.read_text() != "mine"


@pytest.mark.long
def test_what_cannot_be_written_is_refused(settings: Settings, job: StoredJob, tmp_path: Path) -> None:
    for arguments, says in (
        (["-o", "/dev/null", "--format", "vtt", "--force"], "is no file"),
        (["-o", str(tmp_path / "none" / "a.vtt")], "No such file or directory"),
        (["-o", str(tmp_path / "a.xyz")], "its ending names no format (jsonl, csv, parquet, vtt, srt, edl)"),
        (["--json"], "name one with --output"),
    ):
        ran = run_cli(settings, "export", "film-1", *arguments)
        assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
        assert says in ran.stderr.replace("\n", " ")
    assert run_cli(settings, "export", "nobody").returncode == 1


@pytest.mark.long
def test_what_is_gone_is_said(settings: Settings, client: Client, job: StoredJob, tmp_path: Path) -> None:
    job.trim(3)
    ran = run_cli(settings, "export", "film-1", "-o", str(tmp_path / "a.csv"))
    assert ran.returncode == 0
    assert "note: 5 samples of 8 that were published are not stored any more" in ran.stderr
    job.trim(0)
    ran = run_cli(settings, "export", "film-1", "-o", str(tmp_path / "b.csv"))
    assert ran.returncode == 1
    assert "no result of it is stored any more" in ran.stderr
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.long
def test_parquet_without_its_package_is_refused_with_the_remedy(
    settings: Settings, job: StoredJob, tmp_path: Path
) -> None:
    ran = run_cli(settings, "export", "film-1", "-o", str(tmp_path / "a.parquet"), env=without(tmp_path, "pyarrow"))
    assert ran.returncode == 2
    assert "export to parquet needs pyarrow, not installed here; run: " in ran.stderr
    assert not (tmp_path / "a.parquet").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_an_interrupted_export_leaves_no_file(settings: Settings, tmp_path: Path, number: signal.Signals) -> None:
    many(settings, 20_000)
    line = [sys.executable, "-m", "streamtag", "export", "film-1", "-o", str(tmp_path / "a.csv")]
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *line], env=environment(settings), stderr=subprocess.PIPE, text=True
    )
    try:
        eventually(lambda: any(path.stat().st_size for path in tmp_path.iterdir()), "it is being written")
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait(10)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_on_a_terminal_a_bar_shows_how_far_it_is(settings: Settings, tmp_path: Path) -> None:
    many(settings, 6_000)
    with Terminal(settings, "export", "film-1", "-o", str(tmp_path / "a.csv")) as terminal:
        terminal.see("samples")
        terminal.see("%")
        terminal.end()
        assert terminal.process.returncode == 0
    assert (tmp_path / "a.csv").stat().st_size > 1_000_000


@pytest.mark.long
def test_the_subtitles_play_over_the_film_in_a_browser(settings: Settings, job: StoredJob, tmp_path: Path) -> None:
    folder = tmp_path / "web"
    folder.mkdir()
    write_film(folder / "film.mp4", 4.0, "mp4")
    assert run_cli(settings, "export", "film-1", "-o", str(folder / "film.vtt")).returncode == 0
    (folder / "index.html").write_text(
        "<!doctype html><title>film</title><video src=film.mp4 muted><track src=film.vtt default></video>"
    )
    with served(folder) as server, chromium(tmp_path / "profile") as browser:
        browser.get(f"{server.url}/index.html")
        browser.set_script_timeout(60)

        def shown_at(seconds: float) -> list[str]:
            """What lies over the picture at that time, as text: what was taken for markup is not in it."""
            found = browser.execute_async_script(
                """
                const [seconds, done] = arguments, video = document.querySelector('video');
                const shown = () => [...video.textTracks[0].activeCues].map(cue => cue.getCueAsHTML().textContent);
                video.addEventListener('seeked', () => setTimeout(() => done(shown()), 300), {once: true});
                video.currentTime = seconds;
                """,
                seconds,
            )
            return [str(text) for text in found]

        eventually(
            lambda: browser.execute_script("return document.querySelector('video').textTracks[0].cues?.length") == 2,
            "the browser has both cues",
        )
        assert shown_at(0.5) == []
        assert shown_at(1.2) == ["dog"]
        assert shown_at(2.9) == ["dog"]
        assert shown_at(3.2) == []
        assert shown_at(3.8) == [EVIL]


@pytest.mark.long
def test_a_region_by_itself(settings: Settings, tmp_path: Path) -> None:
    stored = StoredJob(settings)
    stored.publish([one | {"region": name} for one in steps(["dog"], []) for name in ("door", "yard")])
    ran = run_cli(settings, "export", "film-1", "--format", "vtt", "--region", "yard")
    assert ran.stdout.endswith("00:00:00.000 --> 00:00:00.500\nyard: dog\n")
    out = tmp_path / "yard.csv"
    (said,) = json_lines(run_cli(settings, "export", "film-1", "--region", "yard", "-o", str(out), "--json").stdout)
    assert (said["samples"], said["missing"]) == (2, 0)
    mistyped = run_cli(settings, "export", "film-1", "--region", "yrad", "-o", str(out), "--force")
    assert mistyped.returncode == 1
    assert "--region 'yrad': film-1 has results of door, yard" in mistyped.stderr.replace("\n", " ")
    assert "yard" in out.read_text(), "the file that was there stays"
