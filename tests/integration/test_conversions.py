"""Networks that were converted for OpenVINO once: taken as they were, by a start without TensorFlow and Keras."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamtag.core.bundle import Bundle, Preprocessing, Unknown
from streamtag.core.engine_choice import EngineChoice
from streamtag.networks import loading
from streamtag.networks.building import build
from streamtag.networks.bundles import weights_sha256
from streamtag.networks.conversions import IN_ALL, OF_A_NAME, KeptConversion
from streamtag.networks.engine_choices import EngineChoices
from streamtag.networks.engines.normalising import normalise
from streamtag.networks.loading import load
from streamtag.networks.registry import resolve
from streamtag.settings import EngineSettings, ModelSettings, Settings
from streamtag.tools import doctor
from streamtag.tools.demo.train import draw_set
from structlog.testing import capture_logs

from tests.support import Worker, json_lines, run_cli
from tests.support.bundles import whole_bundle

Damage = Callable[[Path], object]
BLACK = np.zeros((1, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small network in a bundle of its own."""
    return resolve(ModelSettings(name=str(whole_bundle(tmp_path_factory.mktemp("own")))))


@pytest.fixture
def models(tmp_path: Path) -> ModelSettings:
    return ModelSettings(cache=tmp_path)


@pytest.fixture(scope="module")
def once(own: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder with its conversion."""
    cache = tmp_path_factory.mktemp("cache")
    conversion(ModelSettings(cache=cache), own).make(build(own))
    return cache


@pytest.fixture
def made(own: Bundle, once: Path, models: ModelSettings) -> KeptConversion:
    """The same, in a folder of the test's own."""
    kept = conversion(models, own)
    shutil.copytree(once, kept.folder.parents[1], dirs_exist_ok=True)
    return kept


def settings_in(cache: Path, name: str = "demo") -> Settings:
    return Settings.model_validate(
        {"model": {"name": name, "cache": str(cache)}, "engine": {"name": "openvino", "buckets": [1, 4]}}
    )


def conversion(models: ModelSettings, bundle: Bundle, precision: str = "float32") -> KeptConversion:
    return KeptConversion(models, bundle, precision, weights_sha256(bundle))


def never(*given: Any) -> Any:
    raise AssertionError("built anew")


def test_a_start_hashes_the_weights_once(own: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To look for what was chosen before, and for what was converted: both are of these weights."""
    settings = Settings.model_validate(
        {"model": {"name": "own", "cache": str(tmp_path)}, "engine": {"buckets": [1], "measure_s": 1}}
    )
    choice = EngineChoice("openvino", "float32", "measured", "")
    EngineChoices(settings.model, settings.engine, own, weights_sha256(own)).keep(choice)
    conversion(settings.model, own).make(build(own))
    hashed: list[str] = []

    def counting(file: BufferedReader, name: str) -> Any:
        hashed.append(file.name)
        return file_digest(file, name)

    file_digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", counting)
    monkeypatch.setattr(loading, "build_model", never)
    assert load(settings, bundle=own).choice.origin == "kept"
    assert hashed.count(own.weights) == 1
    hashed.clear()
    load(settings.model_copy(update={"engine": EngineSettings(name="null")}), bundle=own)
    assert not hashed, "nobody asked"


# What a warm start imports, and its scores, told to the one who made it cold.
WARM = """
import sys
import numpy as np
from streamtag.networks.loading import load
from streamtag.settings import Settings
network = load(Settings.model_validate_json(sys.argv[1]))
np.save(sys.argv[3], network.engine.predict(np.load(sys.argv[2])))
print([name for name in ("tensorflow", "keras", "jax") if name in sys.modules])
"""


def test_a_warm_start_needs_no_keras_and_gives_the_same_scores_to_the_bit(tmp_path: Path) -> None:
    settings = settings_in(tmp_path / "cache")
    cold = load(settings)
    pictures, _ = draw_set(2, 42)
    scores = cold.engine.predict(pictures)
    plain = build(cold.bundle)(normalise(pictures, cold.bundle.preprocessing.mode), training=False)
    np.testing.assert_allclose(scores, np.asarray(plain), atol=2e-4)
    np.save(tmp_path / "pictures.npy", pictures)
    files = (str(tmp_path / "pictures.npy"), str(tmp_path / "scores.npy"))
    ran = subprocess.run(
        [sys.executable, "-c", WARM, settings.model_dump_json(), *files], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"
    np.testing.assert_array_equal(np.load(files[1]), scores)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _of_another(folder: Path) -> None:
    content = json.loads((folder / "kept.json").read_text())
    content["of"]["network"]["classes"] = 3
    (folder / "kept.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: _flip(folder / "network.bin"),
        lambda folder: _flip(folder / "network.xml"),
        lambda folder: os.truncate(folder / "network.bin", 10),
        lambda folder: (folder / "network.bin").unlink(),
        lambda folder: (folder / "kept.json").write_text("{}"),
        lambda folder: (folder / "kept.json").write_text("[" * 100_000),
        lambda folder: (folder / "kept.json").write_bytes(b"\xff\xfe"),
        _of_another,
    ],
    ids=["weights", "graph", "short", "absent", "empty", "long", "no text", "another network"],
)
def test_what_was_damaged_is_not_taken_and_said(made: KeptConversion, damage: Damage) -> None:
    damage(made.folder)
    with capture_logs() as lines:
        assert made.read() is None
    assert [(line["log_level"], line["folder"]) for line in lines] == [("warning", str(made.folder))]


def test_what_was_damaged_is_made_anew(own: Bundle, made: KeptConversion, tmp_path: Path) -> None:
    _flip(made.folder / "network.bin")
    with capture_logs() as lines:
        network = load(settings_in(tmp_path, str(Path(own.weights).parent)))
    assert [line["error"] for line in lines if "made anew" in line["event"]] == ["network.bin is not what was written"]
    plain = build(own)(normalise(BLACK, own.preprocessing.mode), training=False)
    np.testing.assert_allclose(network.engine.predict(BLACK), np.asarray(plain), atol=1e-5)
    with capture_logs() as lines:
        assert made.read() is not None
    assert not lines


def test_another_network_has_another_place(own: Bundle, models: ModelSettings, tmp_path: Path) -> None:
    def place(precision: str = "float32", **changed: Any) -> Path:
        return conversion(models, replace(own, **changed), precision).folder

    weights, means = tmp_path / "other.weights.h5", tmp_path / "means.npy"
    weights.write_bytes(b"other")
    means.write_bytes(b"means")
    unknown = Unknown("distance", 0.5, 0.1, str(means))
    others = [
        place(weights=str(weights)),
        place(output_kind="logits"),
        place(labels=("a", "b", "c")),
        place(arguments={"head": [3]}),
        place(preprocessing=Preprocessing(32, "caffe")),
        place(preprocessing=Preprocessing(64)),
        place(unknown=unknown),
        place(unknown=replace(unknown, threshold=0.6)),
        place("int8"),
    ]
    means.write_bytes(b"other means")
    others.append(place(unknown=unknown))
    assert len({place(), *others}) == 1 + len(others)
    assert place("bfloat16") == place(), "rounded when it is compiled"
    assert place(temperature=2.0, preprocessing=replace(own.preprocessing, crop="squash")) == place()


def test_a_folder_that_cannot_be_written_costs_converting_again_and_says_so_once(own: Bundle, tmp_path: Path) -> None:
    (tmp_path / "converted").write_text("in the way")
    with capture_logs() as lines:
        network = load(settings_in(tmp_path, str(Path(own.weights).parent)))
    assert network.engine.name == "openvino"
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["converted network cannot be kept"]


def test_few_are_kept_those_that_were_used_last(own: Bundle, models: ModelSettings, made: KeptConversion) -> None:
    first, place = made, made.folder.parent
    for number in range(IN_ALL + 1):
        shutil.copytree(first.folder, place / f"other{number}-0")
        os.utime(place / f"other{number}-0", (number + 1, number + 1))
    for number in range(OF_A_NAME):
        shutil.copytree(first.folder, place / f"own-{number}")
        os.utime(place / f"own-{number}", (100 + number, 100 + number))
    (place / ".part-left").mkdir()
    os.utime(place / ".part-left", (1, 1))
    os.utime(first.folder, (2, 2))
    assert first.read() is not None, "which is a use of it"
    second = conversion(models, replace(own, output_kind="logits"))
    second.make(build(own))
    left = {path.name for path in place.iterdir() if path.is_dir()}
    own_ones = {first.folder.name, second.folder.name}
    assert left == own_ones | {f"other{number}-0" for number in range(3, IN_ALL + 1)}


def test_doctor_tells_what_is_kept_and_what_makes_it(
    own: Bundle, made: KeptConversion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", {"engine": doctor.CHECKS["engine"]})

    def told(model: str, cache: Path = tmp_path, **engine: Any) -> tuple[str, str, str] | None:
        settings = Settings.model_validate({"model": {"name": model, "cache": str(cache)}, "engine": engine})
        found = {finding.check: finding for finding in doctor.examine(settings)}
        about = found.get("converted network")
        return (about.level, about.seen, about.remedy) if about else None

    bundle = str(Path(own.weights).parent)
    size_mb = sum(file.stat().st_size for file in made.folder.iterdir()) / 1e6
    here = ("ok", f"{made.folder}, {size_mb:.1f} MB", "")
    assert told(bundle, name="openvino") == here
    assert told(bundle) == here, "measuring takes it, too"
    assert told(bundle, measure_s=0) == here, "the default takes it"
    assert told(bundle, name="tf_graph") is None
    none_yet = ("ok", f"none in {tmp_path / 'other' / 'converted'} yet: the first start makes one")
    assert told(bundle, tmp_path / "other", name="openvino") == (*none_yet, "")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mobilenetv2.weights.h5").write_bytes(b"imported")
    found = told("mobilenetv2", tmp_path / "other", name="openvino")
    assert found is not None
    assert found[:2] == none_yet
    assert "models fetch mobilenetv2 --convert" in found[2]
    _flip(made.folder / "network.bin")
    found = told(bundle, name="openvino")
    assert found is not None
    assert (found[0], "is not what was written" in found[1]) == ("warn", True)


@pytest.mark.long
def test_a_worker_serves_without_tensorflow_once_its_network_was_converted(
    settings: Settings, workers: list[Worker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"STREAMTAG_ENGINE__NAME": "openvino", "STREAMTAG_MODEL__CACHE": str(tmp_path)}
    libraries = []
    for _ in range(2):
        worker = Worker(settings, env=here)
        workers.append(worker)
        worker.ready()
        assert 'engine="openvino",precision="float32"' in worker.get("/metrics")[1]
        mapped = Path(f"/proc/{worker.process.pid}/maps").read_text()
        libraries.append([name for name in ("openvino", "tensorflow") if f"-packages/{name}/" in mapped])
        worker.kill()
    assert libraries == [["openvino", "tensorflow"], ["openvino"]]
    monkeypatch.setattr(loading, "build_model", never)
    load(settings_in(tmp_path))


@pytest.mark.long
def test_a_network_is_converted_ahead_of_its_first_start(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = ("models", "fetch", "efficientnet-lite0", "--convert", "--json")
    ran = run_cli(settings, *fetch, env={"STREAMTAG_MODEL__CACHE": str(tmp_path / "cache")})
    assert ran.returncode == 0, ran.stderr
    assert (Path(json_lines(ran.stdout)[0]["converted"]) / "network.xml").is_file()
    monkeypatch.setattr(loading, "build_model", never)
    assert load(settings_in(tmp_path / "cache", "efficientnet-lite0")).engine.name == "openvino"
    monkeypatch.undo()
    (tmp_path / "converted").write_text("in the way")
    ran = run_cli(settings, *fetch, env={"STREAMTAG_MODEL__CACHE": str(tmp_path)})
    assert ran.returncode == 1
    assert "cannot be written; make room or make it writable" in ran.stderr
