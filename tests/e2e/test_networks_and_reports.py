"""Networks on real pictures by each way in, training, reports in a browser, and smoothing on the flicker set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from selenium.webdriver.common.by import By
from streamtag import networks
from streamtag.client import Client
from streamtag.core.job import Sampling
from streamtag.core.options import SmoothingSettings
from streamtag.core.segments import Segment
from streamtag.networks.registry import imagenet_classes
from streamtag.settings import ModelSettings, Settings
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import LabelledItem
from streamtag.tools.demo import flicker
from streamtag.tools.demo.drawing import LABELS, Scene, plan, write_clip
from streamtag.tools.drawing.lettering import fonts
from streamtag.tools.evaluation import streams

from tests.support import RedisServer, Worker, json_lines, run_cli, settings_for
from tests.support.browser import chromium, log
from tests.support.web import served

LEAST = {"mobilenetv2": (0.85, 0.97), "squeezenet": (0.57, 0.80)}
FILES = {"mobilenetv2": "mobilenetv2_imagenet.weights.h5", "squeezenet": "squeezenet_v1.0_imagenet_hwio.npz"}


@pytest.fixture
def settings(redis_server: RedisServer) -> Settings:
    return settings_for(redis_server)


# --- Real weights ---


@pytest.mark.parametrize("name", ["mobilenetv2", pytest.param("squeezenet", marks=pytest.mark.long)])
def test_real_weights_reach_their_figures_by_every_way_in(
    name: str, redis_server: RedisServer, shared_data: Path, tmp_path: Path
) -> None:
    """``classify``, ``evaluate`` and the worker see the same pictures with the same labels."""
    settings = settings_for(redis_server, model__name=name)
    env = {"STREAMTAG_MODEL__NAME": name, "STREAMTAG_MODEL__WEIGHTS": str(shared_data / "weights" / FILES[name])}
    folder = shared_data / "images" / "imagenet_sample"
    wnids = [wnid for wnid, _ in imagenet_classes()]
    rows = json_lines(run_cli(settings, "classify", str(folder), "--json", env=env).stdout)
    classified = [[label["class_id"] for label in row["labels"]] for row in rows]
    truth = [wnids.index(Path(row["path"]).name.split("_")[0]) for row in rows]
    top1 = np.mean([ids[0] == true for ids, true in zip(classified, truth, strict=True)])
    top5 = np.mean([true in ids for ids, true in zip(classified, truth, strict=True)])
    assert len(rows) == 100
    assert top1 >= LEAST[name][0]
    assert top5 >= LEAST[name][1]

    ran = run_cli(settings, "evaluate", name, str(folder), "--json", env=env)
    content = json_lines(ran.stdout)[0]
    assert (content["accuracy"], content["top5"]) == (pytest.approx(top1), pytest.approx(top5))

    worker = Worker(settings, env=env).ready()
    try:
        with Client(settings=settings) as client:
            job = client.submit(str(folder) + "/").job_id
            assert client.wait(job, 120).status == "done"
            results = list(client.results(job))
    finally:
        worker.kill()
    assert [result.labels[0].class_id for result in results] == [ids[0] for ids in classified]


# --- Training on real pictures, and serving what came of it ---

BIRDS = (
    "brambling", "water_ouzel", "black_grouse", "lorikeet", "black_swan", "flamingo", "red-backed_sandpiper",
)  # fmt: skip


@pytest.fixture(scope="module")
def animals(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All eleven dogs of the sample against its seven birds: one photo of each, so no breed is on both sides."""
    folder = tmp_path_factory.mktemp("animals")
    numbers = {wnid: number for number, (wnid, _) in enumerate(imagenet_classes())}
    for path in sorted((shared_data / "images" / "imagenet_sample").iterdir()):
        wnid, name = path.stem.split("_", 1)
        label = "dog breeds" if 151 <= numbers[wnid] <= 268 else "other animals" if name in BIRDS else None
        if label:
            (folder / label).mkdir(exist_ok=True)
            (folder / label / path.name).symlink_to(path)
    return folder


