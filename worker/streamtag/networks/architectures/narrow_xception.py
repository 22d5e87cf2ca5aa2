"""The demo network: Xception's entry, one middle block and exit at a fraction of the width.

Source of the architecture: Chollet 2017, "Xception: Deep Learning with Depthwise Separable Convolutions"
(arXiv:1610.02357), figure 5: residual blocks of separable convolutions with strided 1x1 shortcuts.
"""

from __future__ import annotations

import keras
from keras import layers


def narrow_xception(size: int = 96, classes: int = 7, width: int = 24, top: bool = True) -> keras.Model:
    """A small network in the manner of Xception, for drawn shapes.

    Args:
        size: height and width of the input, pixels.
        classes: outputs of the softmax.
        width: channels of the first block; the last has 8 times as many.
        top: False for the features alone: (N, 8 * width).

    Returns:
        A model from (N, size, size, 3) float32 in -1..1 to (N, classes) probabilities.
    """
    inputs = keras.Input((size, size, 3), name="picture")
    x = _convolved(inputs, width, 2, "stem_1")
    x = _convolved(x, width, 1, "stem_2")
    for stage, channels in enumerate((2 * width, 4 * width, 6 * width), start=1):
        x = _down(x, channels, f"entry_{stage}")
    x = layers.add([x, _separable(_separable(x, 6 * width, "middle_1"), 6 * width, "middle_2")], name="middle_add")
    x = _separable(x, 8 * width, "exit")
    x = layers.ReLU(name="exit_relu")(x)
    # The largest response, not the average: the shape covers a part of the picture only.
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    if not top:
        return keras.Model(inputs, x, name="narrow_xception_features")
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(
        inputs, layers.Dense(classes, activation="softmax", name="predictions")(x), name="narrow_xception"
    )


def _convolved(x: keras.KerasTensor, channels: int, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _separable(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    x = layers.ReLU(name=f"{name}_pre")(x)
    x = layers.SeparableConv2D(channels, 3, padding="same", use_bias=False, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def _down(x: keras.KerasTensor, channels: int, name: str) -> keras.KerasTensor:
    shortcut = layers.Conv2D(channels, 1, strides=2, padding="same", use_bias=False, name=f"{name}_shortcut")(x)
    shortcut = layers.BatchNormalization(name=f"{name}_shortcut_bn")(shortcut)
    x = _separable(_separable(x, channels, f"{name}_a"), channels, f"{name}_b")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    return layers.add([x, shortcut], name=f"{name}_add")
