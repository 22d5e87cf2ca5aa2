"""Bundles: a folder that says what it is, or a clear error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from streamtag.errors import ConfigError
from streamtag.networks.bundles import read_bundle
from streamtag.networks.groups import imagenet_classes
from streamtag.networks.registry import DEMO_BUNDLE, read_labels, resolve
from streamtag.settings import ModelSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO_BUNDLE, tmp_path / "bundle"))


def change(folder: Path, **entries: Any) -> None:
    path = folder / "bundle.json"
    content = json.loads(path.read_text()) | entries
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def test_the_demo_bundle_is_small_and_knows_nothing() -> None:
    bundle = read_bundle(DEMO_BUNDLE)
    assert len(bundle.labels) == 7
    assert [bundle.labels[class_id] for class_id in bundle.background] == ["nothing"]
    assert sum(path.stat().st_size for path in DEMO_BUNDLE.iterdir()) < 3_000_000


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        ({"format": 3}, "format 3"),
        ({"labels": None}, "labels: Field required"),
        ({"size": "96"}, "size: Input should be a valid integer"),
        ({"pickle": "x"}, "pickle: Extra inputs"),
        ({"weights": "../elsewhere.h5"}, "own folder"),
        ({"weights": "missing.h5"}, "is missing"),
        ({"sha256": "0" * 64}, "does not match the sha256"),
        ({"thresholds": {"unicorn": [0.5, 0.4]}}, "unicorn"),
        ({"mode": "what"}, "mode: Input should be"),
        ({"labels": ["nothing", "nothing"]}, "nothing in thresholds or background is the name of more"),
        ({"thresholds": {"star": [0.3, 0.6]}}, "exit threshold of star is above"),
        ({"temperature": 0}, "temperature: .*greater than 0"),
        ({"arguments": {"head": [10**12]}}, "arguments.head.0: .*less than or equal to 9999"),
        ({"arguments": {"head": [-5]}}, "arguments.head.0: .*greater than or equal to 1"),
        ({"arguments": {"head": [True]}}, "arguments.head.0: .*valid integer"),
        ({"arguments": {"head": {}}}, "arguments.head: .*valid array"),
        ({"arguments": {"head": [1] * 100_000}}, "arguments.head: .*at most 16"),
        ({"arguments": {"head": [], "head_inputs": "power+top", "top": [7, 10**12]}}, "arguments.top.1: .*30000"),
        ({"architecture": "VGG16", "arguments": {}, "size": 2048}, "size 2048 is too large for VGG16.*at most 512"),
        ({"arguments": {"width": 10**9}}, "arguments.width: .*less than or equal to 512"),
        ({"arguments": {"wdith": 24}}, "arguments.wdith: Extra inputs"),
    ],
)
def test_a_wrong_bundle_is_named(folder: Path, entries: dict[str, Any], names: str) -> None:
    change(folder, **entries)
    with pytest.raises(ConfigError, match=names):
        read_bundle(folder)


def test_a_bundle_of_the_format_before_is_still_read(folder: Path) -> None:
    content = json.loads((folder / "bundle.json").read_text())
    content["nothing"] = content.pop("background")
    content.pop("note", None)
    (folder / "bundle.json").write_text(json.dumps(content | {"format": 1}))
    bundle = read_bundle(folder)
    assert [bundle.labels[class_id] for class_id in bundle.background] == ["nothing"]


def test_thresholds_and_crop_reach_the_bundle(folder: Path) -> None:
    change(folder, thresholds={"star": [0.8, 0.6]}, temperature=2)
    bundle = resolve(ModelSettings(name=str(folder), crop="pad"))
    assert bundle.thresholds == {bundle.labels.index("star"): (0.8, 0.6)}
    assert (bundle.temperature, bundle.preprocessing.crop) == (2.0, "pad")


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (ModelSettings(name="vgg99"), "unknown model 'vgg99'"),
        (ModelSettings(name="xceptoin"), "did you mean 'xception'"),
        (ModelSettings(name="xception", weights="/none.h5"), "no such file"),
        (ModelSettings(name="xception", labels=Path("/none.txt")), "labels /none.txt"),
    ],
)
def test_a_wrong_model_is_named(settings: ModelSettings, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        resolve(settings)


def test_labels_are_read_in_each_of_their_forms(tmp_path: Path) -> None:
    for name, text in (
        ("a.txt", "cat\ndog\n"),
        ("b.json", '["cat", "dog"]'),
        ("c.json", '{"0": ["n1", "cat"], "1": ["n2", "dog"]}'),
        ("windows.txt", "\ufeffcat\r\n\r\ndog\r\n"),
        ("windows.json", '\ufeff["cat", "dog"]\r\n'),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_labels(tmp_path / name) == ("cat", "dog")


def test_imagenet_names_are_those_of_keras(shared_data: Path) -> None:
    index = json.loads((shared_data / "labels" / "imagenet_class_index.json").read_text())
    assert [list(row) for row in imagenet_classes()] == [index[str(number)] for number in range(1000)]
