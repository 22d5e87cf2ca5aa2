"""Scores of every architecture in one engine, as a process: Keras has one backend a process.

``python -m tests.reference.engine_scores ENGINE OUT.npz NETWORK…``; the engine ``plain`` is Keras's call, not folded.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from streamtag.networks.loading import compile_model, import_keras
from streamtag.networks.registry import resolve
from streamtag.settings import EngineSettings, ModelSettings


def randomise(model: Any, mode: str = "tf") -> None:
    """Weights that are the same in every backend and keep activations in range, normalisation statistics included."""
    generator = np.random.default_rng(5)
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if len(shape) > 1:
                inputs = np.prod(shape[:-2]) if "depthwise" in weight.path else np.prod(shape[:-1])
                values.append(generator.normal(0, np.sqrt(2 / inputs), shape))
            elif "gamma" in weight.path or "variance" in weight.path:
                values.append(generator.uniform(0.8, 1.2, shape))
            else:
                values.append(generator.normal(0, 0.05, shape))
        if values:
            layer.set_weights(values)
    _spread(model, {"tf": 1.0, "torch": 2.0}.get(mode, 120.0))


def _spread(model: Any, reach: float) -> None:
    """Scale the classifier so that its logits differ by a few: a saturated softmax would hide a wrong network."""
    import keras  # noqa: PLC0415 - Keras, whose backend is chosen first

    inputs = np.random.default_rng(6).uniform(-1, 1, (2, *model.input_shape[1:])) * reach
    classifier = next(layer for layer in reversed(model.layers) if layer.weights)
    if isinstance(classifier, keras.layers.Dense):
        features = keras.Model(model.inputs[0], classifier.input)(inputs, training=False)
        logits = np.asarray(features) @ np.asarray(classifier.kernel)
    else:  # a convolution that is averaged over the picture
        logits = np.asarray(keras.Model(model.inputs[0], model.layers[-1].input)(inputs, training=False))
    scale = 3 / max(float(np.std(logits)), 1e-6)
    classifier.set_weights([scale * weight for weight in classifier.get_weights()])


def scores(engine_name: str, network: str) -> np.ndarray:
    """(2, classes) of two pictures of noise."""
    from streamtag.networks.building import build  # noqa: PLC0415 - Keras, whose backend is chosen first
    from streamtag.networks.engines.normalising import normalise  # noqa: PLC0415 - Keras, whose backend is chosen first

    bundle = resolve(ModelSettings(name=network, weights="random"))
    model = build(bundle)
    randomise(model, bundle.preprocessing.mode)
    pictures = np.random.default_rng(6).integers(0, 256, (2, *bundle.preprocessing.shape), np.uint8)
    if engine_name == "plain":
        return np.asarray(model(normalise(pictures, bundle.preprocessing.mode), training=False))
    settings = EngineSettings(name=engine_name, buckets=[2])
    return compile_model(model, bundle, settings).engine.predict(pictures)


if __name__ == "__main__":
    engine_name, out, *networks = sys.argv[1:]
    import_keras(EngineSettings(name="auto" if engine_name == "plain" else engine_name))
    np.savez(out, allow_pickle=False, **{network: scores(engine_name, network) for network in networks})
