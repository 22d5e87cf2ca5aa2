"""``streamtag classify``: tables of samples, timelines, and videos that browsers play."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from streamtag.settings import Settings
from streamtag.tools.drawing import writing

from tests.support import json_lines, run_cli
from tests.support.browser import chromium
from tests.support.terminal import Terminal
from tests.support.web import PASSWORD, USER, WebServer

NULL = ("--model", "demo", "--set", "engine.name=null")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.long
def test_every_sample_of_a_video_is_a_row_for_each_label(settings: Settings, clip: Path, tmp_path: Path) -> None:
    table = tmp_path / "samples.csv"
    ran = run_cli(settings, "classify", str(clip), "--csv", str(table), "--top", "2", "--json", "--model", "demo")
    assert ran.returncode == 0, ran.stderr
    (answer,) = json_lines(ran.stdout)
    rows = rows_of(table.read_text())
    assert list(rows[0]) == ["path", "pts_s", "label", "score", "smoothed", "active"]
    times = sorted({float(row["pts_s"]) for row in rows})
    assert len(times) == answer["samples"] == 40
    assert np.allclose(np.diff(times), 0.2)
    assert len(rows) >= 80
    active = {row["label"] for row in rows if row["active"] == "1"}
    assert active == {segment["label"] for segment in answer["segments"]}
    assert any(row["score"] != row["smoothed"] for row in rows)


def test_a_table_on_standard_output_has_it_for_itself(settings: Settings, clip: Path, tmp_path: Path) -> None:
    ran = run_cli(settings, "classify", str(clip), "--csv", "-", "-k", "1", *NULL)
    assert ran.returncode == 0, ran.stderr
    assert len({row["pts_s"] for row in rows_of(ran.stdout)}) == 40
    assert len(ran.stdout.splitlines()) == len(rows_of(ran.stdout)) + 1
    both = run_cli(settings, "classify", str(clip), "--csv", "-", "--json", *NULL)
    assert (both.returncode, "standard output" in both.stderr) == (2, True)
    nowhere = run_cli(settings, "classify", str(clip), "--csv", str(tmp_path / "no" / "x.csv"), *NULL)
    assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (1, True)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fragmented_truncated.mp4", "damaged or incomplete"),
        ("bitflips_400_in_mdat.mp4", "samples that could not be decoded: "),
    ],
)
def test_what_is_damaged_of_a_video_is_told_beside_its_labels(
    settings: Settings, shared_data: Path, name: str, told: str
) -> None:
    ran = run_cli(settings, "classify", str(shared_data / "odd/video" / name), "--json", *NULL)
    (answer,) = json_lines(ran.stdout)
    assert (ran.returncode, answer["samples"] > 100, told in answer["note"]) == (0, True, True)
    shown = run_cli(settings, "classify", str(shared_data / "odd/video" / name), *NULL)
    assert (told in shown.stderr, name in shown.stderr) == (True, True)


@pytest.mark.long
def test_a_timeline_is_drawn_of_one_video(settings: Settings, clip: Path, tmp_path: Path) -> None:
    picture = tmp_path / "timeline.png"
    ran = run_cli(settings, "classify", str(clip), "--timeline", str(picture), *NULL)
    assert ran.returncode == 0, ran.stderr
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert min(drawn.shape[:2]) > 200
    colours = {tuple(int(value) for value in colour[::-1]) for colour in np.unique(drawn.reshape(-1, 3), axis=0)}
    assert (0x25, 0x63, 0xEB) in colours  # the smoothed line
    assert (0x9C, 0xA3, 0xAF) in colours  # the raw dots
    for arguments, told in (
        (["--timeline", "out.mp4"], "ends in .png"),
        (["--timeline", "out.png", str(clip)], "one video"),
        (["--timeline", "out.png", "--compare", "vgg16,xception"], "--compare"),
    ):
        ran = run_cli(settings, "classify", str(clip), *arguments, *NULL)
        assert (ran.returncode, told in ran.stderr) == (2, True), ran.stderr


@pytest.mark.parametrize("name", ["drawn.mp4", pytest.param("drawn.webm", marks=pytest.mark.long)])
def test_an_annotated_video_plays_in_a_browser(settings: Settings, clip: Path, tmp_path: Path, name: str) -> None:
    site = tmp_path / "site"
    site.mkdir()
    ran = run_cli(settings, "classify", str(clip), "--annotate", str(site / name), *NULL)
    assert ran.returncode == 0, ran.stderr
    assert "do not play" not in ran.stderr
    (site / "index.html").write_text(f'<video id="film" src="{name}" muted></video>')
    play = """
        const film = document.getElementById('film'), done = arguments[0];
        const tell = () => done({error: film.error && film.error.message, at: film.currentTime,
                                 width: film.videoWidth, duration: film.duration});
        film.addEventListener('error', tell);
        film.addEventListener('timeupdate', () => { if (film.currentTime > 0.3) tell(); });
        film.play().catch(tell);
    """
    with chromium(tmp_path / "profile") as browser:
        browser.get((site / "index.html").as_uri())
        browser.set_script_timeout(60)
        played = browser.execute_async_script(play)
    assert played["error"] is None
    assert played["at"] > 0.3
    assert played["width"] == 640
    assert abs(played["duration"] - 8.0) < 0.2


def test_odd_sizes_and_uneven_times_are_kept(tmp_path: Path) -> None:
    times_s = [0.0, 0.04, 0.5, 0.54, 2.0]
    writer = writing.open_video(tmp_path / "odd.mp4", 101, 75, 25.0)
    for pts_s in times_s:
        writer.write(np.full((75, 101, 3), 90, np.uint8), pts_s)
    writer.close()
    with av.open(str(tmp_path / "odd.mp4")) as container:
        stream = container.streams.video[0]
        shown = [frame.time for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 100, 74)
    assert np.allclose(np.array(shown, float), times_s, atol=0.002)


@pytest.mark.long
def test_a_person_sees_at_once_what_takes_its_time(settings: Settings, clip: Path) -> None:
    with Terminal(settings, "classify", str(clip), "--model", "demo", "--set", "log.level=debug") as terminal:
        terminal.see("importing TensorFlow")
        lines = terminal.end()
    assert terminal.process.returncode == 0
    assert not any("━" in line or "classifying" in line for line in lines)  # the bar has gone, and no line with it
    assert any("rank" in line for line in lines)


def test_a_credential_by_name_opens_what_is_on_the_network(
    settings: Settings, web_server: WebServer, clip: Path, tmp_path: Path
) -> None:
    (web_server.folder / "clip.mp4").write_bytes(clip.read_bytes())
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "web").write_text(f"{USER}:{PASSWORD}@{web_server.url}")
    source, folder = f"{web_server.url}/secret/clip.mp4", ("--set", f"source.credentials={secrets}")
    ran = run_cli(settings, "classify", source, "--credential", "web", "--json", "--fps", "1", *NULL, *folder)
    assert ran.returncode == 0, ran.stderr
    (answer,) = json_lines(ran.stdout)
    assert answer["samples"] == 8
    assert PASSWORD not in ran.stdout + ran.stderr
    for arguments, says in (
        ((source, "--credential", "web"), "source.credentials=FOLDER"),
        ((str(clip), "--credential", "web", *folder), "none of these is one"),
        ((source, "--credential", "a b", *folder), "--credential must be 1 to 63 letters"),
        ((source, "--credential", "web", "--annotate", str(tmp_path), *folder), "leave --credential out"),
    ):
        refused = run_cli(settings, "classify", *arguments, *NULL)
        assert refused.returncode == 2
        assert says in refused.stderr
