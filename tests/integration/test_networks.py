"""The architectures, and weights of other frameworks in them: the same answer as where they come from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.errors import ConfigError
from streamtag.networks.architectures.inception_v4 import inception_v4
from streamtag.networks.building import build, cut, features, with_head
from streamtag.networks.bundles import read_bundle, write_bundle
from streamtag.networks.engines.folding import fold_batch_norm
from streamtag.networks.registry import SPECS, resolve
from streamtag.settings import ModelSettings

from tests.reference.engine_scores import randomise

ROOT = Path(__file__).parents[2]


def random_bundle(name: str) -> Bundle:
    return resolve(ModelSettings(name=name, weights="random"))


# --- Architectures ---


def conv(kernel: int, inputs: int, outputs: int) -> int:
    """Parameters of a convolution without bias, and beta, mean and variance of its normalisation."""
    return kernel * inputs * outputs + 3 * outputs


# Parameters of each block of Inception-v4, counted by hand from the figures of the paper.
INCEPTION_V4 = {
    "stem": (  # figure 3
        conv(9, 3, 32) + conv(9, 32, 32) + conv(9, 32, 64)
        + conv(9, 64, 96)
        + conv(1, 160, 64) + conv(9, 64, 96)
        + conv(1, 160, 64) + conv(7, 64, 64) + conv(7, 64, 64) + conv(9, 64, 96)
        + conv(9, 192, 192)
    ),
    **dict.fromkeys(  # figure 4
        ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_5e"),
        conv(1, 384, 96)
        + conv(1, 384, 64) + conv(9, 64, 96)
        + conv(1, 384, 64) + conv(9, 64, 96) + conv(9, 96, 96)
        + conv(1, 384, 96),
    ),
    "Mixed_6a": conv(9, 384, 384) + conv(1, 384, 192) + conv(9, 192, 224) + conv(9, 224, 256),  # figure 7
    **dict.fromkeys(  # figure 5
        (f"Mixed_6{letter}" for letter in "bcdefgh"),
        conv(1, 1024, 384)
        + conv(1, 1024, 192) + conv(7, 192, 224) + conv(7, 224, 256)
        + conv(1, 1024, 192) + conv(7, 192, 192) + conv(7, 192, 224) + conv(7, 224, 224) + conv(7, 224, 256)
        + conv(1, 1024, 128),
    ),
    "Mixed_7a": (  # figure 8
        conv(1, 1024, 192) + conv(9, 192, 192)
        + conv(1, 1024, 256) + conv(7, 256, 256) + conv(7, 256, 320) + conv(9, 320, 320)
    ),
    **dict.fromkeys(  # figure 6
        ("Mixed_7b", "Mixed_7c", "Mixed_7d"),
        conv(1, 1536, 256)
        + conv(1, 1536, 384) + 2 * conv(3, 384, 256)
        + conv(1, 1536, 384) + conv(3, 384, 448) + conv(3, 448, 512) + 2 * conv(3, 512, 256)
        + conv(1, 1536, 256),
    ),
    "Logits": 1536 * 1000 + 1000,
}  # fmt: skip


def test_inception_v4_has_the_parameters_of_the_paper_block_by_block() -> None:
    model = inception_v4()
    counted = dict.fromkeys(INCEPTION_V4, 0)
    for layer in model.layers:
        block = layer.name[: len("Mixed_5b")] if layer.name.startswith("Mixed_") else layer.name.split("_")[0]
        counted[block if block in counted else "stem"] += layer.count_params()
    assert counted == INCEPTION_V4
    assert model.count_params() == sum(INCEPTION_V4.values()) == SPECS["inceptionv4"].parameters
    shapes = [model.get_layer(name).output.shape[1:] for name in ("Mixed_5a", "Mixed_5e", "Mixed_6h", "Mixed_7d")]
    assert shapes == [(35, 35, 384), (35, 35, 384), (17, 17, 1024), (8, 8, 1536)]


def test_squeezenet_has_the_parameters_of_the_paper() -> None:
    """1,248,424 is the sum of table 1's column before compression."""
    model = build(random_bundle("squeezenet"))
    assert model.count_params() == SPECS["squeezenet"].parameters == 1_248_424
    assert [model.get_layer(name).output.shape[1] for name in ("conv1", "fire2_concat", "fire9_concat", "conv10")] == [
        111, 55, 13, 15,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ("mobilenetv2", "squeezenet", pytest.param("xception", marks=pytest.mark.long)))
