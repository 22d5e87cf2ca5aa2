"""TensorFlow: the frozen, folded graph for oneDNN on a CPU, and XLA for a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from worker.bundle import Bundle
from worker.engines.base import Engine, choose_buckets
from worker.engines.folding import fold_batch_norm
from worker.engines.normalising import normalise
from worker.errors import ConfigError
from worker.settings import EngineSettings


def has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A batch that TensorFlow works on; on a GPU the call has returned before the work is done."""

    tensor: Any

    def result(self) -> np.ndarray:
        scores: np.ndarray = self.tensor.numpy()
        return scores


class TensorFlowEngine:
    """
    Args:
        model: (N, H, W, 3) float32 to probabilities.
        jit_compile: compile with XLA; otherwise the frozen graph runs on oneDNN.
    """

    def __init__(self, model: keras.Model, bundle: Bundle, settings: EngineSettings, jit_compile: bool) -> None:
        gpu = has_gpu()
        _configure(settings, jit_compile)
        self.name = "tf_xla" if jit_compile else "tf_graph"
        self.device = tf.config.list_physical_devices("GPU" if gpu else "CPU")[0].name
        self.buckets = choose_buckets(settings, (1, 4, 16, 64) if gpu else (1, 2, 4, 8))
        self.in_flight = settings.in_flight or (2 if gpu else 1)
        self._jit_compile = jit_compile
        self._shape = bundle.preprocessing.shape
        # The oneDNN graph is turned to bfloat16 by the graph optimiser, XLA by the layers' own policy.
        self._model = fold_batch_norm(model, settings.precision if jit_compile else "float32")
        self._mode = bundle.preprocessing.mode
        self._functions: dict[int, Callable[[Any], Any]] = {}
        self._traced: list[Any] = []

    def compile(self, bucket: int) -> None:
        def predict(pictures: Any) -> Any:
            return tf.cast(self._model(normalise(pictures, self._mode), training=False), tf.float32)

        signature = tf.TensorSpec((bucket, *self._shape), tf.uint8)
        traced = tf.function(predict, jit_compile=self._jit_compile)
        concrete = traced.get_concrete_function(signature)
        self._traced.append(traced)
        if self._jit_compile:
            self._functions[bucket] = concrete
        else:
            # Constants, not variables: only then can the graph optimiser fold and lay out the kernels.
            frozen = convert_variables_to_constants_v2(concrete)
            self._functions[bucket] = lambda pictures: frozen(pictures)[0]

    def compilations(self) -> int:
        return sum(traced.experimental_get_tracing_count() for traced in self._traced)

    def dispatch(self, pictures: np.ndarray) -> _Tensor:
        return _Tensor(self._functions[len(pictures)](tf.constant(pictures)))


def _configure(settings: EngineSettings, jit_compile: bool) -> None:
    if settings.threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError as error:
            raise ConfigError(f"engine.threads: {error}") from None
    bfloat16 = settings.precision == "bfloat16" and not jit_compile
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": bfloat16})


def tf_graph(model: keras.Model, bundle: Bundle, settings: EngineSettings) -> Engine:
    return TensorFlowEngine(model, bundle, settings, jit_compile=False)


def tf_xla(model: keras.Model, bundle: Bundle, settings: EngineSettings) -> Engine:
    return TensorFlowEngine(model, bundle, settings, jit_compile=True)
