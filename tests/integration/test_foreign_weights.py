"""Weights of other frameworks in our networks: the same answer as where they come from; and files that are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from streamtag.errors import ConfigError
from streamtag.networks.building import build
from streamtag.networks.engines.normalising import normalise
from streamtag.networks.registry import resolve
from streamtag.settings import ModelSettings

from tests.reference.slim import Slim, write_checkpoint
from tests.reference.slim_inception_v3 import slim_v3
from tests.reference.slim_inception_v4 import slim_v4
from tests.reference.torch_vgg16 import torch_scores, torch_vgg16
from tests.support.bundles import random_bundle


@pytest.mark.parametrize(
    ("name", "scope", "forward", "version"),
    [
        pytest.param("inceptionv3", "InceptionV3", slim_v3, 1, marks=pytest.mark.long),
        pytest.param("inceptionv4", "InceptionV4", slim_v4, 1, marks=pytest.mark.long),
        pytest.param("inceptionv4", "InceptionV4", slim_v4, 2, marks=pytest.mark.long),
    ],
)
def test_a_slim_checkpoint_gives_what_slim_computes(
    tmp_path: Path, name: str, scope: str, forward: Callable[[Any, Slim], np.ndarray], version: int
) -> None:
    """Other layers exist already in this process, so Keras's automatic names do not begin at their usual number."""
    keras.layers.Conv2D(1, 1)
    net = Slim(scope)
    x = np.random.default_rng(1).uniform(-1, 1, (1, 299, 299, 3)).astype(np.float32)
    logits = forward(tf.constant(x), net)[:, 1:]
    # An optimiser's slot and an auxiliary classifier are in the published files too, and are no business of ours.
    others = {
        f"{scope}/AuxLogits/Conv2d_1b_1x1/weights": np.zeros((1, 1, 3, 128), np.float32),
        "global_step": np.int64(3),
    }
    path = tmp_path / f"{name}.ckpt"
    write_checkpoint(path, net.variables | others, version)
    model = build(replace(random_bundle(name), weights=str(path)))
    expected = np.asarray(tf.nn.softmax(logits))
    assert np.ptp(expected) > 1e-2
    np.testing.assert_allclose(np.asarray(model(x, training=False)), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.long
def test_a_checkpoint_of_another_network_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    write_checkpoint(path, {"Other/weights": np.zeros(3, np.float32)}, 2)
    with pytest.raises(ConfigError, match="no tensor InceptionV4/Conv2d_1a_3x3/weights"):
        build(replace(random_bundle("inceptionv4"), weights=str(path)))
    (tmp_path / "junk.ckpt").write_bytes(b"junk")
    with pytest.raises(ConfigError, match="not a TensorFlow checkpoint"):
        build(replace(random_bundle("inceptionv4"), weights=str(tmp_path / "junk.ckpt")))


@pytest.mark.long
def test_a_torch_vgg16_says_what_torch_says(tmp_path: Path) -> None:
    reference = torch_vgg16()
    path = tmp_path / "vgg16.pth"
    torch.save(reference.state_dict(), path)
    pictures = np.random.default_rng(2).integers(0, 256, (2, 224, 224, 3), np.uint8)
    expected = torch_scores(reference, pictures)
    assert expected.max() > 0.02
    bundle = resolve(ModelSettings(name="vgg16-torch", weights=str(path)))
    assert (bundle.preprocessing.mode, bundle.preprocessing.crop) == ("torch", "center")
    found = np.asarray(build(bundle)(normalise(pictures, "torch"), training=False))
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-3)


class Evil:
    """What unpickling would run: it leaves a file behind."""

    trace = Path()

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Evil.trace,))


def test_a_torch_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    Evil.trace = tmp_path / "it-ran"
    path = tmp_path / "evil.pth"
    torch.save({"features.0.weight": Evil()}, path)
    with pytest.raises(ConfigError, match="refused, it holds more than tensors"):
        build(resolve(ModelSettings(name="vgg16-torch", weights=str(path))))
    assert not Evil.trace.exists()
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ConfigError, match="not a PyTorch file"):
        build(resolve(ModelSettings(name="vgg16-torch", weights=str(path))))


def test_a_state_dict_of_another_network_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"other.weight": torch.zeros(3)}, path)
    with pytest.raises(ConfigError, match=r"holds no tensor _conv_stem\.weight"):
        build(resolve(ModelSettings(name="efficientnet-lite0", weights=str(path))))
    with pytest.raises(ConfigError, match="can be imported for vgg16-torch and efficientnet-lite0 only"):
        build(resolve(ModelSettings(name="xception", weights=str(path))))


def test_an_archive_with_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, allow_pickle=True, **{"conv1/kernel": np.array([Evil()], dtype=object)})
    with pytest.raises(ConfigError, match="not an archive of plain arrays"):
        build(resolve(ModelSettings(name="squeezenet", weights=str(path))))


def test_an_archive_of_another_network_is_refused_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", allow_pickle=True, **{"other/kernel": np.zeros(3)})
    with pytest.raises(ConfigError, match=r"holds no tensor conv1/kernel; is it of another network"):
        build(replace(random_bundle("squeezenet"), weights=str(tmp_path / "other.npz")))


def test_arrays_of_another_shape_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, allow_pickle=True, **{"conv1/kernel": np.zeros((3, 3, 3, 64)), "conv1/bias": np.zeros(64)})
    with pytest.raises(ConfigError, match=r"conv1 is \(3, 3, 3, 64\), \(64,\) there"):
        build(resolve(ModelSettings(name="squeezenet", weights=str(path))))