def test_folded_and_unfolded_agree(name: str) -> None:
    bundle = random_bundle(name)
    model = build(bundle)
    randomise(model)
    x = np.random.default_rng(0).normal(size=(2, *bundle.preprocessing.shape)).astype(np.float32)
    whole = np.asarray(model(x, training=False))
    np.testing.assert_allclose(np.asarray(fold_batch_norm(model)(x, training=False)), whole, atol=1e-4, rtol=1e-3)


@pytest.mark.long
@pytest.mark.timeout(2400)
def test_every_architecture_says_the_same_in_every_engine(tmp_path: Path) -> None:
    """Ten networks, four engines, and Keras's own call without folding."""
    networks = list(SPECS)
    found: dict[str, Any] = {}
    for engine in ("plain", "tf_graph", "tf_xla", "openvino", "jax"):
        out = tmp_path / f"{engine}.npz"
        command = [sys.executable, "-m", "tests.reference.engine_scores", engine, str(out), *networks]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
        assert ran.returncode == 0, ran.stderr[-2000:]
        found[engine] = np.load(out)
    for network in networks:
        expected = found["plain"][network]
        np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-4)
        assert 1e-3 < expected.max() < 0.999, f"{network} is flat or saturated: the comparison would prove nothing"
        for engine, answers in found.items():
            np.testing.assert_allclose(answers[network], expected, atol=2e-4, err_msg=f"{network} in {engine}")


@pytest.mark.long
def test_the_parameters_of_the_table_are_those_of_the_networks() -> None:
    for name in ("inceptionv3", "xception", "resnet50", "mobilenetv2", "inceptionresnetv2"):
        assert build(random_bundle(name)).count_params() == SPECS[name].parameters


# --- TF-slim ---


