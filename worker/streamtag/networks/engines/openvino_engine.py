"""OpenVINO: the folded TensorFlow graph, converted. The fastest on Intel and AMD CPUs. Needs the extra ``openvino``."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import openvino as ov
import tensorflow as tf

from streamtag.core.bundle import Bundle
from streamtag.networks.engines.base import Done, Engine, choose_buckets
from streamtag.networks.engines.folding import fold_batch_norm
from streamtag.networks.engines.normalising import normalise
from streamtag.settings import EngineSettings


class OpenVinoEngine(Engine):
    """A Keras model converted and compiled by OpenVINO, for each bucket."""

    def __init__(self, model: keras.Model, bundle: Bundle, settings: EngineSettings) -> None:
        self.name = "openvino"
        self.device = "CPU"
        self.buckets = choose_buckets(settings, (1, 2, 4, 8))
        self.in_flight = settings.in_flight or 1
        self._model = fold_batch_norm(model)
        self._bundle = bundle
        self._core = ov.Core()
        precision = "bf16" if settings.precision == "bfloat16" else "f32"
        self._options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        if settings.threads:
            self._options["INFERENCE_NUM_THREADS"] = settings.threads
        self._compiled: dict[int, Any] = {}

    def compilations(self) -> int:
        # Compiled ahead of time: another shape is an error, never a silent compilation.
        return len(self._compiled)

    def compile(self, bucket: int) -> None:
        preprocessing = self._bundle.preprocessing

        def predict(pictures: Any) -> Any:
            return self._model(normalise(pictures, preprocessing.mode), training=False)

        signature = tf.TensorSpec((bucket, *preprocessing.shape), tf.uint8)
        concrete = tf.function(predict).get_concrete_function(signature)
        converted = ov.convert_model(concrete, input=[((bucket, *preprocessing.shape), ov.Type.u8)])
        self._compiled[bucket] = self._core.compile_model(converted, self.device, self._options)

    def dispatch(self, pictures: np.ndarray) -> Done:
        scores = self._compiled[len(pictures)](pictures)[0]
        return Done(np.asarray(scores, np.float32))
