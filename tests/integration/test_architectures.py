"""The architectures: their sizes, and what folding leaves. What engines make of them: ``test_every_network_*.py``."""

from __future__ import annotations

import numpy as np
import pytest
from streamtag.networks.architectures.inception_v4 import inception_v4
from streamtag.networks.building import build
from streamtag.networks.engines.folding import fold_batch_norm
from streamtag.networks.specs import SPECS

from tests.reference.engine_scores import randomise
from tests.reference.slim_inception_v4 import PARAMETERS
from tests.support.bundles import random_bundle


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
def test_the_parameters_of_the_table_are_those_of_the_networks() -> None:
    for name in ("inceptionv3", "xception", "resnet50", "mobilenetv2", "inceptionresnetv2"):
        assert build(random_bundle(name)).count_params() == SPECS[name].parameters