class Slim:
    """The authors' networks as slim writes them, in plain TensorFlow operations: makes each variable when it is met.

    What it has made is a checkpoint's content; what it computes is what our networks must say with that checkpoint.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.variables: dict[str, np.ndarray] = {}
        self._random = np.random.default_rng(7)

    def _variable(self, name: str, values: Callable[[], np.ndarray]) -> np.ndarray:
        assert name not in self.variables
        self.variables[name] = values().astype(np.float32)
        return self.variables[name]

    def conv(
        self, x: Any, name: str, outputs: int, kernel: tuple[int, int], stride: int = 1, padding: str = "SAME"
    ) -> Any:
        name = f"{self.scope}/{name}"
        shape = (*kernel, int(x.shape[-1]), outputs)
        scale = np.sqrt(2 / np.prod(shape[:3]))
        weights = self._variable(f"{name}/weights", lambda: self._random.normal(0, scale, shape))
        beta, mean = (
            self._variable(f"{name}/BatchNorm/{part}", lambda: self._random.normal(0, 0.1, outputs))
            for part in ("beta", "moving_mean")
        )
        variance = self._variable(f"{name}/BatchNorm/moving_variance", lambda: self._random.uniform(0.5, 1.5, outputs))
        x = tf.nn.conv2d(x, weights, stride, padding)
        return tf.nn.relu((x - mean) / np.sqrt(variance + 1e-3) + beta)

    def chain(self, x: Any, branch: str, *steps: tuple[Any, ...]) -> Any:
        for name, *rest in steps:
            x = self.conv(x, f"{branch}/{name}", *rest)
        return x

    def logits(self, x: Any, name: str, kernel_shape: tuple[int, ...]) -> np.ndarray:
        x = tf.reduce_mean(x, (1, 2))
        weights = self._variable(f"{self.scope}/{name}/weights", lambda: self._random.normal(0, 0.1, kernel_shape))
        biases = self._variable(f"{self.scope}/{name}/biases", lambda: self._random.normal(0, 1, 1001))
        return np.asarray(x @ weights.reshape(-1, 1001) + biases)


def slim_v3(x: Any, net: Slim) -> np.ndarray:
    """(N, 299, 299, 3) to (N, 1001) logits."""
    one, three, five = (1, 1), (3, 3), (5, 5)
    x = net.conv(x, "Conv2d_1a_3x3", 32, three, 2, "VALID")
    x = net.conv(x, "Conv2d_2a_3x3", 32, three, 1, "VALID")
    x = net.conv(x, "Conv2d_2b_3x3", 64, three)
    x = tf.nn.max_pool2d(x, 3, 2, "VALID")
    x = net.conv(x, "Conv2d_3b_1x1", 80, one, 1, "VALID")
    x = net.conv(x, "Conv2d_4a_3x3", 192, three, 1, "VALID")
    x = tf.nn.max_pool2d(x, 3, 2, "VALID")
    for block, pooled, first, second in (
        ("Mixed_5b", 32, "Conv2d_0a_1x1", "Conv2d_0b_5x5"),
        ("Mixed_5c", 64, "Conv2d_0b_1x1", "Conv_1_0c_5x5"),
        ("Mixed_5d", 64, "Conv2d_0a_1x1", "Conv2d_0b_5x5"),
    ):
        pool = tf.nn.avg_pool2d(x, 3, 1, "SAME")
        x = tf.concat(
            [
                net.chain(x, f"{block}/Branch_0", ("Conv2d_0a_1x1", 64, one)),
                net.chain(x, f"{block}/Branch_1", (first, 48, one), (second, 64, five)),
                net.chain(
                    x,
                    f"{block}/Branch_2",
                    ("Conv2d_0a_1x1", 64, one),
                    ("Conv2d_0b_3x3", 96, three),
                    ("Conv2d_0c_3x3", 96, three),
                ),
                net.chain(pool, f"{block}/Branch_3", ("Conv2d_0b_1x1", pooled, one)),
            ],
            3,
        )
    x = tf.concat(
        [
            net.chain(x, "Mixed_6a/Branch_0", ("Conv2d_1a_1x1", 384, three, 2, "VALID")),
            net.chain(
                x,
                "Mixed_6a/Branch_1",
                ("Conv2d_0a_1x1", 64, one),
                ("Conv2d_0b_3x3", 96, three),
                ("Conv2d_1a_1x1", 96, three, 2, "VALID"),
            ),
            tf.nn.max_pool2d(x, 3, 2, "VALID"),
        ],
        3,
    )
    for block, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        pool = tf.nn.avg_pool2d(x, 3, 1, "SAME")
        x = tf.concat(
            [
                net.chain(x, f"{block}/Branch_0", ("Conv2d_0a_1x1", 192, one)),
                net.chain(
                    x,
                    f"{block}/Branch_1",
                    ("Conv2d_0a_1x1", width, one),
                    ("Conv2d_0b_1x7", width, (1, 7)),
                    ("Conv2d_0c_7x1", 192, (7, 1)),
                ),
                net.chain(
                    x,
                    f"{block}/Branch_2",
                    ("Conv2d_0a_1x1", width, one),
                    ("Conv2d_0b_7x1", width, (7, 1)),
                    ("Conv2d_0c_1x7", width, (1, 7)),
                    ("Conv2d_0d_7x1", width, (7, 1)),
                    ("Conv2d_0e_1x7", 192, (1, 7)),
                ),
                net.chain(pool, f"{block}/Branch_3", ("Conv2d_0b_1x1", 192, one)),
            ],
            3,
        )
    x = tf.concat(
        [
            net.chain(x, "Mixed_7a/Branch_0", ("Conv2d_0a_1x1", 192, one), ("Conv2d_1a_3x3", 320, three, 2, "VALID")),
            net.chain(
                x,
                "Mixed_7a/Branch_1",
                ("Conv2d_0a_1x1", 192, one),
                ("Conv2d_0b_1x7", 192, (1, 7)),
                ("Conv2d_0c_7x1", 192, (7, 1)),
                ("Conv2d_1a_3x3", 192, three, 2, "VALID"),
            ),
            tf.nn.max_pool2d(x, 3, 2, "VALID"),
        ],
        3,
    )
    for block, name in (("Mixed_7b", "Conv2d_0b_3x1"), ("Mixed_7c", "Conv2d_0c_3x1")):
        pool = tf.nn.avg_pool2d(x, 3, 1, "SAME")
        second = net.chain(x, f"{block}/Branch_1", ("Conv2d_0a_1x1", 384, one))
        third = net.chain(x, f"{block}/Branch_2", ("Conv2d_0a_1x1", 448, one), ("Conv2d_0b_3x3", 384, three))
        x = tf.concat(
            [
                net.chain(x, f"{block}/Branch_0", ("Conv2d_0a_1x1", 320, one)),
                net.chain(second, f"{block}/Branch_1", ("Conv2d_0b_1x3", 384, (1, 3))),
                net.chain(second, f"{block}/Branch_1", (name, 384, (3, 1))),
                net.chain(third, f"{block}/Branch_2", ("Conv2d_0c_1x3", 384, (1, 3))),
                net.chain(third, f"{block}/Branch_2", ("Conv2d_0d_3x1", 384, (3, 1))),
                net.chain(pool, f"{block}/Branch_3", ("Conv2d_0b_1x1", 192, one)),
            ],
            3,
        )
    return net.logits(x, "Logits/Conv2d_1c_1x1", (1, 1, 2048, 1001))


def slim_v4(x: Any, net: Slim) -> np.ndarray:
    """(N, 299, 299, 3) to (N, 1001) logits."""
    one, three = (1, 1), (3, 3)
    x = net.conv(x, "Conv2d_1a_3x3", 32, three, 2, "VALID")
    x = net.conv(x, "Conv2d_2a_3x3", 32, three, 1, "VALID")
    x = net.conv(x, "Conv2d_2b_3x3", 64, three)
    x = tf.concat(
        [tf.nn.max_pool2d(x, 3, 2, "VALID"), net.conv(x, "Mixed_3a/Branch_1/Conv2d_0a_3x3", 96, three, 2, "VALID")], 3
    )
    last = ("Conv2d_1a_3x3", 96, three, 1, "VALID")
    x = tf.concat(
        [
            net.chain(x, "Mixed_4a/Branch_0", ("Conv2d_0a_1x1", 64, one), last),
            net.chain(
                x,
                "Mixed_4a/Branch_1",
                ("Conv2d_0a_1x1", 64, one),
                ("Conv2d_0b_1x7", 64, (1, 7)),
                ("Conv2d_0c_7x1", 64, (7, 1)),
                last,
            ),
        ],
        3,
    )
    x = tf.concat(
        [net.conv(x, "Mixed_5a/Branch_0/Conv2d_1a_3x3", 192, three, 2, "VALID"), tf.nn.max_pool2d(x, 3, 2, "VALID")], 3
    )
    for letter in "bcde":
        scope, pool = f"Mixed_5{letter}", tf.nn.avg_pool2d(x, 3, 1, "SAME")
        x = tf.concat(
            [
                net.chain(x, f"{scope}/Branch_0", ("Conv2d_0a_1x1", 96, one)),
                net.chain(x, f"{scope}/Branch_1", ("Conv2d_0a_1x1", 64, one), ("Conv2d_0b_3x3", 96, three)),
                net.chain(
                    x,
                    f"{scope}/Branch_2",
                    ("Conv2d_0a_1x1", 64, one),
                    ("Conv2d_0b_3x3", 96, three),
                    ("Conv2d_0c_3x3", 96, three),
                ),
                net.chain(pool, f"{scope}/Branch_3", ("Conv2d_0b_1x1", 96, one)),
            ],
            3,
        )
    x = tf.concat(
        [
            net.chain(x, "Mixed_6a/Branch_0", ("Conv2d_1a_3x3", 384, three, 2, "VALID")),
            net.chain(
                x,
                "Mixed_6a/Branch_1",
                ("Conv2d_0a_1x1", 192, one),
                ("Conv2d_0b_3x3", 224, three),
                ("Conv2d_1a_3x3", 256, three, 2, "VALID"),
            ),
            tf.nn.max_pool2d(x, 3, 2, "VALID"),
        ],
        3,
    )
    for letter in "bcdefgh":
        scope, pool = f"Mixed_6{letter}", tf.nn.avg_pool2d(x, 3, 1, "SAME")
        x = tf.concat(
            [
                net.chain(x, f"{scope}/Branch_0", ("Conv2d_0a_1x1", 384, one)),
                net.chain(
                    x,
                    f"{scope}/Branch_1",
                    ("Conv2d_0a_1x1", 192, one),
                    ("Conv2d_0b_1x7", 224, (1, 7)),
                    ("Conv2d_0c_7x1", 256, (7, 1)),
                ),
                net.chain(
                    x,
                    f"{scope}/Branch_2",
                    ("Conv2d_0a_1x1", 192, one),
                    ("Conv2d_0b_7x1", 192, (7, 1)),
                    ("Conv2d_0c_1x7", 224, (1, 7)),
                    ("Conv2d_0d_7x1", 224, (7, 1)),
                    ("Conv2d_0e_1x7", 256, (1, 7)),
                ),
                net.chain(pool, f"{scope}/Branch_3", ("Conv2d_0b_1x1", 128, one)),
            ],
            3,
        )
    x = tf.concat(
        [
            net.chain(x, "Mixed_7a/Branch_0", ("Conv2d_0a_1x1", 192, one), ("Conv2d_1a_3x3", 192, three, 2, "VALID")),
            net.chain(
                x,
                "Mixed_7a/Branch_1",
                ("Conv2d_0a_1x1", 256, one),
                ("Conv2d_0b_1x7", 256, (1, 7)),
                ("Conv2d_0c_7x1", 320, (7, 1)),
                ("Conv2d_1a_3x3", 320, three, 2, "VALID"),
            ),
            tf.nn.max_pool2d(x, 3, 2, "VALID"),
        ],
        3,
    )
    for letter in "bcd":
        scope, pool = f"Mixed_7{letter}", tf.nn.avg_pool2d(x, 3, 1, "SAME")
        second = net.chain(x, f"{scope}/Branch_1", ("Conv2d_0a_1x1", 384, one))
        third = net.chain(
            x,
            f"{scope}/Branch_2",
            ("Conv2d_0a_1x1", 384, one),
            ("Conv2d_0b_3x1", 448, (3, 1)),
            ("Conv2d_0c_1x3", 512, (1, 3)),
        )
        x = tf.concat(
            [
                net.chain(x, f"{scope}/Branch_0", ("Conv2d_0a_1x1", 256, one)),
                net.chain(second, f"{scope}/Branch_1", ("Conv2d_0b_1x3", 256, (1, 3))),
                net.chain(second, f"{scope}/Branch_1", ("Conv2d_0c_3x1", 256, (3, 1))),
                net.chain(third, f"{scope}/Branch_2", ("Conv2d_0d_1x3", 256, (1, 3))),
                net.chain(third, f"{scope}/Branch_2", ("Conv2d_0e_3x1", 256, (3, 1))),
                net.chain(pool, f"{scope}/Branch_3", ("Conv2d_0b_1x1", 256, one)),
            ],
            3,
        )
    return net.logits(x, "Logits/Logits", (1536, 1001))


def write_checkpoint(path: Path, variables: dict[str, np.ndarray], version: int) -> None:
    """``version`` 1 is the single file of the published checkpoints, 2 the three files of today."""
    names, values = list(variables), list(variables.values())
    if version == 1:
        tf.raw_ops.Save(filename=str(path), tensor_names=names, data=values)
    else:
        tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)


@pytest.mark.parametrize(
    ("name", "scope", "forward", "version"),
    [
        pytest.param("inceptionv3", "InceptionV3", slim_v3, 1, marks=pytest.mark.long),
        ("inceptionv4", "InceptionV4", slim_v4, 1),
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


def test_a_checkpoint_of_another_network_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    write_checkpoint(path, {"Other/weights": np.zeros(3, np.float32)}, 2)
    with pytest.raises(ConfigError, match="no tensor InceptionV4/Conv2d_1a_3x3/weights"):
        build(replace(random_bundle("inceptionv4"), weights=str(path)))
    (tmp_path / "junk.ckpt").write_bytes(b"junk")
    with pytest.raises(ConfigError, match="not a TensorFlow checkpoint"):
        build(replace(random_bundle("inceptionv4"), weights=str(tmp_path / "junk.ckpt")))


# --- PyTorch ---


def torch_vgg16() -> Any:
    """Configuration D as torchvision writes it: ``features``, ``avgpool``, ``classifier``."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2, 2))
    linear = [nn.Linear(512 * 7 * 7, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)]
    model = nn.Module()
    model.features = nn.Sequential(*layers)
    model.classifier = nn.Sequential(linear[0], nn.ReLU(), nn.Dropout(), linear[1], nn.ReLU(), nn.Dropout(), linear[2])
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.normal_(module.bias, 0, 0.05)
    return model.eval()


