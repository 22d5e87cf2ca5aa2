"""Normalisation inside the graph: uint8 crosses to the device, the arithmetic is compiled with the network.

Modes as in ``keras.applications.imagenet_utils.preprocess_input``: ``tf`` is x/127.5 - 1, ``caffe`` is BGR minus the
mean, ``torch`` is (x/255 - mean)/std. ``caffe-rounded`` is ``caffe`` with the rounded mean of Caffe's own models.
``lite`` is (x - 127)/128, as EfficientNet-Lite was trained (``efficientnet_lite_builder.py`` of its authors).
"""

from __future__ import annotations

import keras
from keras import ops

from streamtag.core.bundle import Mode
from streamtag.errors import ConfigError

_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
_CAFFE_ROUNDED_MEAN_BGR = (104.0, 117.0, 123.0)
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_STD = (0.229, 0.224, 0.225)


def normalise(pictures: keras.KerasTensor, mode: Mode) -> keras.KerasTensor:
    """(N, H, W, 3) uint8 RGB to what the network was trained on, float32.

    Raises:
        ConfigError: unknown mode.
    """
    x = ops.cast(pictures, "float32")
    if mode == "tf":
        return x / 127.5 - 1.0
    if mode == "lite":
        return (x - 127.0) / 128.0
    if mode in ("caffe", "caffe-rounded"):
        mean = _CAFFE_MEAN_BGR if mode == "caffe" else _CAFFE_ROUNDED_MEAN_BGR
        return ops.flip(x, axis=-1) - ops.convert_to_tensor(mean, "float32")
    if mode == "torch":
        return (x / 255.0 - ops.convert_to_tensor(_TORCH_MEAN, "float32")) / ops.convert_to_tensor(
            _TORCH_STD, "float32"
        )
    raise ConfigError(f"unknown normalisation {mode!r}; known: tf, caffe, caffe-rounded, torch, lite")
