"""Heads on backbones, whole networks of one's own, and what they are after save and load."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from streamtag.core.bundle import WHOLE, Bundle, Preprocessing
from streamtag.core.groups import NO_GROUPS
from streamtag.errors import ConfigError
from streamtag.networks.building import build, cut, features, save_weights, with_head
from streamtag.networks.bundles import read_bundle, write_bundle
from streamtag.networks.registry import DEMO_BUNDLE

from tests.reference.engine_scores import randomise
from tests.support.bundles import random_bundle, whole_bundle


@pytest.mark.parametrize(
    "name",
    [
        "mobilenetv2",
        "squeezenet",
        *(pytest.param(one, marks=pytest.mark.long) for one in ("inceptionv3", "inceptionv4")),
    ],
)
@pytest.mark.long
def test_a_head_on_a_backbone_is_the_same_after_save_and_load(tmp_path: Path, name: str) -> None:
    """The backbone is cut out of a whole network; the bundle builds it without one. Weights must find their layers."""
    bundle = random_bundle(name)
    whole = build(bundle)
    randomise(whole)
    backbone = cut(whole, bundle.architecture)
    assert backbone.output_shape == features(bundle).output_shape
    model = with_head(backbone, 3, [10, 10])
    x = np.random.default_rng(0).normal(size=(2, *bundle.preprocessing.shape)).astype(np.float32)
    expected = np.asarray(model(x, training=False))
    weights = tmp_path / "x.weights.h5"
    model.save_weights(weights)
    labels = ("a", "b", "c")
    trained = replace(bundle, name="mine", labels=labels, groups=NO_GROUPS, arguments={"head": [10, 10]})
    write_bundle(tmp_path / "bundle", trained, weights)
    found = build(read_bundle(tmp_path / "bundle"))
    np.testing.assert_array_equal(np.asarray(found(x, training=False)), expected)


@pytest.mark.parametrize(
    "arguments",
    [
        {"width": "wide"},
        {"width": 24, "depth": 3},
        {"head": [0]},
        {"head": "large"},
        {"head": [], "head_inputs": "power+top"},
        {"head": [], "head_inputs": "nothing"},
    ],
)
def test_arguments_that_somebody_edited_are_named(arguments: dict[str, Any]) -> None:
    bundle = replace(read_bundle(DEMO_BUNDLE), arguments=arguments)
    with pytest.raises(ConfigError, match="its arguments are not of narrow_xception: "):
        build(bundle)


def whole_file(path: Path, *layers: Any) -> Path:
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for layer in (*layers, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, activation="softmax")):
        x = layer(x)
    keras.Model(inputs, x).save(path)
    return path


def test_a_whole_network_of_ones_own_is_a_bundle(tmp_path: Path) -> None:
    path = whole_file(tmp_path / "own.keras", keras.layers.Conv2D(4, 3))
    original = keras.saving.load_model(path)
    bundle = Bundle("own", "keras", ("cat", "dog"), Preprocessing(32))
    write_bundle(tmp_path / "bundle", bundle, path)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    found = build(read_bundle(tmp_path / "bundle"))
    np.testing.assert_array_equal(np.asarray(found(x)), np.asarray(original(x)))


@pytest.mark.parametrize(
    ("given", "layers", "says"),
    [
        ((32, 48, 3), [keras.layers.GlobalAveragePooling2D()], r"takes \(None, 32, 48, 3\)"),
        ((3, 32, 32), [keras.layers.Flatten()], r"takes \(None, 3, 32, 32\)"),
        ((32, 32, 1), [keras.layers.Flatten()], r"takes \(None, 32, 32, 1\)"),
        ((8, 32, 32, 3), [keras.layers.Flatten()], r"takes \(None, 8, 32, 32, 3\)"),
        (None, [keras.layers.Flatten()], "takes something unknown"),
        ((3,), [], r"takes \(None, 3\)"),
        ((32, 32, 3), [], r"gives \(None, 32, 32, 2\)"),
    ],
)
def test_a_network_of_something_else_than_a_picture_is_told(
    tmp_path: Path, given: tuple[int, ...] | None, layers: list[Any], says: str
) -> None:
    end = keras.layers.Dense(2, activation="softmax")
    keras.Sequential([*([keras.Input(given)] if given else []), *layers, end]).save(tmp_path / "own.keras")
    bundle = Bundle("own", WHOLE, ("a", "b"), Preprocessing(32), weights=str(tmp_path / "own.keras"))
    with pytest.raises(ConfigError, match=says + ".*one square picture in colour"):
        build(bundle)


def test_a_network_of_two_pictures_is_told_and_one_with_names_is_served(tmp_path: Path) -> None:
    first, second = keras.Input((32, 32, 3), name="picture"), keras.Input((32, 32, 3))
    scores = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(first + second))
    keras.Model([first, second], scores).save(tmp_path / "two.keras")
    bundle = Bundle("own", WHOLE, ("a", "b"), Preprocessing(32), weights=str(tmp_path / "two.keras"))
    with pytest.raises(ConfigError, match=r"takes \(None, 32, 32, 3\) and \(None, 32, 32, 3\) and gives"):
        build(bundle)
    scores = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(first))
    keras.Model({"picture": first}, {"scores": scores}).save(tmp_path / "named.keras")
    model = build(replace(bundle, weights=str(tmp_path / "named.keras")))
    assert np.asarray(model(np.zeros((3, 32, 32, 3)))).shape == (3, 2)


def test_a_file_with_wrong_bytes_in_it_is_named(tmp_path: Path) -> None:
    path = whole_file(tmp_path / "own.keras", keras.layers.Conv2D(4, 3))
    content = path.read_bytes()
    bundle = Bundle("own", "keras", ("cat", "dog"), Preprocessing(32), weights=str(path))
    for at in range(100, len(content) - 64, 997):
        path.write_bytes(content[:at] + bytes(64) + content[at + 64 :])
        with contextlib.suppress(ConfigError):  # nothing else is raised; some bytes mean nothing
            build(bundle)
    for length in (0, 100, len(content) // 2):
        path.write_bytes(content[:length])
        with pytest.raises(ConfigError, match=r"own\.keras: (not a \.keras file|cannot be loaded)"):
            build(bundle)


class Custom(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A layer that only this test knows."""

    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("layer", "names"), [(lambda: keras.layers.Lambda(lambda x: x), "Lambda"), (Custom, r"test_networks\.Custom")]
)
def test_a_network_with_code_in_it_is_refused(tmp_path: Path, layer: Any, names: str) -> None:
    path = whole_file(tmp_path / "evil.keras", layer())
    with pytest.raises(ConfigError, match=f"refused.*{names}"):
        build(Bundle("own", "keras", ("cat", "dog"), Preprocessing(32), weights=str(path)))


def test_a_disk_that_is_full_is_told_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """HDF5 raises errors of three kinds, with addresses in memory, and says them again when its objects end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = build(random_bundle("mobilenetv2"))
    capfd.readouterr()
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
    try:
        with pytest.raises(OSError, match=r"^\[Errno \d+\] File too large$"):
            save_weights(model, tmp_path / "network.weights.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert capfd.readouterr().err == ""


def test_weights_that_are_gone_are_told_as_such(tmp_path: Path) -> None:
    """A bundle may be replaced between the look at its hashes and the building."""
    bundle = read_bundle(whole_bundle(tmp_path))
    Path(bundle.weights).unlink()
    with pytest.raises(ConfigError, match=r"network\.keras: gone since .*Start again"):
        build(bundle)
