"""SqueezeNet 1.0.

Source of the architecture: Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
<0.5MB model size" (arXiv:1602.07360), table 1 and figure 2, left. As in the authors' Caffe definition the last
convolution pads by one and is rectified before the average.
"""

from __future__ import annotations

import keras
from keras import layers

# Squeeze and expand channels of fire2 to fire9; a pool comes before fire5 and fire9.
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


def squeezenet(size: int = 227, classes: int = 1000, top: bool = True) -> keras.Model:
    """SqueezeNet 1.0 (Iandola et al. 2016, arXiv:1602.07360).

    Args:
        size: height and width of the input, pixels.
        classes: outputs of the softmax.
        top: False for the features of fire9, averaged over the picture: (N, 512).

    Returns:
        A model from (N, size, size, 3) float32, BGR minus (104, 117, 123), to (N, classes) probabilities.
    """
    inputs = keras.Input((size, size, 3), name="picture")
    x = layers.Conv2D(96, 7, strides=2, activation="relu", name="conv1")(inputs)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for number, (squeeze, expand) in enumerate(_FIRES, start=2):
        x = _fire(x, squeeze, expand, f"fire{number}")
        if number in (4, 8):
            x = layers.MaxPooling2D(3, strides=2, name=f"pool{number}")(x)
    if not top:
        return keras.Model(inputs, layers.GlobalAveragePooling2D(name="features")(x), name="squeezenet_features")
    x = layers.Dropout(0.5, name="dropout")(x)
    x = layers.ZeroPadding2D(1, name="conv10_pad")(x)
    x = layers.Conv2D(classes, 1, activation="relu", name="conv10")(x)
    x = layers.GlobalAveragePooling2D(name="pool10")(x)
    return keras.Model(inputs, layers.Softmax(name="predictions")(x), name="squeezenet")


def _fire(x: keras.KerasTensor, squeeze: int, expand: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(squeeze, 1, activation="relu", name=f"{name}_squeeze")(x)
    narrow = layers.Conv2D(expand, 1, activation="relu", name=f"{name}_expand1x1")(x)
    wide = layers.Conv2D(expand, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(x)
    return layers.Concatenate(name=f"{name}_concat")([narrow, wide])
