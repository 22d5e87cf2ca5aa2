"""JAX: the same Keras network under ``jax.jit``, for devices that JAX serves best. Needs the extra ``jax``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import keras
import numpy as np

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
    """A Keras model compiled by JAX, ahead of time for each bucket."""

    def __init__(self, model: keras.Model, bundle: Bundle, settings: EngineSettings) -> None:
        if keras.config.backend() != "jax":
            raise ConfigError("engine jax needs Keras's JAX backend from the start; set KERAS_BACKEND=jax")
        device = jax.devices()[0]
        gpu = device.platform != "cpu"
        self.name = "jax"
        self.device = f"{device.platform}:{device.device_kind}"
        self.buckets = choose_buckets(settings, (1, 4, 16, 64) if gpu else (1, 2, 4, 8))
        self.in_flight = settings.in_flight or (2 if gpu else 1)
        folded = fold_batch_norm(model, settings.precision)

        def predict(trainable: Any, frozen: Any, pictures: Any) -> Any:
            x = normalise(pictures, bundle.preprocessing.mode)
            scores, _ = folded.stateless_call(trainable, frozen, x, training=False)
            return scores.astype("float32")

        self._weights = tuple(
            [variable.value for variable in variables]
            for variables in (folded.trainable_variables, folded.non_trainable_variables)
        )
        self._predict = jax.jit(predict)
        self._compiled: dict[int, Any] = {}
        self._shape = bundle.preprocessing.shape

    def compilations(self) -> int:
        # Compiled ahead of time: another shape is an error, never a silent compilation.
        return len(self._compiled)

    def compile(self, bucket: int) -> None:
        pictures = jax.ShapeDtypeStruct((bucket, *self._shape), np.uint8)
        self._compiled[bucket] = self._predict.lower(*self._weights, pictures).compile()

    def dispatch(self, pictures: np.ndarray) -> _Array:
        return _Array(self._compiled[len(pictures)](*self._weights, pictures))