@pytest.mark.long
def test_a_head_tells_dogs_from_other_animals_and_is_served(
    animals: Path, shared_data: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    settings = settings_for(redis_server)
    right = total = 0
    weights = str(shared_data / "weights" / FILES["mobilenetv2"])
    for seed in ("1", "2", "3", "4"):
        command = ["train", str(animals), "--backbone", "mobilenetv2", "--weights", weights, "--crops", "10"]
        command += ["--held-out", "0.17", "--seed", seed, "--out", str(tmp_path / seed), "--json"]
        ran = run_cli(settings, *command, "--set", f"model.cache={tmp_path / 'cache' / 'models'}")
        assert ran.returncode == 0, ran.stderr
        (content,) = json_lines(ran.stdout)
        right += round(content["held_out_accuracy"] * content["held_out_samples"])
        total += content["held_out_samples"]
    assert total >= 12
    assert right / total >= 0.95

    bundle = str(tmp_path / "1")
    settings = settings_for(redis_server, model__name=bundle)
    worker = Worker(settings, env={"STREAMTAG_MODEL__NAME": bundle}).ready()
    try:
        with Client(settings=settings) as client:
            job = client.submit(str(shared_data / "videos" / "imageio_cockatoo.mp4")).job_id
            assert client.wait(job, 120).status == "done"
            results = list(client.results(job))
    finally:
        worker.kill()
    assert results
    assert all({label.name for label in result.labels} == {"dog breeds", "other animals"} for result in results)
    assert any(result.active for result in results)


# --- The report in a browser ---


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of the demo's classes; some lie in the folder of another class, one of them red all over."""
    folder = tmp_path_factory.mktemp("drawn")
    for place, label in enumerate(LABELS):
        (folder / label).mkdir()
        for number in range(6):
            shown = LABELS[(place + 1) % len(LABELS)] if number == 0 else label
            cv2.imwrite(str(folder / label / f"{number}.png"), Scene(shown, 9000 + 10 * place + number).frame(0.4))
    red = np.zeros((200, 200, 3), np.uint8)
    red[..., 2] = 220
    cv2.imwrite(str(folder / "star" / "red.png"), red)
    return folder


def test_a_report_is_one_file_that_a_browser_shows_whole(drawn: Path, tmp_path: Path, settings: Settings) -> None:
    page = tmp_path / "report.html"
    ran = run_cli(settings, "evaluate", "demo", str(drawn), "--report", str(page), "--json")
    assert ran.returncode == 0, ran.stderr
    content = json_lines(ran.stdout)[0]
    wrong = sum(sum(row) for row in content["confusion"]["matrix"]) - round(content["accuracy"] * content["samples"])
    assert (content["samples"], len(content["mistakes"])) == (43, wrong)
    assert 7 <= wrong <= 10
    with chromium(tmp_path / "profile") as browser:
        browser.get(page.as_uri())
        assert browser.title == "demo: evaluation"
        assert browser.find_element(By.ID, "accuracy").text == f"{100 * content['accuracy']:.1f} %"
        assert len(browser.find_elements(By.CSS_SELECTOR, "#classes tr")) == 1 + len(LABELS)
        assert [plot.get_attribute("alt") for plot in browser.find_elements(By.CSS_SELECTOR, "img.plot")] == [
            "Confusion",
            "Reliability",
            "Scores by true class",
            "Thresholds",
        ]
        pictures = browser.execute_script(
            "return [...document.images].map(one => [one.alt, one.complete, one.naturalWidth, one.clientWidth])"
        )
        assert len(pictures) == 4 + wrong
        assert all(complete and natural > 90 and shown > 90 for _, complete, natural, shown in pictures), pictures
        colours = browser.execute_script(
            """
            const one = [...document.images].find(one => one.alt.endsWith('red.png'));
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 10;
            const context = canvas.getContext('2d');
            context.drawImage(one, 0, 0, 10, 10);
            return [...context.getImageData(5, 5, 1, 1).data];
            """
        )
        assert np.allclose(colours[:3], [220, 0, 0], atol=12), f"the colours of the gallery are off: {colours}"
        assert log(browser, "browser") == []
        asked = [json.loads(line["message"])["message"] for line in log(browser, "performance")]
        urls = [one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"]
        assert page.as_uri() in urls
        assert [url for url in urls if url.startswith(("http", "ws"))] == []
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_evaluation_of_the_wrong_folder_is_named(drawn: Path, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "unicorn").mkdir()
    (tmp_path / "star").mkdir()
    for label in ("unicorn", "star"):
        (tmp_path / label / "1.png").write_bytes((drawn / "star" / "1.png").read_bytes())
    for arguments, says in (
        (["demo", str(tmp_path)], "unicorn: no label of this network, which has circle"),
        (["demo", str(tmp_path / "none")], "no such folder"),
        (["demo"], "name a folder to evaluate on"),
        (["demo", str(drawn), "--write", "temperature"], "is no bundle"),
        (["demo", str(drawn), "--write", "everything"], "--write everything"),
    ):
        ran = run_cli(settings, "evaluate", *arguments)
        assert ran.returncode == 2, ran.stderr
        assert says in ran.stderr.replace("\n", " ")


# --- classify ---


@pytest.mark.long
def test_networks_side_by_side_and_bars_beside_the_picture(
    shared_data: Path, tmp_path: Path, settings: Settings
) -> None:
    clear = shared_data / "images" / "clear"
    both = ",".join(f"{name}={shared_data / 'weights' / file}" for name, file in FILES.items())
    plot = tmp_path / "plot.png"
    command = ["classify", str(clear / "coral_parrot.jpg"), str(clear / "coral_bird.bmp"), "--compare", both]
    ran = run_cli(settings, *command, "--plot", str(plot), "--json")
    assert ran.returncode == 0, ran.stderr
    rows = json_lines(ran.stdout)
    said = [{name: one["labels"][0]["name"] for name, one in row["networks"].items()} for row in rows]
    assert said == [dict.fromkeys(FILES, "macaw"), dict.fromkeys(FILES, "chickadee")]
    picture = cv2.imread(str(plot))
    assert picture is not None
    assert picture.shape[1] > picture.shape[0] > 400
    ran = run_cli(settings, *command)
    assert "mobilenetv2" in ran.stdout
    assert "squeezenet" in ran.stdout
    assert "macaw" in ran.stdout
    assert "name two networks" in run_cli(settings, *command[:-1], "squeezenet").stderr


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


def test_show_without_a_display_says_what_to_do(tmp_path: Path, settings: Settings) -> None:
    cv2.imwrite(str(tmp_path / "star.png"), Scene("star", 3).frame(0.2))
    no_display = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    ran = run_cli(settings, "classify", str(tmp_path / "star.png"), "--show", env=no_display)
    assert ran.returncode == 2
    assert "--plot FILE.png" in ran.stderr


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


# --- Smoothing ---


def test_the_defaults_reach_the_goal_on_the_flicker_set(tmp_path: Path) -> None:
    """At least 90 % fewer changes than the raw argmax, a better segment F1, a median onset of 0.6 s at most."""
    settings = Settings(model=ModelSettings(name="demo"))
    network = networks.load(settings)
    items = [
        LabelledItem(path, one.label, str(path), one.start_s, one.end_s)
        for path, segments in flicker.write_set(tmp_path)
        for one in segments
    ]
    classifier = Classifier(settings, network)
    clips = streams.read_clips(classifier, network.bundle, items, Sampling(fps=5), lambda done: None)
    raw = streams.measure(clips, [streams.predicted_labels(clip, None, network.bundle) for clip in clips], "argmax", {})
    now = streams.measure(
        clips, [streams.predicted_labels(clip, SmoothingSettings(), network.bundle) for clip in clips], "ema", {}
    )
    assert raw.flips_per_min > 60, "the set flickers"
    assert now.flips_per_min <= 0.1 * raw.flips_per_min
    assert now.f1 > max(0.9, raw.f1)
    assert now.onset_p50_s <= 0.6
    assert now.accuracy > raw.accuracy
    assert now.missed == 0


@pytest.mark.long
def test_clips_of_ones_own_are_measured_by_the_command(tmp_path: Path, settings: Settings) -> None:
    segments = plan(10.0, 12)  # the grid takes some seconds for each ten of them
    write_clip(tmp_path / "a.mp4", segments, 12)
    rows = [f"a.mp4,{one.start_s},{one.end_s},{one.label}" for one in segments]
    (tmp_path / "spans.csv").write_text("video,start_s,end_s,label\n" + "\n".join(rows))
    plot = tmp_path / "plot.png"
    command = ["evaluate-stream", str(tmp_path / "spans.csv"), "--fewer", "0", "--plot", str(plot)]
    ran = run_cli(settings, *command, "--json")
    assert ran.returncode in (0, 1), ran.stderr
    content = json_lines(ran.stdout)[0]
    assert (content["clips"], content["samples"], content["segments"]) == (1, 50, 4 - ("nothing" in str(rows)))
    assert content["raw"]["accuracy"] > 0.9
    assert {row["method"] for row in content["rows"]} == {"none", "ema", "majority", "sticky"}
    assert cv2.imread(str(plot)) is not None
    (tmp_path / "spans.csv").write_text("video,start_s,end_s,label\na.mp4,0,2,star\na.mp4,1,3,ring\n")
    ran = run_cli(settings, *command)
    assert ran.returncode == 2
    assert "overlap" in ran.stderr


def test_a_job_is_replayed_exactly_where_everything_is_stored(tmp_path: Path, settings: Settings) -> None:
    write_clip(tmp_path / "a.mp4", [Segment("star", 0, 3), Segment("ring", 3, 6), Segment("nothing", 6, 8)], 31)
    worker = Worker(settings, "worker.top_k=7").ready()
    try:
        with Client(settings=settings) as client:
            client.submit(str(tmp_path / "a.mp4"), job_id="again")
            assert client.wait("again", 90).status == "done"
            events = [event for event in client.events("again") if event.kind in ("enter", "exit")]
    finally:
        worker.kill()
    *segments, summary = json_lines(run_cli(settings, "replay", "again", "--json").stdout)
    assert summary["enters"] == summary["enters_stored"] == len(segments) == 2
    stored = [(event.kind, event.content["label"]["name"], event.content["since_pts_s"]) for event in events]
    for segment in segments:
        assert ("enter", segment["label"], pytest.approx(segment["start_s"])) in stored
        assert ("exit", segment["label"], pytest.approx(segment["end_s"])) in stored
    ran = run_cli(settings, "replay", "again", "--smoothing", "method=none,enter=1.0,exit=1.0", "--json")
    assert json_lines(ran.stdout)[-1]["smoothing"]["method"] == "none"
    ran = run_cli(settings, "replay", "again", "--smoothing", "tau=1")
    assert ran.returncode == 2
    assert "tau" in ran.stderr
    assert run_cli(settings, "replay", "nobody").returncode == 1
