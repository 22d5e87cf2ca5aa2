"""From a Keras model to OpenVINO's own. Imports TensorFlow, Keras and OpenVINO, whose telemetry is forbidden before."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import openvino as ov
import tensorflow as tf

from streamtag.core.bundle import Bundle
from streamtag.networks.drawn import blots
from streamtag.networks.engines.folding import fold_batch_norm
from streamtag.networks.engines.normalising import normalise
from streamtag.networks.engines.openvino_engine import CHECKED, Converted


def convert_for(model: keras.Model, bundle: Bundle, precision: str) -> Converted:
    """What OpenVINO's engine needs of a Keras model to compute in a precision."""
    if precision == "int8":
        return Converted(None, _best_classes(model, bundle))
    return Converted(convert(model, bundle), None)


def convert(model: keras.Model, bundle: Bundle) -> ov.Model:
    """A Keras model as OpenVINO's own: (?, H, W, 3) uint8 RGB to probabilities."""
    folded = fold_batch_norm(model)
    mode = bundle.preprocessing.mode

    def predict(pictures: Any) -> Any:
        return folded(normalise(pictures, mode), training=False)

    signature = tf.TensorSpec((None, *bundle.preprocessing.shape), tf.uint8)
    # Without autograph, which has nothing to rewrite here and leaves its files behind where a start is interrupted.
    concrete = tf.function(predict, autograph=False).get_concrete_function(signature)
    # Of its own: shared weights are TensorFlow's memory, and some of it is given to others once this function is left.
    return ov.convert_model(concrete, input=[((-1, *bundle.preprocessing.shape), ov.Type.u8)], share_weights=False)


def _best_classes(model: keras.Model, bundle: Bundle) -> np.ndarray:
    pictures = normalise(blots(CHECKED, bundle.preprocessing.size), bundle.preprocessing.mode)
    best: np.ndarray = np.asarray(model(pictures, training=False)).argmax(axis=1)
    return best
