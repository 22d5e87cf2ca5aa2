"""TensorFlow: the frozen, folded graph for oneDNN on a CPU, and XLA for a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from streamtag.core.bundle import Bundle
from streamtag.errors import ConfigError
from streamtag.networks.engines.base import Engine, choose_buckets
from streamtag.networks.engines.folding import fold_batch_norm
from streamtag.networks.engines.gpu import has_gpu
from streamtag.networks.engines.normalising import normalise
from streamtag.settings import EngineSettings

LARGE_KERNEL = 3_000_000  # numbers
_TO_BFLOAT16 = "auto_mixed_precision_onednn_bfloat16"


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A batch that TensorFlow works on; on a GPU the call has returned before the work is done."""

    tensor: Any

    def result(self) -> np.ndarray:
        scores: np.ndarray = self.tensor.numpy()
        return scores


class TensorFlowEngine(Engine):
    """A Keras model compiled by TensorFlow, its batch normalisation folded.

    Args:
        model: (N, H, W, 3) float32 to probabilities.
        jit_compile: compile with XLA; otherwise the frozen graph runs on oneDNN.
    """

    def __init__(self, model: keras.Model, bundle: Bundle, settings: EngineSettings, jit_compile: bool) -> None:
        self.name = "tf_xla" if jit_compile else "tf_graph"
        gpu = has_gpu(self.name)
        self.precision = settings.precision
        self.device = tf.config.list_physical_devices("GPU" if gpu else "CPU")[0].name
        self.buckets = choose_buckets(settings, (1, 4, 16, 64) if gpu else (1, 2, 4, 8))
        self.in_flight = settings.in_flight or (2 if gpu else 1)
        self._jit_compile = jit_compile
        self._shape = bundle.preprocessing.shape
        # The oneDNN graph is turned to bfloat16 by the graph optimiser, XLA by the layers' own policy.
        rewritten = settings.precision == "bfloat16" and not jit_compile
        self._called_in: Callable[[], AbstractContextManager[None]] = _in_bfloat16 if rewritten else nullcontext
        self._model = fold_batch_norm(model, settings.precision if jit_compile else "float32")
        self._mode = bundle.preprocessing.mode
        self._large = [
            variable
            for variable in self._model.trainable_variables
            if len(variable.shape) == 2 and math.prod(variable.shape) > LARGE_KERNEL
        ]
        self._functions: dict[int, Callable[[Any], Any]] = {}
        self._frozen: Callable[[Any], Any] | None = None
        self._traced: list[Any] = []

    def compile(self, bucket: int) -> None:
        if self._jit_compile:
            traced = tf.function(self._predict, jit_compile=True, autograph=False)
            self._functions[bucket] = traced.get_concrete_function(tf.TensorSpec((bucket, *self._shape), tf.uint8))
            self._traced.append(traced)
        else:
            # One graph serves every bucket. A graph for each was no faster and took its memory each time: InceptionV3
            # with four buckets was ready in 24 s and 6.3 GB, with one graph in 6 s and 2.9 GB.
            self._frozen = self._frozen or self._freeze()
            self._functions[bucket] = self._frozen

    def _predict(self, pictures: Any, *kernels: Any) -> Any:
        """(N, H, W, 3) uint8 to probabilities. ``kernels`` stand in for the variables of the large dense layers."""
        inputs = normalise(pictures, self._mode)
        if kernels:
            stand_in = {id(variable): kernel for variable, kernel in zip(self._large, kernels, strict=True)}
            trainable = [stand_in.get(id(variable), variable) for variable in self._model.trainable_variables]
            frozen = self._model.non_trainable_variables
            scores, _ = self._model.stateless_call(trainable, frozen, inputs, training=False)
        else:
            scores = self._model(inputs, training=False)
        return tf.cast(scores, tf.float32)

    def _freeze(self) -> Callable[[Any], Any]:
        """The graph with its weights as constants: only then can the optimiser fold them and lay out the kernels.

        The large kernels of dense layers stay arguments. They gain nothing, and as constants they are copied several
        times: VGG16 was ready in 60 s and 12.8 GB, without them in 5 s and 4.1 GB, and as fast.
        """
        kernels = [tf.convert_to_tensor(variable) for variable in self._large]
        signature = [tf.TensorSpec(kernel.shape, kernel.dtype) for kernel in kernels]
        traced = tf.function(self._predict, autograph=False)
        concrete = traced.get_concrete_function(tf.TensorSpec((None, *self._shape), tf.uint8), *signature)
        self._traced.append(traced)
        frozen = convert_variables_to_constants_v2(concrete)
        return lambda pictures: frozen(pictures, *kernels)[0]

    def compilations(self) -> int:
        return sum(traced.experimental_get_tracing_count() for traced in self._traced)

    def dispatch(self, pictures: np.ndarray) -> _Tensor:
        with self._called_in():
            return _Tensor(self._functions[len(pictures)](tf.constant(pictures)))


def limit_threads(threads: int) -> None:
    """Have TensorFlow compute with so many threads. Before anything is built: then they are there already.

    Raises:
        ConfigError: it has others in this process.
    """
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        raise ConfigError(f"engine.threads: {error}") from None


@contextmanager
def _in_bfloat16() -> Iterator[None]:
    """Have the graph optimiser turn what is called here to bfloat16, and nothing else.

    TensorFlow asks the option at each call and of every graph: left on, a float32 engine beside this one, and Keras's
    own ``predict``, would compute in bfloat16 too. It takes 40 µs.
    """
    tf.config.optimizer.set_experimental_options({_TO_BFLOAT16: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_TO_BFLOAT16: False})


def tf_graph(model: keras.Model, bundle: Bundle, settings: EngineSettings) -> Engine:
    """The frozen graph on oneDNN: for a CPU."""
    return TensorFlowEngine(model, bundle, settings, jit_compile=False)


def tf_xla(model: keras.Model, bundle: Bundle, settings: EngineSettings) -> Engine:
    """Compiled by XLA: for a GPU."""
    return TensorFlowEngine(model, bundle, settings, jit_compile=True)
