"""The architectures: their sizes, folding, and every engine of the same mind about them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamtag.networks.architectures.inception_v4 import inception_v4
from streamtag.networks.building import build
from streamtag.networks.engines.folding import fold_batch_norm
from streamtag.networks.specs import SPECS

from tests.reference.engine_scores import randomise
from tests.reference.slim_inception_v4 import PARAMETERS
from tests.support.bundles import random_bundle

ROOT = Path(__file__).parents[2]


def test_inception_v4_has_the_parameters_of_the_paper_block_by_block() -> None:
    model = inception_v4()
    counted = dict.fromkeys(PARAMETERS, 0)
    for layer in model.layers:
        block = layer.name[: len("Mixed_5b")] if layer.name.startswith("Mixed_") else layer.name.split("_")[0]
        counted[block if block in counted else "stem"] += layer.count_params()
    assert counted == PARAMETERS
    assert model.count_params() == sum(PARAMETERS.values()) == SPECS["inceptionv4"].parameters
    shapes = [model.get_layer(name).output.shape[1:] for name in ("Mixed_5a", "Mixed_5e", "Mixed_6h", "Mixed_7d")]
    assert shapes == [(35, 35, 384), (35, 35, 384), (17, 17, 1024), (8, 8, 1536)]


def test_squeezenet_has_the_parameters_of_the_paper() -> None:
    """1,248,424 is the sum of table 1's column before compression."""
    model = build(random_bundle("squeezenet"))
    assert model.count_params() == SPECS["squeezenet"].parameters == 1_248_424
    assert [model.get_layer(name).output.shape[1] for name in ("conv1", "fire2_concat", "fire9_concat", "conv10")] == [
        111, 55, 13, 15,
    ]  # fmt: skip


def test_efficientnet_lite0_has_the_parameters_of_the_paper_block_by_block() -> None:
    """Counted from table 1 of the paper, without squeeze-and-excitation; a normalisation has four numbers a channel."""
    model = build(random_bundle("efficientnet-lite0"))
    expected, inputs, number = 9 * 3 * 32 + 4 * 32, 32, 0
    stages = [(3, 1, 16, 1), (3, 6, 24, 2), (5, 6, 40, 2), (3, 6, 80, 3), (5, 6, 112, 3), (5, 6, 192, 4)]
    for kernel, expansion, outputs, blocks in [*stages, (3, 6, 320, 1)]:
        for _ in range(blocks):
            wide = inputs * expansion
            block = (inputs * wide + 4 * wide) * (expansion > 1) + kernel**2 * wide + 4 * wide
            block += wide * outputs + 4 * outputs
            layers = [layer for layer in model.layers if layer.name.startswith(f"block{number}_")]
            assert sum(layer.count_params() for layer in layers) == block, f"block {number}"
            expected, inputs, number = expected + block, outputs, number + 1
    expected += 320 * 1280 + 4 * 1280 + 1280 * 1000 + 1000
    assert number == 16
    assert model.count_params() == expected == SPECS["efficientnet-lite0"].parameters == 4_694_024
    ends = [model.get_layer(f"block{number}_project_norm").output.shape[1] for number in (0, 2, 4, 7, 10, 14, 15)]
    assert ends == [112, 56, 28, 14, 14, 7, 7]


@pytest.mark.parametrize(
    "name", ["efficientnet-lite0", "mobilenetv2", "squeezenet", pytest.param("xception", marks=pytest.mark.long)]
)
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
    """Eleven networks, four engines, and Keras's own call without folding."""
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
