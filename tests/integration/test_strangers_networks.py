"""Networks that somebody else trained: what their outputs are, and probabilities made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from streamtag.core.bundle import WHOLE, Bundle, OutputKind, Preprocessing
from streamtag.errors import ConfigError
from streamtag.networks.building import build, features, load_features
from streamtag.networks.bundle_file import read_bundle_file
from streamtag.networks.bundles import read_bundle
from streamtag.networks.engines.base import calibrated
from streamtag.networks.loading import compile_model
from streamtag.networks.outputs import find_kind, last_activation
from streamtag.settings import EngineSettings, ModelSettings, Settings
from streamtag.tools import bundling

from tests.support import json_lines, run_cli

ENGINE = EngineSettings(buckets=[2])


def network(*last: keras.layers.Layer, nested: bool = False) -> keras.Model:
    """A small network with the given layers at its end, large enough weights to tell logits from probabilities."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, kernel_initializer="he_normal")(inputs))
    for layer in last:
        x = layer(x)
    model = keras.Model(inputs, x)
    if not nested:
        return model
    outer = keras.Input((32, 32, 3))
    return keras.Model(outer, keras.layers.Dropout(0.1)(model(outer)))


def dense(activation: str | None) -> keras.layers.Layer:
    return keras.layers.Dense(3, activation=activation, kernel_initializer=keras.initializers.RandomNormal(0, 5))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("last", "kind"),
    [
        (lambda: [dense("softmax")], "probabilities"),
        (lambda: [dense(None), keras.layers.Softmax()], "probabilities"),
        (lambda: [dense(None), keras.layers.Activation("softmax")], "probabilities"),
        (lambda: [dense("sigmoid")], "sigmoid"),
        (lambda: [dense(None)], "logits"),
        # Small logits look like probabilities, by their numbers alone.
        (lambda: [keras.layers.Dense(3, kernel_initializer="zeros", bias_initializer=_third)], "logits"),
    ],
)
def test_what_outputs_are_is_found(last: object, kind: OutputKind, nested: bool) -> None:
    assert find_kind(network(*last(), nested=nested)) == kind  # type: ignore[operator]


def _third(shape: tuple[int, ...], dtype: object = None) -> object:
    return keras.ops.full(shape, 1 / 3, dtype)


def test_what_people_say_is_held_against_what_there_is() -> None:
    assert find_kind(network(dense(None)), "sigmoid") == "sigmoid-logits"
    assert find_kind(network(dense("sigmoid")), "sigmoid") == "sigmoid"
    assert find_kind(network(dense(None)), "logits") == "logits"
    assert last_activation(network(dense(None), keras.layers.ReLU())) == ""
    with pytest.raises(ConfigError, match="ends with a softmax already"):
        find_kind(network(dense("softmax")), "logits")
    with pytest.raises(ConfigError, match="give logits or sigmoid"):
        find_kind(network(dense(None)), "probabilities")


@pytest.mark.parametrize("kind", ["logits", "sigmoid-logits"])
def test_a_worker_refuses_bare_logits_and_serves_them_once_it_is_said_what_they_are(
    tmp_path: Path, kind: OutputKind
) -> None:
    model = network(dense(None))
    model.save(tmp_path / "own.keras")
    bundle = Bundle("own", WHOLE, ("a", "b", "c"), Preprocessing(32), weights=str(tmp_path / "own.keras"))
    with pytest.raises(ConfigError, match="gives no probabilities but"):
        compile_model(build(bundle), bundle, ENGINE)
    said = replace(bundle, output_kind=kind)
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    (scores,) = compile_model(build(said), said, ENGINE).engine.predict(picture)
    logits = np.asarray(model(picture / 127.5 - 1.0, training=False))[0]
    odds = np.exp(logits)
    expected = odds / odds.sum() if kind == "logits" else odds / (1 + odds)
    assert scores == pytest.approx(expected, abs=1e-4)