@pytest.mark.long
def test_a_torch_vgg16_says_what_torch_says(tmp_path: Path) -> None:
    import torch

    reference = torch_vgg16()
    path = tmp_path / "vgg16.pth"
    torch.save(reference.state_dict(), path)
    pictures = np.random.default_rng(2).integers(0, 256, (2, 224, 224, 3), np.uint8)
    with torch.no_grad():
        # As torchvision's transforms do it: to 0..1, minus mean, by standard deviation, channels first.
        x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
        x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
            :, None, None
        ]
        logits = reference.classifier(torch.flatten(reference.features(x), 1))
        expected = torch.softmax(logits, 1).numpy()
    assert expected.max() > 0.02
    from streamtag.networks.engines.normalising import normalise

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
    import torch

    Evil.trace = tmp_path / "it-ran"
    path = tmp_path / "evil.pth"
    torch.save({"features.0.weight": Evil()}, path)
    with pytest.raises(ConfigError, match="refused, it holds more than tensors"):
        build(resolve(ModelSettings(name="vgg16-torch", weights=str(path))))
    assert not Evil.trace.exists()
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ConfigError, match="not a PyTorch file"):
        build(resolve(ModelSettings(name="vgg16-torch", weights=str(path))))


# --- Arrays and bundles ---


def test_an_archive_with_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **{"conv1/kernel": np.array([Evil()], dtype=object)})
    with pytest.raises(ConfigError, match="not an archive of plain arrays"):
        build(resolve(ModelSettings(name="squeezenet", weights=str(path))))


def test_arrays_of_another_shape_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, **{"conv1/kernel": np.zeros((3, 3, 3, 64)), "conv1/bias": np.zeros(64)})
    with pytest.raises(ConfigError, match=r"conv1 is \(3, 3, 3, 64\), \(64,\) there"):
        build(resolve(ModelSettings(name="squeezenet", weights=str(path))))


@pytest.mark.parametrize(
    "name",
    (
        "mobilenetv2",
        "squeezenet",
        *(pytest.param(one, marks=pytest.mark.long) for one in ("inceptionv3", "inceptionv4")),
    ),
)
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
    trained = replace(bundle, name="mine", labels=("a", "b", "c"), arguments={"head": [10, 10]})
    write_bundle(tmp_path / "bundle", trained, weights)
    found = build(read_bundle(tmp_path / "bundle"))
    np.testing.assert_array_equal(np.asarray(found(x, training=False)), expected)


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


class Custom(keras.layers.Layer):
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
