"""JAX: the same Keras network under ``jax.jit``, for devices that JAX serves best. Needs the extra ``jax``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np
from jax.experimental.layout import Format, Layout

from streamtag.core.bundle import Bundle
from streamtag.errors import ConfigError
from streamtag.networks.engines.base import Engine, choose_buckets
from streamtag.networks.engines.folding import fold_batch_norm
from streamtag.networks.engines.normalising import normalise
from streamtag.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class _Array:
    """JAX dispatches asynchronously: the call has returned before the work is done."""

    array: Any

    def result(self) -> np.ndarray:
        return np.asarray(self.array, np.float32)


class JaxEngine(Engine):
    """A Keras model compiled by JAX, ahead of time for each bucket.

    The weights are cast once to what their layers compute in, and lie as the compiled network wants them. As Keras has
    them a card cast and transposed all of them again in every call (README.md here).
    """

    def __init__(self, model: keras.Model, bundle: Bundle, settings: EngineSettings) -> None:
        if keras.config.backend() != "jax":
            raise ConfigError("engine jax needs Keras's JAX backend from the start; set KERAS_BACKEND=jax")
        device = jax.devices()[0]
        gpu = device.platform != "cpu"
        self.name = "jax"
        self.precision = settings.precision
        self.device = f"{device.platform}:{device.device_kind}"
        self.buckets = choose_buckets(settings, (1, 4, 16, 64) if gpu else (1, 2, 4, 8))
        self.in_flight = settings.in_flight or (2 if gpu else 1)
        self._network = Served(model, bundle, settings.precision)
        self._compiled: dict[int, Any] = {}
        self._weights: dict[int, Any] = {}

    def compilations(self) -> int:
        # Compiled ahead of time: another shape is an error, never a silent compilation.
        return len(self._compiled)

    def compile(self, bucket: int) -> None:
        compiled = self._compiled[bucket] = self._network.lower(bucket).compile()
        formats = compiled.input_formats[0][0]
        # Most batch sizes want the weights alike; those that do share them.
        same = next((self._weights[size] for size in self._weights if _formats(self._weights[size]) == formats), None)
        self._weights[bucket] = jax.device_put(self._network.weights, formats) if same is None else same

    def dispatch(self, pictures: np.ndarray) -> _Array:
        return _Array(self._compiled[len(pictures)](self._weights[len(pictures)], pictures))


class Served:
    """A network as JAX compiles it: a function of its weights and of pictures.

    Args:
        precision: that all layers but the last compute in.
    """

    def __init__(self, model: keras.Model, bundle: Bundle, precision: str) -> None:
        folded = fold_batch_norm(model, precision)
        trainable, frozen = folded.trainable_variables, folded.non_trainable_variables
        computed_in = {id(weight): layer.compute_dtype for layer in folded.layers for weight in layer.weights}
        self.weights = [
            variable.value.astype(computed_in.get(id(variable), variable.dtype)) for variable in (*trainable, *frozen)
        ]
        self._shape = bundle.preprocessing.shape

        def predict(weights: Any, pictures: Any) -> Any:
            x = normalise(pictures, bundle.preprocessing.mode)
            given = weights[: len(trainable)], weights[len(trainable) :]
            scores, _ = folded.stateless_call(*given, x, training=False)
            return scores.astype("float32")

        self._predict = jax.jit(predict, in_shardings=(Format(Layout.AUTO), None))

    def lower(self, bucket: int, device: Any = None) -> Any:
        """Ready to compile for a batch size.

        Args:
            device: sharding of a device that is not here.
        """
        weights = [jax.ShapeDtypeStruct(weight.shape, weight.dtype, sharding=device) for weight in self.weights]
        pictures = jax.ShapeDtypeStruct((bucket, *self._shape), np.uint8, sharding=device)
        return self._predict.lower(weights, pictures)


def _formats(weights: Any) -> Any:
    return [weight.format for weight in weights]
