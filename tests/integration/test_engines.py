"""Engines: the same labels whatever compiles the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from streamtag.core.bundle import Bundle, Mode, Preprocessing
from streamtag.errors import ConfigError
from streamtag.networks import loading
from streamtag.networks.building import build
from streamtag.networks.engines.base import apply_temperature
from streamtag.networks.engines.folding import fold_batch_norm
from streamtag.networks.engines.machine import this_machine
from streamtag.networks.engines.normalising import normalise
from streamtag.networks.loading import compile_model
from streamtag.networks.registry import resolve
from streamtag.settings import EngineSettings, ModelSettings, Settings
from streamtag.tools.demo.train import draw_set

from tests.conftest import ROOT
from tests.reference import batches_in_flight
from tests.reference.batches_in_flight import BATCH, Batches
from tests.support import RedisServer, json_lines, run_cli, settings_for

ENGINES = ("tf_graph", "tf_xla", "openvino")


@pytest.fixture(scope="module")
def demo() -> tuple[Bundle, Any]:
    bundle = resolve(ModelSettings(name="demo"))
    return bundle, build(bundle)


def plain(model: Any, bundle: Bundle, pictures: np.ndarray) -> np.ndarray:
    return np.asarray(model(normalise(pictures, bundle.preprocessing.mode), training=False))


@pytest.mark.parametrize("name", ["tf_graph", "openvino"])
def test_an_engine_binds_no_thread_to_a_core(name: str, demo: tuple[Bundle, Any]) -> None:
    # It would wait there behind a decoder, or what another worker has bound to the same, while others are free.
    bundle, model = demo
    engine = compile_model(model, bundle, EngineSettings(name=name, buckets=[4])).engine
    pictures, _ = draw_set(3, 4)
    allowed, seen, done = os.sched_getaffinity(0), set(), threading.Event()

    def look() -> None:
        while not done.is_set():
            for thread in Path("/proc/self/task").iterdir():
                with suppress(ProcessLookupError):  # it has ended
                    seen.add(frozenset(os.sched_getaffinity(int(thread.name))))

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(20):
        engine.dispatch(pictures[:4]).result()
    done.set()
    looking.join()
    assert seen == {frozenset(allowed)}


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_says_what_plain_keras_says(name: str, demo: tuple[Bundle, Any]) -> None:
    bundle, model = demo
    buckets = [4] if name == "tf_xla" else [1, 4]  # XLA takes its time on a CPU
    network = compile_model(model, bundle, EngineSettings(name=name, buckets=buckets))
    assert set(network.warm_up.batch_s) == set(buckets)
    pictures, _ = draw_set(3, 42)
    expected = plain(model, bundle, pictures)
    np.testing.assert_allclose(network.engine.dispatch(pictures[:4]).result(), expected[:4], atol=2e-4)
    # One, a padded batch, and more than the largest bucket holds.
    for count in (1, 3, 11):
        np.testing.assert_allclose(network.engine.predict(pictures[:count]), expected[:count], atol=2e-4)


def test_on_a_gpu_an_open_engine_takes_16_bits_that_no_processor_of_ours_has(
    monkeypatch: pytest.MonkeyPatch, demo: tuple[Bundle, Any]
) -> None:
    monkeypatch.setattr(loading, "has_gpu", lambda _engine: True)  # no card is here, and XLA compiles for either
    settings = Settings(
        model=ModelSettings(name="demo"),
        engine=EngineSettings(name="auto", precision="float16", buckets=[1], measure_s=0),
    )
    network = loading.load(settings, bundle=demo[0])
    assert (network.choice.engine, network.choice.precision) == ("tf_xla", "float16")


def _in_flight(name: str, precision: str, pictures: np.ndarray, folder: Path) -> Batches:
    if name != "jax":
        return batches_in_flight.scores(batches_in_flight.engine(name, precision), pictures)
    np.save(folder / "pictures.npy", pictures)  # Keras has one backend a process, chosen before it is imported
    files = str(folder / "pictures.npy"), str(folder / "scores.npz")
    command = [sys.executable, "-m", "tests.reference.batches_in_flight", name, precision, *files]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    with np.load(files[1]) as found:
        return Batches(found["alone"], found["together"])


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", [*ENGINES, pytest.param("jax", marks=pytest.mark.long)])
def test_batches_that_are_in_flight_together_have_the_scores_that_each_has_alone(
    name: str, precision: str, tmp_path: Path
) -> None:
    """Whatever of their input and output an engine shares, while the buffers are filled again in turns."""
    if (name, precision) == ("openvino", "bfloat16") and not this_machine().bfloat16:
        pytest.skip("this processor does not compute in bfloat16")
    pictures, _ = draw_set(12, 42)
    pictures = pictures[np.random.default_rng(1).permutation(len(pictures) - len(pictures) % BATCH)]
    batches = pictures.reshape(-1, BATCH, *pictures.shape[1:])
    found = _in_flight(name, precision, batches, tmp_path)
    apart = np.abs(np.diff(found.alone, axis=0)).max(axis=(1, 2))
    assert apart.min() > 0.1, "a batch that is taken for its neighbour is seen"
    np.testing.assert_allclose(found.together, found.alone, atol=1e-5)


@pytest.mark.parametrize("name", ["tf_graph", "openvino", pytest.param("tf_xla", marks=pytest.mark.long)])
@pytest.mark.long
def test_bfloat16_chooses_the_same_labels(name: str, demo: tuple[Bundle, Any]) -> None:
    bundle, model = demo
    settings = EngineSettings(name=name, buckets=[28], precision="bfloat16")
    if name == "openvino" and not {"avx512_bf16", "amx_bf16"} & set(Path("/proc/cpuinfo").read_text().split()):
        with pytest.raises(ConfigError, match="this processor does not compute in bfloat16"):
            compile_model(model, bundle, settings)
        return
    engine = compile_model(model, bundle, settings).engine
    pictures, classes = draw_set(7, 42)
    assert (engine.predict(pictures).argmax(axis=1) == classes).mean() > 0.95


@pytest.mark.long
def test_the_demo_network_knows_what_it_never_saw(demo: tuple[Bundle, Any]) -> None:
    """At least 97 % of held-out drawn frames: seeds that neither training nor its validation used."""
    bundle, model = demo
    engine = compile_model(model, bundle, EngineSettings(buckets=[50])).engine
    pictures, classes = draw_set(105, 77_000_000)
    assert (engine.predict(pictures).argmax(axis=1) == classes).mean() >= 0.97


@pytest.mark.long
def test_jax_says_the_same_in_a_process_of_its_own(redis_server: RedisServer, tmp_path: Path) -> None:
    """Keras has one backend a process, chosen before it is imported."""
    pictures, _ = draw_set(7, 42)
    for number, picture in enumerate(pictures[::4]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    settings = settings_for(redis_server)
    answers = []
    for engine in ("jax", "tf_graph"):
        ran = run_cli(
            settings,
            "classify",
            str(tmp_path),
            "--json",
            "--set",
            f"engine.name={engine}",
            "--set",
            "engine.buckets=[8]",
        )
        assert ran.returncode == 0, ran.stderr
        answers.append([(label["name"], label["score"]) for line in json_lines(ran.stdout) for label in line["labels"]])
    for (one, score), (other, other_score) in zip(*answers, strict=True):
        assert score == pytest.approx(other_score, abs=2e-4)
        assert one == other or score < 1e-3


def _network(layer: Any, after: Any) -> keras.Model:
    """A layer, its normalisation with statistics of their own, and what comes after."""
    inputs = keras.Input((8, 8, 6))
    norm = keras.layers.BatchNormalization()
    outputs = after(norm(layer(inputs)))
    model = keras.Model(inputs, outputs)
    generator = np.random.default_rng(1)
    norm.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in norm.get_weights()])
    return model


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2D(5, 3, use_bias=False),
        keras.layers.Conv2D(5, 3, use_bias=True, bias_initializer="random_normal"),
        keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False),
        keras.layers.SeparableConv2D(5, 3, use_bias=False),
        keras.layers.Dense(5, use_bias=True, bias_initializer="random_normal"),
    ],
)
def test_folding_changes_nothing_but_the_number_of_layers(layer: Any) -> None:
    model = _network(layer, keras.layers.ReLU())
    folded = fold_batch_norm(model)
    assert not any(isinstance(one, keras.layers.BatchNormalization) for one in folded.layers)
    pictures = np.random.default_rng(2).normal(size=(3, 8, 8, 6)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(folded(pictures)), np.asarray(model(pictures, training=False)), atol=1e-4)


def test_what_cannot_be_folded_is_left_alone() -> None:
    """A convolution with a non-linearity, and one whose output something else uses too."""
    inputs = keras.Input((8, 8, 6))
    shared = keras.layers.Conv2D(6, 1)(inputs)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 1, activation="relu")(inputs))
    model = keras.Model(inputs, keras.layers.add([x, keras.layers.BatchNormalization()(shared), shared]))
    folded = fold_batch_norm(model)
    assert sum(isinstance(one, keras.layers.BatchNormalization) for one in folded.layers) == 2
    pictures = np.random.default_rng(2).normal(size=(3, 8, 8, 6)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(folded(pictures)), np.asarray(model(pictures, training=False)), atol=1e-5)


@pytest.mark.parametrize("mode", ["tf", "caffe", "torch"])
def test_normalisation_is_that_of_keras(mode: Mode) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    expected = keras.applications.imagenet_utils.preprocess_input(pictures.astype(np.float32), mode=mode)
    np.testing.assert_allclose(np.asarray(normalise(pictures, mode)), expected, atol=1e-5)


def test_lite_takes_127_and_divides_by_128() -> None:
    pictures = np.array([0, 127, 255], np.uint8).reshape(1, 1, 1, 3)
    np.testing.assert_array_equal(np.asarray(normalise(pictures, "lite")).ravel(), [-127 / 128, 0, 1])


def test_temperature_softens_and_one_is_no_change() -> None:
    logits = np.array([[2.0, 1.0, 0.0]])
    scores = (np.exp(logits) / np.exp(logits).sum()).astype(np.float32)
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum()
    np.testing.assert_allclose(apply_temperature(scores, 2.0), expected, atol=1e-6)
    assert apply_temperature(scores, 1.0) is scores


def test_a_network_that_gives_no_numbers_is_named(demo: tuple[Bundle, Any]) -> None:
    bundle, _ = demo
    inputs = keras.Input(bundle.preprocessing.shape)
    broken = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(ConfigError, match=r"gives \(1, 3\) for a batch of 1"):
        compile_model(broken, bundle, EngineSettings(buckets=[1]))


@pytest.mark.parametrize(
    "name", ["mobilenetv2", *(pytest.param(one, marks=pytest.mark.long) for one in ("inceptionv3", "xception"))]
)
def test_every_network_builds_and_folds_whole(name: str) -> None:
    bundle = resolve(ModelSettings(name=name, weights="random"))
    folded = fold_batch_norm(build(bundle))
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    assert folded.output_shape == (None, 1000)
    assert folded.input_shape == (None, *bundle.preprocessing.shape)


def test_weights_that_do_not_fit_are_named(tmp_path: Path, demo: tuple[Bundle, Any]) -> None:
    bundle, _ = demo
    wrong = replace(resolve(ModelSettings(name="mobilenetv2", weights="random")), weights=bundle.weights)
    with pytest.raises(ConfigError, match=r"do not fit mobilenetv2.*name=Conv1.*value\.shape="):
        build(wrong)
    text = tmp_path / "text.weights.h5"
    text.write_text("no weights")
    with pytest.raises(ConfigError, match="do not fit demo"):
        build(replace(bundle, weights=str(text)))


@pytest.mark.long
def test_labels_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(["one", "two"]))
    bundle = resolve(ModelSettings(name="mobilenetv2", weights="random", labels=path))
    assert build(bundle).output_shape[-1] == 2  # random weights take any number of classes
    keras_file = tmp_path / "model.keras"
    build(resolve(ModelSettings(name="mobilenetv2", weights="random"))).save(keras_file)
    with pytest.raises(ConfigError, match="do not fit"):
        build(replace(bundle, weights=str(keras_file)))


def test_a_whole_keras_file_gives_its_weights(tmp_path: Path, demo: tuple[Bundle, Any]) -> None:
    bundle, model = demo
    path = tmp_path / "demo.keras"
    model.save(path)
    again = build(replace(bundle, weights=str(path)))
    pictures, _ = draw_set(1, 9)
    np.testing.assert_array_equal(plain(again, bundle, pictures), plain(model, bundle, pictures))


def test_a_keras_file_with_code_in_it_is_refused(tmp_path: Path, demo: tuple[Bundle, Any]) -> None:
    bundle, _ = demo
    path = tmp_path / "evil.keras"
    inputs = keras.Input(bundle.preprocessing.shape)
    keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs)).save(path)
    with pytest.raises(ConfigError, match=r"refused.*Lambda"):
        build(replace(bundle, weights=str(path)))


def test_preprocessing_of_a_picture_file_and_of_a_frame_is_one(demo: tuple[Bundle, Any]) -> None:
    bundle, _ = demo
    assert isinstance(bundle.preprocessing, Preprocessing)
    assert bundle.preprocessing.shape == (96, 96, 3)
