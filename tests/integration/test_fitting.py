"""Fitting a head, and which layers fine-tuning trains."""

from __future__ import annotations

import os

import keras
import numpy as np
import pytest
from streamtag.tools.training.features import Examples
from streamtag.tools.training.fitting import History, Recipe, fit_head, last_blocks


def test_what_libraries_say_while_a_head_is_fitted_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    """TensorFlow wrote a line of its own, of no use to anybody, between the bars."""
    random = np.random.default_rng(0)
    side = Examples(random.normal(size=(12, 2, 4)).astype(np.float32), np.arange(12) % 2)

    def as_a_library(*_: object) -> None:
        os.write(2, b"E0000 NodeDef mentions")

    fit_head(Recipe((), epochs=1), 2, side, side, History(), as_a_library, [])
    assert "NodeDef" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("MobileNetV2", "block_16_"),
        ("VGG16", "block5_"),
        pytest.param("ResNet50", "conv5_block3_", marks=pytest.mark.long),
        pytest.param("Xception", "block14_", marks=pytest.mark.long),
    ],
)
def test_blocks_are_those_of_the_papers(name: str, last: str) -> None:
    backbone = getattr(keras.applications, name)(weights=None, include_top=False, pooling="avg")
    one = [layer for layer in last_blocks(backbone, 1) if backbone.get_layer(layer).weights]
    assert one
    assert all(layer.startswith((last, "Conv_1")) for layer in one), one
    two, everything = last_blocks(backbone, 2), last_blocks(backbone, 1000)
    assert len(one) < len(two) < len(everything) == len(backbone.layers)
    assert last_blocks(backbone, 0) == []
