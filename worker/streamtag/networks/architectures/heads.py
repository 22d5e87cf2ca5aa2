"""What a head for one's own classes looks at: features of a backbone in some form, and what its classifier says."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from streamtag.core.bundle import HeadInputs

EXPONENT = 0.25
FLOOR = 1e-3  # probabilities below it are as good as none
TINY = 1e-6


class PowerNormalise(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Each number's root with its sign, then all to unit length (Perronnin et al. 2010): a few large ones rule no more.

    The fourth root, since it did better than the square root on few pictures (worker/README.md).
    """

    def call(self, features: Any) -> Any:
        roots = ops.sign(features) * ops.power(ops.maximum(ops.abs(features), TINY**4), EXPONENT)
        return roots / ops.maximum(ops.sqrt(ops.sum(roots * roots, axis=-1, keepdims=True)), TINY)


class LogProbabilities(keras.layers.Layer):  # type: ignore[misc]  # as above
    """Logarithms of probabilities, from 0 for those at the floor or below to 1 for what is certain."""

    def call(self, probabilities: Any) -> Any:
        return 1.0 - ops.log(ops.maximum(probabilities, FLOOR)) / float(np.log(FLOOR))


def power_normalise(features: np.ndarray) -> np.ndarray:
    """``PowerNormalise`` of (n, f) float32, as numpy does it."""
    roots = np.sign(features) * np.maximum(np.abs(features), TINY**4) ** EXPONENT
    length = np.sqrt((roots * roots).sum(axis=-1, keepdims=True))
    normalised: np.ndarray = (roots / np.maximum(length, TINY)).astype(np.float32)
    return normalised


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """``LogProbabilities`` of (n, c) float32, as numpy does it."""
    logarithms: np.ndarray = 1.0 - np.log(np.maximum(probabilities, FLOOR)) / np.log(FLOOR)
    return logarithms.astype(np.float32)


def head_inputs(form: HeadInputs, features: Any, probabilities: Any = None, groups: int = 0) -> Any:
    """The tensor that the dense layers of a head take.

    Args:
        features: (N, f) of the backbone.
        probabilities: (N, c) of its own classifier, where the form wants them.
        groups: unions of its classes, whose sums stand beside them. The layer of that name holds their members.
    """
    if form == "features":
        return features
    powers = PowerNormalise(name="head_power")(features)
    if form == "power":
        return powers
    said = [probabilities]
    if groups:
        said.append(keras.layers.Dense(groups, use_bias=False, name="head_groups")(probabilities))
    together = keras.layers.Concatenate(name="head_said")(said) if groups else probabilities
    return keras.layers.Concatenate(name="head_inputs")([powers, LogProbabilities(name="head_logs")(together)])
