"""Training on drawn pictures with the demo network as the backbone: small, but all of the real path."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from streamtag.client import Client
from streamtag.core.segments import Segment
from streamtag.networks import loading
from streamtag.networks.building import build
from streamtag.networks.bundle_file import read_bundle_file
from streamtag.networks.bundles import read_bundle, sha256
from streamtag.settings import ModelSettings, Settings
from streamtag.tools.classify import Classifier
from streamtag.tools.demo.drawing import Scene, write_clip
from streamtag.tools.split_record import read_split

from tests.support import RedisServer, Worker, environment, eventually, json_lines, run_cli, settings_for

CLASSES = ("round", "angular")
SHAPES = {"round": ("circle", "ring"), "angular": ("square", "star")}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 24 drawn ones, four views of a scene to a subfolder; one is damaged; some names are no text."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, shapes in SHAPES.items():
        for number in range(6):
            scene = Scene(shapes[number % 2], 7000 + number, (320, 180))
            group = folder / name / f"scene {number}"
            group.mkdir(parents=True)
            for view in range(4):
                cv2.imwrite(str(group / f"{view}.jpg"), scene.frame(view * 0.7))
        (folder / name / "scene 1" / "3.jpg").rename(folder / name / "scene 1" / os.fsdecode(b"\xff.jpg"))
    (folder / "round" / "broken.jpg").write_bytes(b"no picture")
    return folder


def options(cache: Path, *more: str) -> list[str]:
    base = ["--backbone", "demo", "--epochs", "30", "--head", "20-10", "--held-out", "0.34"]
    return [*base, "--set", f"model.cache={cache / 'models'}", *more]


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    settings = settings_for(redis_server)
    ran = run_cli(
        settings,
        "train",
        str(pictures),
        "--out",
        str(folder / "bundle"),
        *options(folder),
        "--json",
        env={"TF_CPP_MIN_LOG_LEVEL": "2"},
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == "", "TensorFlow's remarks are nobody's business"
    (content,) = json_lines(ran.stdout)
    assert content["held_out_accuracy"] >= 0.8
    assert content["train_samples"] + content["held_out_samples"] == 48
    assert [Path(row["path"]).name for row in content["unreadable"]] == ["broken.jpg"]
    return folder / "bundle"


def test_a_bundle_says_how_it_came_to_be(trained: Path) -> None:
    file = read_bundle_file(trained)
    assert file.labels == ["angular", "round"]
    assert file.arguments.given() == {"width": 24, "head": [20, 10]}
    assert file.record["seed"] == 1
    assert file.record["items"] == {"angular": 24, "round": 25}
    assert len(file.record["history"]["val_loss"]) <= 30
    picture = cv2.imread(str(trained / "history.png"))
    assert picture is not None
    assert picture.std() > 10
    split = read_split(trained)
    assert split is not None
    groups = [{item.label + item.group for item in side} for side in (split.train, split.held_out)]
    assert not groups[0] & groups[1], "a scene is on one side only"
    assert all(item.path.is_absolute() for item in split.held_out)
    assert all(item.path.is_file() for item in (*split.train, *split.held_out)), "also where a name is no text"


def stored_features(trained: Path) -> dict[Path, int]:
    """The features that a training has left, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in (trained.parent / "features").rglob("*.npy")}


@pytest.mark.long
def test_the_same_seed_gives_the_same_weights_from_features_computed_once(
    trained: Path, pictures: Path, tmp_path: Path, settings: Settings
) -> None:
    again = tmp_path / "bundle"
    before = stored_features(trained)
    assert len(before) == 48
    ran = run_cli(settings, "train", str(pictures), "--out", str(again), *options(trained.parent), "--json")
    assert ran.returncode == 0, ran.stderr
    assert stored_features(trained) == before
    assert sha256(again / "network.weights.h5") == sha256(trained / "network.weights.h5")
    ran = run_cli(settings, "train", str(pictures), "--out", str(again), *options(trained.parent))
    assert ran.returncode == 2
    assert "--force" in ran.stderr


def test_save_and_load_give_the_same_predictions(trained: Path, tmp_path: Path) -> None:
    bundle = read_bundle(trained)
    model = build(bundle)
    x = np.random.default_rng(0).uniform(-1, 1, (3, 96, 96, 3)).astype(np.float32)
    expected = np.asarray(model(x, training=False))
    model.save(tmp_path / "whole.keras")
    loaded = keras.saving.load_model(tmp_path / "whole.keras", compile=False)
    np.testing.assert_array_equal(np.asarray(loaded(x, training=False)), expected)
    np.testing.assert_array_equal(np.asarray(build(bundle)(x, training=False)), expected)


