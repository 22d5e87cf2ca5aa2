"""Models inside models: opened up, so that batch normalisation folds across their borders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from streamtag.networks.engines.flattening import flatten
from streamtag.networks.engines.folding import fold_batch_norm


def _backbone(name: str) -> keras.Model:
    """A residual block with two normalisations, whose statistics are its own."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name=f"{name}_conv")(inputs)
    x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
    y = keras.layers.ReLU(name=f"{name}_relu")(x)
    y = keras.layers.Conv2D(4, 1, name=f"{name}_conv_2")(y)
    y = keras.layers.BatchNormalization(name=f"{name}_norm_2")(y)
    model = keras.Model(inputs, keras.layers.add([x, y]), name=name)
    generator = np.random.default_rng(1)
    for layer in model.layers:
        layer.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in layer.get_weights()])
    return model


def _head(x: Any) -> Any:
    return keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))


def functional() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, _head(_backbone("net")(keras.layers.Rescaling(0.1)(inputs), training=False)))


def sequential() -> keras.Model:
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, activation="softmax")]
    return keras.Sequential([keras.Input((8, 8, 3)), _backbone("net"), keras.Sequential(layers)])


def nested_twice() -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    middle = keras.Model(inputs, keras.layers.Dropout(0.5)(_backbone("net")(inputs)))
    outer = keras.Input((8, 8, 3))
    return keras.Model(outer, _head(middle(outer)))


def across_the_border() -> keras.Model:
    """The normalisation is outside, behind the convolution that ends the nested model."""
    inner = keras.Input((8, 8, 3))
    nested = keras.Model(inner, keras.layers.Conv2D(4, 3, name="last")(inner))
    inputs = keras.Input((8, 8, 3))
    norm = keras.layers.BatchNormalization()
    model = keras.Model(inputs, _head(norm(nested(inputs))))
    norm.set_weights([np.full(weight.shape, 0.7) for weight in norm.get_weights()])
    return model


@pytest.mark.parametrize("make", [functional, sequential, nested_twice, across_the_border])
def test_what_is_nested_folds_whole_and_says_the_same(make: Any) -> None:
    model = make()
    before = [layer.name for layer in model.layers]
    folded = fold_batch_norm(model)
    assert not [layer for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization | keras.Model)]
    pictures = np.random.default_rng(2).normal(size=(3, 8, 8, 3)).astype(np.float32)
    expected = np.asarray(model(pictures, training=False))
    np.testing.assert_allclose(np.asarray(folded(pictures)), expected, atol=1e-5)
    assert [layer.name for layer in model.layers] == before
    np.testing.assert_array_equal(np.asarray(model(pictures, training=False)), expected)


def test_a_model_that_is_called_twice_and_one_whose_names_clash_stay_right() -> None:
    inputs = keras.Input((8, 8, 3))
    shared = _backbone("net")
    twice = keras.Model(inputs, _head(keras.layers.add([shared(inputs), shared(keras.layers.Rescaling(2.0)(inputs))])))
    one, other = _backbone("one"), _backbone("other")
    for layer, same in zip(one.layers, other.layers, strict=True):
        layer.name = same.name
    inputs = keras.Input((8, 8, 3))
    clash = keras.Model(inputs, _head(keras.layers.add([one(inputs), other(inputs)])))
    pictures = np.random.default_rng(2).normal(size=(3, 8, 8, 3)).astype(np.float32)
    assert flatten(clash) is clash
    for model in (twice, clash):
        expected = np.asarray(model(pictures, training=False))
        np.testing.assert_allclose(np.asarray(fold_batch_norm(model)(pictures)), expected, atol=1e-5)


@pytest.mark.long
def test_a_published_network_of_transfer_learning_folds_whole(shared_data: Path) -> None:
    """40 normalisations of 40, in an Xception inside another model."""
    model = keras.saving.load_model(shared_data / "weights" / "kitchenware_xception.keras", compile=False)
    folded = fold_batch_norm(model)
    assert not [layer for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization | keras.Model)]
    pictures = np.random.default_rng(2).normal(size=(1, 150, 150, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(folded(pictures)), np.asarray(model(pictures, training=False)), atol=1e-5)
