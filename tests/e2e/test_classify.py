"""``classify``: labels, plots and drawn pictures without Redis."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from streamtag.networks.registry import DEMO_BUNDLE
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import LABELS, Scene
from streamtag.tools.drawing.lettering import fonts

from tests.support import json_lines, run_cli
from tests.support.bundles import WEIGHT_FILES
from tests.support.terminal import Terminal
from tests.support.web import served


def test_classify_gives_labels_or_an_error_and_draws(settings: Settings, clip: Path, tmp_path: Path) -> None:
    picture = tmp_path / "one.png"
    capture = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
    cv2.imwrite(str(picture), capture.read()[1])
    (tmp_path / "torn.png").write_bytes(picture.read_bytes()[:1000])
    out = tmp_path / "out"
    ran = run_cli(
        settings,
        "classify",
        str(picture),
        str(tmp_path / "torn.png"),
        str(clip),
        "--json",
        "-k",
        "2",
        "--annotate",
        str(out),
    )
    assert ran.returncode == 1
    good, torn, video = json_lines(ran.stdout)
    assert [len(good["labels"]), len(video["labels"])] == [2, 2]
    assert good["labels"][0]["score"] > 0.9
    assert torn["path"].endswith("torn.png")
    assert "torn.png" not in torn["error"], "its path is beside it"
    assert "six drawn shapes and nothing else" in ran.stderr, "it would call any photo one of them"
    assert video["samples"] == 40
    assert [segment["label"] for segment in video["segments"]]
    drawn, original = cv2.imread(str(out / "one.png")), cv2.imread(str(picture))
    assert drawn is not None
    assert original is not None
    assert drawn.shape == original.shape
    assert np.any(drawn != original)
    copy = cv2.VideoCapture(str(out / "eight seconds.mp4"), cv2.CAP_FFMPEG)
    assert copy.get(cv2.CAP_PROP_FRAME_COUNT) == 200
    strange = run_cli(settings, "classify", "ftp://h/star.png", "--set", "engine.name=null")
    assert strange.returncode == 2
    assert strange.stderr.splitlines()[-1].startswith("error: scheme 'ftp' is not one of"), strange.stderr
    assert "Traceback" not in strange.stderr
    own = run_cli(settings, "classify", str(picture), "--annotate", str(picture), "--set", "engine.name=null")
    assert own.returncode == 2
    assert "overwrite" in own.stderr


@pytest.mark.long
def test_what_is_waited_for_is_shown_from_the_first_moment(settings: Settings, tmp_path: Path) -> None:
    """Also while the libraries' own remarks are silenced."""
    cv2.imwrite(str(tmp_path / "star.png"), Scene("star", 3).frame(0.2))
    with Terminal(settings, "classify", str(tmp_path / "star.png"), "--model", "demo") as terminal:
        terminal.see("importing TensorFlow")
        terminal.see("compiling demo for ")
        lines = terminal.end()
    assert any("star" in line and "star.png" not in line for line in lines)
    assert not any("compiling" in line for line in lines), "the bar is gone when the answer stands there"


@pytest.mark.long
def test_networks_side_by_side_and_bars_beside_the_picture(
    shared_data: Path, tmp_path: Path, settings: Settings
) -> None:
    clear = shared_data / "images" / "clear"
    both = ",".join(f"{name}={shared_data / 'weights' / file}" for name, file in WEIGHT_FILES.items())
    plot = tmp_path / "plot.png"
    command = ["classify", str(clear / "coral_parrot.jpg"), str(clear / "coral_bird.bmp"), "--compare", both]
    ran = run_cli(settings, *command, "--plot", str(plot), "--json")
    assert ran.returncode == 0, ran.stderr
    rows = json_lines(ran.stdout)
    said = [{name: one["labels"][0]["name"] for name, one in row["networks"].items()} for row in rows]
    assert said == [dict.fromkeys(WEIGHT_FILES, "macaw"), dict.fromkeys(WEIGHT_FILES, "chickadee")]
    picture = cv2.imread(str(plot))
    assert picture is not None
    assert picture.shape[1] > picture.shape[0] > 400
    ran = run_cli(settings, *command)
    assert "mobilenetv2" in ran.stdout
    assert "squeezenet" in ran.stdout
    assert "macaw" in ran.stdout
    assert "name two networks" in run_cli(settings, *command[:-1], "squeezenet").stderr


@pytest.mark.long
def test_pictures_of_a_web_server_are_upright_pictures(shared_data: Path, settings: Settings) -> None:
    """By file and by URL the same answer, also where EXIF turns the picture; a broken one harms no other."""
    folder = shared_data / "images" / "exif_orientation"
    names = [f"Landscape_{number}.jpg" for number in (1, 3, 5, 6)]
    with served(folder) as web:
        urls = [f"{web.url}/{name}" for name in names]
        ran = run_cli(
            settings, "classify", *urls, f"{web.url}/none.jpg", *(str(folder / name) for name in names), "--json"
        )
    rows = json_lines(ran.stdout)
    assert ran.returncode == 1
    assert "404" in rows[4]["error"]
    for by_url, by_file in zip(rows[:4], rows[5:], strict=True):
        assert by_url["labels"] == by_file["labels"]
        assert "segments" not in by_url


