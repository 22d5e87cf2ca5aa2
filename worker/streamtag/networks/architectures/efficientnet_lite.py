"""EfficientNet-Lite0.

Source of the architecture: Tan, Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"
(arXiv:1905.11946), table 1, with the changes of the authors' ``efficientnet/lite`` for devices without floating point
(github.com/tensorflow/tpu, README and ``efficientnet_lite_builder.py``): no squeeze-and-excitation, ReLU6 in place of
swish, and a stem and a last convolution that do not scale.
"""

from __future__ import annotations

import keras
from keras import layers

# Kernel, stride of the first block, expansion, output channels, blocks.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_STEM_CHANNELS, _LAST_CHANNELS = 32, 1280
_EPSILON, _MOMENTUM = 1e-3, 0.99
_DROPOUT = 0.2


def efficientnet_lite0(size: int = 224, classes: int = 1000, top: bool = True) -> keras.Model:
    """Build the network with random weights.

    Args:
        size: height and width of the input, pixels.
        classes: outputs of the softmax.
        top: False for the features, averaged over the picture: (N, 1280).

    Returns:
        A model from (N, size, size, 3) float32, RGB minus 127 divided by 128, to (N, classes) probabilities.
    """
    inputs = keras.Input((size, size, 3), name="picture")
    x = _convolution(inputs, _STEM_CHANNELS, 3, 2, "stem")
    number = 0
    for kernel, stride, expansion, channels, blocks in _STAGES:
        for place in range(blocks):
            x = _block(x, kernel, stride if place == 0 else 1, expansion, channels, f"block{number}")
            number += 1
    x = _convolution(x, _LAST_CHANNELS, 1, 1, "last")
    x = layers.GlobalAveragePooling2D(name="features")(x)
    if not top:
        return keras.Model(inputs, x, name="efficientnet_lite0_features")
    x = layers.Dropout(_DROPOUT, name="dropout")(x)
    x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, x, name="efficientnet_lite0")


def _block(
    x: keras.KerasTensor, kernel: int, stride: int, expansion: int, channels: int, name: str
) -> keras.KerasTensor:
    """MBConv: expand, filter each channel by itself, project; with a shortcut where the shape stays."""
    entered, channels_in = x, x.shape[-1]
    if expansion > 1:
        x = _convolution(x, expansion * channels_in, 1, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = _normalised(x, f"{name}_depthwise")
    x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(x)
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _normalised(x, f"{name}_project")
    if stride == 1 and channels == channels_in:
        return layers.Add(name=f"{name}_add")([x, entered])
    return x


def _convolution(x: keras.KerasTensor, channels: int, kernel: int, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(_normalised(x, name))


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=f"{name}_norm")(x)
