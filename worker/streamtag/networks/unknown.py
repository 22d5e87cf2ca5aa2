"""The last output of a network that may say of a picture that it is none of its classes. Imports Keras.

It is one more class, part of the network: every engine serves it, and what comes after takes it for a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from streamtag.core.bundle import Unknown, UnknownBy
from streamtag.errors import ConfigError, in_words
from streamtag.networks.architectures.heads import EXPONENT, TINY
from streamtag.networks.engines.flattening import flatten

_PASSES = ("Activation", "Softmax", "Dropout", "Identity")


@dataclass(frozen=True, slots=True)
class Classifier:
    """The dense layer that tells classes from features, and the features."""

    features: Any  # tensor (N, f)
    kernel: np.ndarray  # (f, classes)
    bias: np.ndarray  # (classes,)


class NoneOfThese(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """(N, classes) probabilities, with the features behind them, to (N, classes + 1), the last that it is none.

    Args:
        by: what is compared with the threshold: the best probability, the free energy of the logits (Liu et al. 2020,
            arXiv:2010.03759) or the distance to the nearest class mean, each the larger the surer.
        width: over how much of it the output goes from 0.27 to 0.73.
        means: of classes, rows of the weights of ``distance``.
    """

    def __init__(self, by: UnknownBy, threshold: float, width: float, means: int = 0, **named: Any) -> None:
        super().__init__(**named)
        self.by, self.threshold, self.width, self.means = by, threshold, width, means

    def build(self, shapes: list[tuple[int, ...]]) -> None:
        if self.by == "energy":
            self.table = self.add_weight(shape=(shapes[1][-1], shapes[0][-1]), trainable=False, name="kernel")
            self.offset = self.add_weight(shape=(shapes[0][-1],), trainable=False, name="bias")
        elif self.by == "distance":
            self.table = self.add_weight(shape=(shapes[1][-1], self.means), trainable=False, name="means")
            self.offset = self.add_weight(shape=(self.means,), trainable=False, name="squares")

    def call(self, given: list[Any]) -> Any:
        probabilities = given[0]
        if self.by == "probability":
            score = ops.max(probabilities, axis=-1, keepdims=True)
        elif self.by == "energy":
            score = ops.logsumexp(ops.matmul(given[1], self.table) + self.offset, axis=-1, keepdims=True)
        else:
            # Squared distances of vectors of unit length, the nearest counts.
            products = ops.matmul(_unit(given[1]), self.table)
            score = ops.max(2.0 * products - self.offset, axis=-1, keepdims=True) - 1.0
        unknown = ops.sigmoid((self.threshold - score) / self.width)
        return ops.concatenate([probabilities * (1.0 - unknown), unknown], axis=-1)

    def get_config(self) -> dict[str, Any]:
        own: dict[str, Any] = {"by": self.by, "threshold": self.threshold, "width": self.width, "means": self.means}
        return {**super().get_config(), **own}


def _unit(features: Any) -> Any:
    """``power_normalise``, as a graph."""
    roots = ops.sign(features) * ops.power(ops.maximum(ops.abs(features), TINY**4), EXPONENT)
    return roots / ops.maximum(ops.sqrt(ops.sum(roots * roots, axis=-1, keepdims=True)), TINY)


def classifier_of(model: keras.Model) -> Classifier | None:
    """The dense layer at the end of a network, if it has one there. The model must not be nested."""
    tensor = model.outputs[0]
    while True:
        layer, place, _ = tensor._keras_history  # noqa: SLF001 - Keras has no other way from a tensor to its layer
        source = layer._inbound_nodes[place].input_tensors  # noqa: SLF001 - as above
        if isinstance(layer, keras.layers.Dense) and len(source[0].shape) == 2:
            weights = layer.get_weights()
            bias = weights[1] if len(weights) > 1 else np.zeros(layer.units, np.float32)
            return Classifier(source[0], weights[0], bias)
        if type(layer).__name__ not in _PASSES:
            return None
        tensor = source[0]


def with_features(model: keras.Model) -> tuple[keras.Model, Classifier | None]:
    """(N, classes + f): the probabilities and then the features, where the network ends with a dense layer."""
    model = flatten(model)
    found = classifier_of(model)
    if found is None:
        return model, None
    return keras.Model(model.inputs[0], keras.layers.Concatenate()([model.outputs[0], found.features])), found


def with_unknown(model: keras.Model, unknown: Unknown) -> keras.Model:
    """The network with one more output.

    Raises:
        ConfigError: the file of the class means is not there or of another network.
    """
    model = flatten(model)
    found = classifier_of(model)
    if unknown.by != "probability" and found is None:
        raise ConfigError(f"unknown by {unknown.by}: the network does not end with a dense layer")
    probabilities = model.outputs[0]
    features = probabilities if found is None else found.features
    means = _means(Path(unknown.file)) if unknown.by == "distance" else np.zeros((0, 1), np.float32)
    layer = NoneOfThese(unknown.by, unknown.threshold, unknown.width, len(means), name="none_of_these")
    outputs = layer([probabilities, features])
    if unknown.by == "energy" and found is not None:
        layer.set_weights([found.kernel, found.bias])
    elif unknown.by == "distance":
        if means.shape[1] != features.shape[-1]:
            raise ConfigError(f"{unknown.file}: {means.shape[1]} features of a network that has {features.shape[-1]}")
        layer.set_weights([means.T, (means * means).sum(axis=1)])
    return keras.Model(model.inputs[0], outputs)


def _means(path: Path) -> np.ndarray:
    """(m, f) float32 class means of features in ``power_normalise``'s form."""
    try:
        means = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ConfigError(f"{path}: class means cannot be read: {in_words(error)}") from None
    if means.ndim != 2 or not len(means) or means.dtype != np.float32 or not np.isfinite(means).all():
        raise ConfigError(f"{path}: not the class means of a network")
    return np.asarray(means)
