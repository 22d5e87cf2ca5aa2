"""Inception-v4.

Source of the architecture: Szegedy, Ioffe, Vanhoucke, Alemi 2016, "Inception-v4, Inception-ResNet and the Impact of
Residual Connections on Learning" (arXiv:1602.07261), figures 3 to 9. Layers have the names of the variables in the
TF-slim checkpoint of the authors, with ``_`` for ``/``, so that its tensors find their places by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras
from keras import layers


class _Convolution(NamedTuple):
    """A convolution with its normalisation and ReLU. ``V`` in the paper's figures is ``valid``."""

    name: str
    channels: int
    kernel: tuple[int, int]
    strides: int = 1
    padding: str = "same"


_C = _Convolution
_Branch = Sequence[_Convolution]

# Figure 4. The fourth branch is an average pool and a convolution.
_INCEPTION_A: tuple[_Branch, ...] = (
    (_C("0a_1x1", 96, (1, 1)),),
    (_C("0a_1x1", 64, (1, 1)), _C("0b_3x3", 96, (3, 3))),
    (_C("0a_1x1", 64, (1, 1)), _C("0b_3x3", 96, (3, 3)), _C("0c_3x3", 96, (3, 3))),
    (_C("0b_1x1", 96, (1, 1)),),
)
# Figure 5.
_INCEPTION_B: tuple[_Branch, ...] = (
    (_C("0a_1x1", 384, (1, 1)),),
    (_C("0a_1x1", 192, (1, 1)), _C("0b_1x7", 224, (1, 7)), _C("0c_7x1", 256, (7, 1))),
    (
        _C("0a_1x1", 192, (1, 1)),
        _C("0b_7x1", 192, (7, 1)),
        _C("0c_1x7", 224, (1, 7)),
        _C("0d_7x1", 224, (7, 1)),
        _C("0e_1x7", 256, (1, 7)),
    ),
    (_C("0b_1x1", 128, (1, 1)),),
)
# Figure 7 with k, l, m, n of table 1: 192, 224, 256, 384.
_REDUCTION_A: tuple[_Branch, ...] = (
    (_C("1a_3x3", 384, (3, 3), 2, "valid"),),
    (_C("0a_1x1", 192, (1, 1)), _C("0b_3x3", 224, (3, 3)), _C("1a_3x3", 256, (3, 3), 2, "valid")),
)
# Figure 8.
_REDUCTION_B: tuple[_Branch, ...] = (
    (_C("0a_1x1", 192, (1, 1)), _C("1a_3x3", 192, (3, 3), 2, "valid")),
    (
        _C("0a_1x1", 256, (1, 1)),
        _C("0b_1x7", 256, (1, 7)),
        _C("0c_7x1", 320, (7, 1)),
        _C("1a_3x3", 320, (3, 3), 2, "valid"),
    ),
)


def inception_v4(size: int = 299, classes: int = 1000, top: bool = True) -> keras.Model:
    """Inception-v4 (Szegedy et al. 2016, arXiv:1602.07261).

    Args:
        size: height and width of the input, pixels.
        classes: outputs of the softmax.
        top: False for the features, averaged over the picture: (N, 1536).

    Returns:
        A model from (N, size, size, 3) float32 in -1..1 to (N, classes) probabilities.
    """
    inputs = keras.Input((size, size, 3), name="picture")
    x = _stem(inputs)
    for letter in "bcde":
        x = _block(x, f"Mixed_5{letter}", _INCEPTION_A, pool="average")
    x = _block(x, "Mixed_6a", _REDUCTION_A, pool="max")
    for letter in "bcdefgh":
        x = _block(x, f"Mixed_6{letter}", _INCEPTION_B, pool="average")
    x = _block(x, "Mixed_7a", _REDUCTION_B, pool="max")
    for letter in "bcd":
        x = _inception_c(x, f"Mixed_7{letter}")
    x = layers.GlobalAveragePooling2D(name="features")(x)
    if not top:
        return keras.Model(inputs, x, name="inception_v4_features")
    x = layers.Dropout(0.2, name="dropout")(x)
    x = layers.Dense(classes, activation="softmax", name="Logits_Logits")(x)
    return keras.Model(inputs, x, name="inception_v4")