@pytest.mark.long
def test_labels_of_any_script_are_drawn(tmp_path: Path, settings: Settings) -> None:
    """Ink where the letters are, and not the same box for each of them."""
    cv2.imwrite(str(tmp_path / "star.png"), Scene("star", 3).frame(0.2))
    texts = {"chinese": "五角星形", "greek": "άστρο"}
    drawn: dict[str, Any] = {}
    for script, text in texts.items():
        labels = tmp_path / f"{script}.txt"
        labels.write_text("\n".join(text if label == "star" else label for label in LABELS), encoding="utf-8")
        out = tmp_path / f"{script}.png"
        command = ["classify", str(tmp_path / "star.png"), "-k", "1", "--annotate", str(out)]
        ran = run_cli(settings, *command, "--plot", str(tmp_path / "plot.png"), "--set", f"model.labels={labels}")
        assert ran.returncode == 0, ran.stderr
        assert "boxes" not in ran.stderr, "this machine has no font of the script; make setup system installs one"
        picture = cv2.imread(str(out))
        assert picture is not None
        drawn[script] = picture[-40:, :200]
    assert all((picture > 200).sum() > 200 for picture in drawn.values())
    assert not np.array_equal(drawn["chinese"], drawn["greek"])
    assert fonts("五")[0].has("角")
    assert fonts("star") == ()


def test_a_name_that_is_no_text_is_told_in_text(tmp_path: Path, settings: Settings) -> None:
    cv2.imwrite(str(tmp_path / "star.png"), Scene("star", 3).frame(0.2))
    picture = (tmp_path / "star.png").rename(tmp_path / os.fsdecode(b"\xff.png"))
    ran = run_cli(settings, "classify", str(picture), "--json", "--plot", str(tmp_path / "plot.png"))
    assert ran.returncode == 0, ran.stderr
    (row,) = json_lines(ran.stdout)
    assert row["path"] == f"{tmp_path}/\\xff.png"
    assert row["labels"][0]["name"] == "star"
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_copies_of_one_name_are_two_and_a_name_may_look_like_a_pattern(tmp_path: Path, settings: Settings) -> None:
    pictures = [tmp_path / name for name in ("a/1.png", "b/1.png", "b/[x] 2.png")]
    for number, path in enumerate(pictures):
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), Scene("star", number).frame(0.2))
    out = tmp_path / "out"
    ran = run_cli(settings, "classify", *map(str, pictures), "--annotate", str(out), "--json")
    assert ran.returncode == 0, ran.stderr
    rows = json_lines(ran.stdout)
    assert [Path(row["annotated"]).name for row in rows] == ["1.png", "1-2.png", "[x] 2.png"]
    assert all(Path(row["annotated"]).is_file() for row in rows)
    assert all("segments" not in row for row in rows), "pictures, not videos"
    ran = run_cli(settings, "classify", *map(str, pictures), "--annotate", str(pictures[1].parent))
    assert ran.returncode == 2
    assert "would overwrite" in ran.stderr


def test_what_is_not_there_is_told_first_and_a_folder_with_a_picture_s_name_is_one_picture_that_fails(
    tmp_path: Path, settings: Settings
) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), Scene("star", 3).frame(0.2))
    (tmp_path / "2.png").mkdir()
    ran = run_cli(settings, "classify", str(tmp_path), "/none.png", "--json")
    assert ran.returncode == 1
    rows = json_lines(ran.stdout)
    told = [(Path(row["path"]).name, row.get("error")) for row in rows]
    assert told == [("none.png", "no such file"), ("1.png", None), ("2.png", "Is a directory")]


def test_bundles_of_one_name_in_two_folders_are_compared(tmp_path: Path, settings: Settings) -> None:
    cv2.imwrite(str(tmp_path / "star.png"), Scene("star", 3).frame(0.2))
    both = [str(shutil.copytree(DEMO_BUNDLE, tmp_path / folder / "bundle")) for folder in ("a", "b")]
    command = ["classify", str(tmp_path / "star.png"), "--compare", ",".join(both), "--json"]
    ran = run_cli(settings, *command, "--set", "engine.name=null")
    assert ran.returncode == 0, ran.stderr
    assert list(json_lines(ran.stdout)[0]["networks"]) == both


def test_show_without_a_display_says_what_to_do(tmp_path: Path, settings: Settings) -> None:
    cv2.imwrite(str(tmp_path / "star.png"), Scene("star", 3).frame(0.2))
    no_display = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    ran = run_cli(settings, "classify", str(tmp_path / "star.png"), "--show", env=no_display)
    assert ran.returncode == 2
    assert "--plot FILE.png" in ran.stderr


@pytest.mark.long
def test_show_opens_what_was_drawn(tmp_path: Path, settings: Settings) -> None:
    """With the program that the desktop would start; ours writes down what it was given."""
    cv2.imwrite(str(tmp_path / "star.png"), Scene("star", 3).frame(0.2))
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir()
    opener.write_text(f'#!/bin/sh\ncp "$1" {tmp_path / "shown.png"}\n')
    opener.chmod(0o755)
    path = f"{opener.parent}:/usr/bin:/bin"
    ran = run_cli(settings, "classify", str(tmp_path / "star.png"), "--show", env={"DISPLAY": ":99", "PATH": path})
    assert ran.returncode == 0, ran.stderr
    picture = cv2.imread(str(tmp_path / "shown.png"))
    assert picture is not None
    assert picture.std() > 10
