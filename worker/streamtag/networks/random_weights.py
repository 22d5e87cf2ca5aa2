"""Random weights that engines can be compared by: the same ones each time, with scores that differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.networks.drawn import blots
from streamtag.networks.loading import OnStep, build_model, import_keras
from streamtag.settings import EngineSettings

if TYPE_CHECKING:
    import keras

_LOOKED_AT = 8  # drawn pictures, by whose scores the spread is set
LOGIT_SPREAD = 2.0  # standard deviation given to the logits of random weights; those of trained ones have about 2 to 3


def build_to_compare(bundle: Bundle, settings: EngineSettings, on_step: OnStep = lambda step: None) -> keras.Model:
    """The Keras model of a bundle, whose random weights, where it has such, are fit to judge rounding by.

    As they come they are others in each process, and all their scores are near 1/classes, which compares nothing.
    """
    if bundle.weights != "random":
        return build_model(bundle, settings, on_step)
    import_keras(settings, on_step)
    import keras  # noqa: PLC0415 - its backend is chosen first

    from streamtag.networks.engines.normalising import normalise  # noqa: PLC0415 - as above

    keras.utils.set_random_seed(0)
    model = build_model(bundle, settings, on_step)
    inputs = normalise(blots(_LOOKED_AT, bundle.preprocessing.size), bundle.preprocessing.mode)
    _spread(model, lambda: np.asarray(model(inputs, training=False)))
    return model


def _spread(model: keras.Model, scores: Callable[[], np.ndarray]) -> None:
    classifier = next(layer for layer in reversed(model.layers) if layer.weights)
    for _ in range(10):  # what a random network leaves of a picture may be so small that rounding hides it at first
        spread = float(np.log(np.maximum(scores(), 1e-30)).std(axis=1).mean())
        if LOGIT_SPREAD / 2 < spread < LOGIT_SPREAD * 2:
            return
        factor = min(1000.0, LOGIT_SPREAD / max(spread, 1e-9))
        classifier.set_weights([weight * factor for weight in classifier.get_weights()])
