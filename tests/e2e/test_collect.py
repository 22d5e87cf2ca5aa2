"""``streamtag collect``: frames of a job, of a film and of a camera, and a network trained on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import pytest
from streamtag.client import Client
from streamtag.networks.bundle_file import read_bundle_file
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import plan, write_clip

from tests.support import NULL, RtspServer, Worker, json_lines, run_cli, start_worker

NO_NETWORK = ("--set", "engine.name=null")


@pytest.mark.long
def test_frames_of_a_job_are_chosen_by_its_results_without_a_network(
    settings: Settings, workers: list[Worker], clip: Path, tmp_path: Path
) -> None:
    start_worker(workers, settings, *NULL)
    film = tmp_path / "film.mp4"
    shutil.copy(clip, film)
    assert run_cli(settings, "submit", str(film), "--id", "film", "--wait").returncode == 0
    out = tmp_path / "out"
    ran = run_cli(settings, "collect", "film", "--label", "a star", "--at", "1-4", "-o", str(out), "-n", "4", "--json")
    assert ran.returncode == 0, ran.stderr
    *rows, summary = json_lines(ran.stdout)
    assert (summary["saved"], summary["kept"], len(rows)) == (4, 0, 4)
    certainties = [row["certainty"] for row in rows]
    assert certainties == sorted(certainties)
    for row in rows:
        assert 1 <= row["pts_s"] <= 4
        assert Path(row["path"]).parent == out / "a star" / "film_1-4"
        assert cv2.imread(row["path"]) is not None
    again = run_cli(settings, "collect", "film", "--label", "a star", "--at", "1-4", "-o", str(out), "-n", "4")
    assert "0 pictures in" in again.stdout
    assert "4 were there already" in again.stdout
    with Client(settings=settings) as client:
        entered = next(event for event in client.events("film") if event.kind == "enter")
        label = entered.content["label"]["name"]
        client.submit("rtsp://admin:hunter2@camera.lan/1", job_id="secret")
        client.submit("rtsp://camera.lan/1", job_id="camera")
    ran = run_cli(settings, "collect", "film", "--label", "other", "--from-events", label, "-o", str(out), "-n", "3")
    assert ran.returncode == 0, ran.stderr
    assert len(list((out / "other").rglob("*.jpg"))) == 3
    ran = run_cli(
        settings, "collect", "film", "--label", "x", "--at", "1-2", "--at", "900-990", "-o", str(out), "-n", "2"
    )
    assert (ran.returncode, "none of them is of 900-990" in ran.stderr) == (0, True)
    shutil.rmtree(out / "x")
    of_a_path = run_cli(settings, "collect", film.as_uri(), "--label", "path", "-o", str(out), "-n", "1", *NO_NETWORK)
    assert of_a_path.returncode == 0, of_a_path.stderr
    film.unlink()
    for arguments, told in (
        (("ftp://h/film.mp4", "--label", "x"), "scheme 'ftp' is not one of"),
        ((str(tmp_path), "--label", "x"), "pictures already"),
        (("", "--label", "x"), "pictures already"),
        (("film", "--label", "x"), "no such file here"),
        (("camera", "--label", "x"), "--for SECONDS"),
        (("secret", "--label", "x", "--for", "2"), "may hold a password"),
        (("nobody", "--label", "x"), "no file 'nobody' here, and no job 'nobody'"),
    ):
        refused = run_cli(settings, "collect", *arguments, "-o", str(out))
        assert refused.returncode in (1, 2)
        assert told in refused.stderr.replace("\n", " ")
        assert "hunter2" not in refused.stderr + refused.stdout
    assert not (out / "x").exists()


@pytest.mark.long
def test_a_camera_gives_what_it_shows_from_now_on(settings: Settings, camera: RtspServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (camera.url("ball"), "--label", "ball", "--for", "4", "--fps", "5", "-o", str(out), "--json")
    ran = run_cli(settings, "collect", *arguments, *NO_NETWORK)
    assert ran.returncode == 0, ran.stderr
    *rows, summary = json_lines(ran.stdout)
    assert summary["saved"] == len(rows) >= 3
    shown = cv2.imread(rows[0]["path"])
    assert shown is not None
    assert shown.std() > 5
    refused = run_cli(settings, "collect", camera.url("ball"), "--label", "ball", "-o", str(out))
    assert (refused.returncode, "--for SECONDS" in refused.stderr) == (2, True)


@pytest.mark.long
def test_a_network_is_trained_on_what_was_collected(settings: Settings, tmp_path: Path) -> None:
    segments = plan(20.0, 5)
    film, out = tmp_path / "film.mp4", tmp_path / "collected"
    write_clip(film, segments, 5)
    half = len(segments) // 2
    classes = {"early": segments[:half], "late": segments[half:]}
    for name, spans in classes.items():
        at = [part for one in spans for part in ("--at", f"{one.start_s:g}-{one.end_s - 0.1:g}")]
        ran = run_cli(settings, "collect", str(film), "--label", name, *at, "-o", str(out), *NO_NETWORK)
        assert ran.returncode == 0, ran.stderr
        assert len(list((out / name).iterdir())) == len(spans), "the frames of a span stay together"
    bundle = tmp_path / "bundle"
    options = ("--backbone", "demo", "--head", "linear", "--epochs", "3", "--held-out", "0.3", "--json")
    cache = ("--set", f"model.cache={tmp_path / 'models'}")
    ran = run_cli(settings, "train", str(out), "--out", str(bundle), *options, *cache)
    assert ran.returncode == 0, ran.stderr
    assert read_bundle_file(bundle).labels == ["early", "late"]