def test_the_temperature_of_labels_that_stand_alone_is_by_label() -> None:
    bundle = Bundle("own", WHOLE, ("a", "b"), Preprocessing(32), output_kind="sigmoid", temperature=2.0)
    scores = np.array([[0.5, 0.9]], np.float32)
    assert calibrated(scores, bundle) == pytest.approx(np.array([[0.5, 0.75]]), abs=1e-4)
    assert calibrated(scores, replace(bundle, temperature=1.0)) is scores


@pytest.mark.long
def test_a_bundle_is_made_of_a_network_with_logits_and_says_so(tmp_path: Path, settings: Settings) -> None:
    network(dense(None), nested=True).save(tmp_path / "own.keras")
    (tmp_path / "labels.txt").write_text("a\nb\nc\n")
    command = ("models", "bundle", str(tmp_path / "own.keras"), "--labels", str(tmp_path / "labels.txt"))
    ran = run_cli(settings, *command, "--out", str(tmp_path / "bundle"))
    assert ran.returncode == 0, ran.stderr
    wrong = {
        (*command, "--size", "64"): "own.keras: --size 64: it takes 32 pixels and nothing else; leave --size out",
        ("models", "bundle", "xception", "--size", "64", "--mode", "tf"): "--size, --mode: for .keras files alone",
    }
    for arguments, says in wrong.items():
        refused = run_cli(settings, *arguments, "--out", str(tmp_path / "none"))
        assert (refused.returncode, says in refused.stderr) == (2, True), refused.stderr
    assert ran.stderr == "note: its outputs are no probabilities; a softmax is added, so that they are\n"
    assert read_bundle_file(tmp_path / "bundle").outputs == "logits"
    (row,) = json_lines(run_cli(settings, "models", "verify", str(tmp_path / "bundle"), "--json").stdout)
    assert row["ok"]
    content = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(content | {"outputs": "probabilities"}))
    (row,) = json_lines(run_cli(settings, "models", "verify", str(tmp_path / "bundle"), "--json").stdout)
    assert "--outputs logits|sigmoid" in row["error"]


def test_a_backbone_takes_its_weights_out_of_a_whole_network_and_from_a_file_without_a_classifier(
    tmp_path: Path,
) -> None:
    bundle = Bundle("squeezenet", "SqueezeNet", ("a", "b"), Preprocessing(96))
    backbone = features(bundle)
    backbone.save_weights(tmp_path / "top.weights.h5")
    outer = keras.Input((96, 96, 3))
    inner = keras.Model(backbone.inputs[0], backbone.outputs[0], name="inner")
    keras.Model(outer, keras.layers.Dense(5)(inner(outer))).save(tmp_path / "whole.keras")
    for name in ("top.weights.h5", "whole.keras"):
        found = load_features(replace(bundle, weights=str(tmp_path / name)))
        for one, other in zip(found.get_weights(), backbone.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    network(dense(None)).save(tmp_path / "other.keras")
    with pytest.raises(ConfigError, match="no part of that network is squeezenet"):
        load_features(replace(bundle, weights=str(tmp_path / "other.keras")))


@pytest.mark.long
def test_the_published_kitchenware_network_gives_probabilities(tmp_path: Path, shared_data: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cup\nfork\nglass\nknife\nplate\nspoon\n")
    file = shared_data / "weights" / "kitchenware_xception.keras"
    settings = ModelSettings(name=str(file), labels=labels, crop="squash")
    assert bundling.make_whole(file, settings, None, "tf", "", tmp_path / "kitchen") == "logits"
    bundle = read_bundle(tmp_path / "kitchen")
    engine = compile_model(build(bundle), bundle, ENGINE).engine
    scores = engine.predict(np.random.default_rng(0).integers(0, 256, (2, 150, 150, 3), np.uint8))
    assert scores.sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    xception = Bundle("xception", "Xception", ("a", "b"), Preprocessing(150), weights=str(file))
    # Kernels of 6 convolutions and of 34 separable ones, two each, and 40 normalisations.
    assert len(load_features(xception).weights) == 6 + 34 * 2 + 40 * 4