@pytest.mark.long
def test_another_head_and_split_need_no_other_features(
    trained: Path, pictures: Path, tmp_path: Path, settings: Settings
) -> None:
    before = stored_features(trained)
    more = options(trained.parent, "--seed", "5", "--head", "linear", "--no-flip", "--no-class-weights")
    (tmp_path / "b").mkdir()
    command = ["train", str(pictures), "--out", ".", *more, "--json"]
    ran = run_cli(settings, *command, cwd=tmp_path / "b", env={"TF_CPP_MIN_LOG_LEVEL": "2"})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert stored_features(trained) == before
    file = read_bundle_file(tmp_path / "b")
    assert (file.name, file.arguments.head) == ("b", [])


@pytest.mark.long
def test_fine_tuning_trains_the_last_blocks_only(
    trained: Path, pictures: Path, tmp_path: Path, settings: Settings
) -> None:
    more = options(trained.parent, "--unfreeze", "1", "--seed", "2", "--epochs", "3")
    ran = run_cli(settings, "train", str(pictures), "--out", str(tmp_path / "b"), *more, "--json")
    assert ran.returncode == 0, ran.stderr
    assert read_bundle_file(tmp_path / "b").record["unfreeze"] == 1
    tuned, plain = build(read_bundle(tmp_path / "b")), build(read_bundle(trained))
    same = {
        layer.name: all(
            np.array_equal(one, two)
            for one, two in zip(layer.get_weights(), plain.get_layer(layer.name).get_weights(), strict=True)
        )
        for layer in tuned.layers
        if layer.weights
    }
    assert json_lines(ran.stdout)[0]["fine_tuned"], "an undertrained head gains from it"
    assert same["stem_1"]
    assert same["entry_1_a"]
    assert same["exit_bn"]
    assert not same["exit"]


@pytest.mark.long
def test_ctrl_c_keeps_the_best_so_far(trained: Path, pictures: Path, tmp_path: Path, settings: Settings) -> None:
    more = options(trained.parent, "--epochs", "100000", "--patience", "100000")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamtag", "train", str(pictures), "--out", str(tmp_path / "b"), *more],
        env=environment(settings) | {"COLUMNS": "80", "FORCE_COLOR": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    seen = bytearray()

    def fitting() -> bool:
        seen.extend(process.stderr.read() or b"")  # type: ignore[union-attr]
        assert process.poll() is None, seen.decode()[-2000:]
        return b"held out" in seen and b"loss" in seen

    try:
        eventually(fitting, "an epoch is over", 120)
        process.send_signal(signal.SIGINT)
        os.set_blocking(process.stderr.fileno(), True)
        stdout, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "…".encode() not in seen, "80 columns are enough for every figure"
    assert b"interrupted: the best weights so far were kept" in stdout
    assert read_bundle_file(tmp_path / "b").record["interrupted"] is True
    build(read_bundle(tmp_path / "b"))


@pytest.mark.long
def test_spans_of_videos_train_too(tmp_path: Path, settings: Settings) -> None:
    rows = ["video,start_s,end_s,label"]
    for number in range(4):
        write_clip(tmp_path / f"{number}.mp4", [Segment("circle", 0, 2.0), Segment("star", 2.0, 4.0)], 8000 + number)
        rows += [f"{number}.mp4,0,2,round thing", f"{number}.mp4,2,4,star thing"]
    (tmp_path / "spans.csv").write_text("\n".join(rows))
    table = str(tmp_path / "spans.csv")
    ran = run_cli(settings, "train", "--spans", table, "--out", str(tmp_path / "b"), *options(tmp_path), "--json")
    assert ran.returncode == 0, ran.stderr
    content = json_lines(ran.stdout)[0]
    assert content["train_samples"] + content["held_out_samples"] == 4 * 2 * 4, "two samples a second"
    # What was held out, as the bundle knows it: spans, and not the videos that they lie in.
    ran = run_cli(settings, "evaluate", str(tmp_path / "b"), "--json")
    assert ran.returncode == 0, ran.stderr
    held_out = json_lines(ran.stdout)[0]
    assert held_out["samples"] == content["held_out_samples"]
    assert held_out["accuracy"] >= 0.8
    command = ["evaluate", str(tmp_path / "b"), "--spans", table, "--json"]
    of_all = json_lines(run_cli(settings, *command).stdout)[0]
    assert (of_all["samples"], of_all["trained_on"]) == (held_out["samples"], content["train_samples"] // 4)
    assert json_lines(run_cli(settings, *command, "--include-trained").stdout)[0]["samples"] == 32


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "x"], "either a folder of classes, or --spans"),
        (["{pictures}", "--head", "0-5"], "--head '0-5'"),
        (["{pictures}", "--backbone", "nope"], "unknown model 'nope'"),
        (["{pictures}", "--set", "engine.name=jax"], "does not train"),
        (["{pictures}", "--others", "{pictures}/nowhere"], "nowhere: 0 pictures; at least 5"),
    ],
)
def test_wrong_options_are_named(
    pictures: Path, tmp_path: Path, settings: Settings, arguments: list[str], says: str
) -> None:
    filled = [argument.format(pictures=pictures) for argument in arguments]
    ran = run_cli(settings, "train", *filled)
    assert ran.returncode == 2
    assert says in ran.stderr