def _convolved(x: keras.KerasTensor, scope: str, spec: _Convolution) -> keras.KerasTensor:
    name = f"{scope}Conv2d_{spec.name}"
    x = layers.Conv2D(
        spec.channels, spec.kernel, strides=spec.strides, padding=spec.padding, use_bias=False, name=name
    )(x)
    # As in the checkpoint: the ReLU after it makes a scale of its own superfluous.
    x = layers.BatchNormalization(scale=False, epsilon=1e-3, momentum=0.9997, name=f"{name}_BatchNorm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _chained(x: keras.KerasTensor, scope: str, branch: _Branch) -> keras.KerasTensor:
    for spec in branch:
        x = _convolved(x, scope, spec)
    return x


def _stem(x: keras.KerasTensor) -> keras.KerasTensor:
    """Figure 3: 299 x 299 x 3 to 35 x 35 x 384."""
    x = _convolved(x, "", _C("1a_3x3", 32, (3, 3), 2, "valid"))
    x = _convolved(x, "", _C("2a_3x3", 32, (3, 3), 1, "valid"))
    x = _convolved(x, "", _C("2b_3x3", 64, (3, 3)))
    pooled = layers.MaxPooling2D(3, strides=2, name="Mixed_3a_Branch_0_MaxPool_0a_3x3")(x)
    x = _convolved(x, "Mixed_3a_Branch_1_", _C("0a_3x3", 96, (3, 3), 2, "valid"))
    x = layers.Concatenate(name="Mixed_3a")([pooled, x])
    last = _C("1a_3x3", 96, (3, 3), 1, "valid")
    short = _chained(x, "Mixed_4a_Branch_0_", (_C("0a_1x1", 64, (1, 1)), last))
    long = (_C("0a_1x1", 64, (1, 1)), _C("0b_1x7", 64, (1, 7)), _C("0c_7x1", 64, (7, 1)), last)
    x = layers.Concatenate(name="Mixed_4a")([short, _chained(x, "Mixed_4a_Branch_1_", long)])
    strided = _convolved(x, "Mixed_5a_Branch_0_", _C("1a_3x3", 192, (3, 3), 2, "valid"))
    pooled = layers.MaxPooling2D(3, strides=2, name="Mixed_5a_Branch_1_MaxPool_1a_3x3")(x)
    return layers.Concatenate(name="Mixed_5a")([strided, pooled])


def _block(x: keras.KerasTensor, scope: str, branches: Sequence[_Branch], pool: str) -> keras.KerasTensor:
    """An inception block, whose last branch begins with an average pool, or a reduction with a branch of max pool."""
    outputs = []
    for number, branch in enumerate(branches):
        inputs = x
        if pool == "average" and number == len(branches) - 1:
            inputs = _averaged(x, f"{scope}_Branch_{number}")
        outputs.append(_chained(inputs, f"{scope}_Branch_{number}_", branch))
    if pool == "max":
        outputs.append(layers.MaxPooling2D(3, strides=2, name=f"{scope}_Branch_{len(branches)}_MaxPool_1a_3x3")(x))
    return layers.Concatenate(name=scope)(outputs)


def _averaged(x: keras.KerasTensor, scope: str) -> keras.KerasTensor:
    return layers.AveragePooling2D(3, strides=1, padding="same", name=f"{scope}_AvgPool_0a_3x3")(x)


def _inception_c(x: keras.KerasTensor, scope: str) -> keras.KerasTensor:
    """Figure 6: two of its branches fork at their ends."""
    first = _convolved(x, f"{scope}_Branch_0_", _C("0a_1x1", 256, (1, 1)))
    second = _convolved(x, f"{scope}_Branch_1_", _C("0a_1x1", 384, (1, 1)))
    forks = [
        _convolved(second, f"{scope}_Branch_1_", spec)
        for spec in (_C("0b_1x3", 256, (1, 3)), _C("0c_3x1", 256, (3, 1)))
    ]
    chain = (_C("0a_1x1", 384, (1, 1)), _C("0b_3x1", 448, (3, 1)), _C("0c_1x3", 512, (1, 3)))
    third = _chained(x, f"{scope}_Branch_2_", chain)
    forks += [
        _convolved(third, f"{scope}_Branch_2_", spec) for spec in (_C("0d_1x3", 256, (1, 3)), _C("0e_3x1", 256, (3, 1)))
    ]
    fourth = _convolved(_averaged(x, f"{scope}_Branch_3"), f"{scope}_Branch_3_", _C("0b_1x1", 256, (1, 1)))
    return layers.Concatenate(name=scope)([first, *forks, fourth])
