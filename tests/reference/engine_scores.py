"""Scores of every architecture in some engines, as a process: Keras has one backend a process.

``python -m tests.reference.engine_scores OUT.npz plain,ENGINE,…`` for those that TensorFlow's Keras feeds; ``plain`` is
Keras's own call, not folded. ``… OUT.npz jax PLAIN.npz`` takes from there how far the logits are spread.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from streamtag.core.bundle import Bundle
from streamtag.networks.loading import compile_model, import_keras
from streamtag.networks.registry import resolve
from streamtag.networks.specs import SPECS
from streamtag.settings import EngineSettings, ModelSettings


def randomise(model: Any, mode: str = "tf", scale: float | None = None) -> float:
    """Weights that are the same in every backend and keep activations in range, normalisation statistics included.

    Args:
        scale: of the classifier, where it is known already.

    Returns:
        The scale of the classifier.
    """
    generator = np.random.default_rng(5)
    for layer in model.layers:
        values = []
        for weight in layer.weights:
            shape = tuple(weight.shape)
            if len(shape) > 1:
                inputs = np.prod(shape[:-2]) if "depthwise" in weight.path else np.prod(shape[:-1])
                values.append(generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / inputs)))
            elif "gamma" in weight.path or "variance" in weight.path:
                values.append(generator.uniform(0.8, 1.2, shape))
            else:
                values.append(generator.normal(0, 0.05, shape))
        if values:
            layer.set_weights(values)
    classifier = next(layer for layer in reversed(model.layers) if layer.weights)
    scale = scale or 3 / max(_spread(model, classifier, {"tf": 1.0, "torch": 2.0}.get(mode, 120.0)), 1e-6)
    classifier.set_weights([scale * weight for weight in classifier.get_weights()])
    return scale


def _spread(model: Any, classifier: Any, reach: float) -> float:
    """How far the logits differ. They are scaled to differ by a few: a saturated softmax would hide a wrong network."""
    import keras  # noqa: PLC0415 - Keras, whose backend is chosen first

    inputs = np.random.default_rng(6).uniform(-1, 1, (2, *model.input_shape[1:])) * reach
    if isinstance(classifier, keras.layers.Dense):
        features = keras.Model(model.inputs[0], classifier.input)(inputs, training=False)
        logits = np.asarray(features) @ np.asarray(classifier.kernel)
    else:  # a convolution that is averaged over the picture
        logits = np.asarray(keras.Model(model.inputs[0], model.layers[-1].input)(inputs, training=False))
    return float(np.std(logits))


def scores(engines: list[str], network: str, scale: float | None = None) -> dict[str, Any]:
    """(2, classes) of two pictures of noise by each engine, and the scale of the classifier."""
    from streamtag.networks.building import build  # noqa: PLC0415 - Keras, whose backend is chosen first
    from streamtag.networks.engines.normalising import normalise  # noqa: PLC0415 - Keras, whose backend is chosen first

    bundle = _small(resolve(ModelSettings(name=network, weights="random")))
    mode = bundle.preprocessing.mode
    model = build(bundle)
    found: dict[str, Any] = {"scale": randomise(model, mode, scale)}
    pictures = np.random.default_rng(6).integers(0, 256, (2, *bundle.preprocessing.shape), np.uint8)
    for engine in engines:
        if engine == "plain":
            found[engine] = np.asarray(model(normalise(pictures, mode), training=False))
        else:
            compiled = compile_model(model, bundle, EngineSettings(name=engine, buckets=[2])).engine
            found[engine] = compiled.predict(pictures)
    return found


def _small(bundle: Bundle) -> Bundle:
    """The same layers for a smaller picture, which takes a fifth of the time or less.

    Less by a multiple of 64, so that each layer that halves the picture has the remainder that it has at full size: 107
    for 299, 96 for 224, 99 for 227.
    """
    return replace(bundle, preprocessing=replace(bundle.preprocessing, size=64 + bundle.preprocessing.size % 64))


def _leave_weights_at_zero() -> None:
    """They are replaced before they are used, and JAX compiles the drawing of each shape anew."""
    import keras  # noqa: PLC0415 - Keras, whose backend is chosen first

    def zeros(_: Any, shape: Any, dtype: Any = None, **_more: Any) -> np.ndarray:
        return np.zeros(shape, np.float32)

    for kind in (keras.initializers.VarianceScaling, keras.initializers.Zeros, keras.initializers.Ones):
        kind.__call__ = zeros


if __name__ == "__main__":
    out, names, *plain = sys.argv[1:]
    import_keras(EngineSettings(name="jax" if names == "jax" else "auto"))
    _leave_weights_at_zero()
    known = np.load(Path(plain[0])) if plain else {}
    answers: dict[str, Any] = {}
    for network in SPECS:
        found = scores(names.split(","), network, float(known[f"scale/{network}"]) if plain else None)
        answers |= {f"{name}/{network}": answer for name, answer in found.items()}
    np.savez(out, allow_pickle=False, **answers)