@pytest.mark.long
def test_thresholds_and_temperature_are_written_and_then_applied(
    trained: Path, pictures: Path, settings: Settings
) -> None:
    # Of all pictures: those that training saw are left out, so the figures are of what it held out.
    ran = run_cli(settings, "evaluate", str(trained), str(pictures), "--write", "temperature,thresholds", "--json")
    assert ran.returncode == 0, ran.stderr
    content = json_lines(ran.stdout)[0]
    split = read_split(trained)
    assert split is not None
    assert content["samples"] + len(content["unreadable"]) == len(split.held_out)
    assert content["trained_on"] == len(split.train)
    assert "are few" in content["warnings"][0]
    assert (content["refused"], content["left_out"]) == ({}, {})
    file = read_bundle_file(trained)
    assert file.temperature == content["written"]["temperature"] == content["calibration"]["after"]["temperature"]
    for row in content["thresholds"]:
        assert file.thresholds[row["label"]][0] == pytest.approx(row["equal_error_threshold"], abs=1e-4)
    # Classified at the bundle's temperature: twice the temperature halves the logit.
    picture = str(next((pictures / "round").rglob("0.jpg")))
    network = loading.load(settings.model_copy(update={"model": ModelSettings(name=str(trained))}))
    logits = []
    for temperature in (10.0, 20.0):
        softened = replace(network, bundle=replace(network.bundle, temperature=temperature))
        (answer,) = Classifier(settings, softened).classify([picture], 1)
        score = answer.labels[0].score
        logits.append(np.log(score / (1 - score)))
    assert logits[0] / logits[1] == pytest.approx(2, rel=0.01)


@pytest.mark.long
def test_the_worker_applies_the_bundle_s_temperature_and_thresholds(
    trained: Path, pictures: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    """The same picture, by the worker and by the command line; a label whose threshold is out of reach stays out."""
    bundle = Path(shutil.copytree(trained, tmp_path / "bundle"))
    path = bundle / "bundle.json"
    thresholds = {"round": [0.5, 0.3], "angular": [1.0, 1.0]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": 10.0, "thresholds": thresholds}))
    settings = settings_for(redis_server, model__name=str(bundle))
    chosen = [next((pictures / name).rglob("0.jpg")) for name in CLASSES]
    ran = run_cli(settings, "classify", *map(str, chosen), "--model", str(bundle), "--json")
    expected = [{one["name"]: one["score"] for one in row["labels"]} for row in json_lines(ran.stdout)]
    assert max(score for row in expected for score in row.values()) < 0.999, "the temperature softens"
    worker = Worker(settings, env={"STREAMTAG_MODEL__NAME": str(bundle)}).ready()
    try:
        with Client(settings=settings) as client:
            jobs = [client.submit(str(one)).job_id for one in chosen]
            assert {client.wait(job, 60).status for job in jobs} == {"done"}
            results = [next(iter(client.results(job))) for job in jobs]
    finally:
        worker.kill()
    for result, row in zip(results, expected, strict=True):
        assert {one.name: one.score for one in result.labels} == pytest.approx(row, abs=1e-4)
    assert results[0].active == (("round",) if expected[0]["round"] >= 0.5 else ())
    assert results[1].active == (("round",) if expected[1]["round"] >= 0.5 else ())
