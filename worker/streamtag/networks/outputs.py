"""What a network's outputs are, and probabilities made of them. Imports Keras."""

from __future__ import annotations

import keras
import numpy as np

from streamtag.core.bundle import OutputKind
from streamtag.errors import ConfigError

_PASSES = ("Dropout", "Flatten", "Reshape", "Identity", "GlobalAveragePooling2D")


def of_one_picture(model: keras.Model, path: str) -> keras.Model:
    """The model, whose input and output are tensors also where they had names, if it is one that can be served.

    Raises:
        ConfigError: it does not take one picture, or does not give one row of scores of it.
    """
    # A Sequential that was never called has no tensors at all.
    given, found = ([tuple(one.shape) for one in getattr(model, name, None) or ()] for name in ("inputs", "outputs"))
    if len(given) == len(found) == 1 and len(found[0]) == 2 and len(given[0]) == 4:
        _, height, width, channels = given[0]
        if height == width and channels == 3:
            named = any(isinstance(getattr(model, name, None), dict) for name in ("input", "output"))
            return keras.Model(model.inputs[0], model.outputs[0]) if named else model
    raise ConfigError(
        f"{path}: takes {_listed(given)} and gives {_listed(found)}; a network must take one square picture in colour, "
        "channels last, (None, size, size, 3), and give one score for each class, (None, classes)"
    )


def _listed(shapes: list[tuple[int | None, ...]]) -> str:
    return " and ".join(map(str, shapes)) or "something unknown"


def as_probabilities(model: keras.Model, kind: OutputKind) -> keras.Model:
    """The model with what its logits lack: a softmax, or a sigmoid for each class by itself."""
    if kind not in ("logits", "sigmoid-logits"):
        return model
    added = keras.layers.Activation("softmax" if kind == "logits" else "sigmoid", name="probabilities")
    return keras.Model(model.inputs[0], added(model.outputs[0]))


def find_kind(model: keras.Model, said: str = "") -> OutputKind:
    """What the outputs of a network are, by its last activation and by what it gives of some pictures.

    Args:
        said: logits, probabilities or sigmoid, where people know; else it is found.

    Raises:
        ConfigError: it cannot be told, or is not what was said.
    """
    scores = _tried(model)
    within = bool((scores >= -1e-4).all() and (scores <= 1 + 1e-4).all())
    ones = within and bool((abs(scores.sum(axis=1) - 1) < 1e-2).all())
    last = last_activation(model)
    found = f"its outputs are {scores.min():.3g} to {scores.max():.3g}, {scores.sum(axis=1).mean():.3g} in all"
    match said:
        case "probabilities":
            if not ones:
                raise ConfigError(f"--outputs probabilities: {found}; give logits or sigmoid")
            return "probabilities"
        case "logits":
            if last == "softmax":
                raise ConfigError("--outputs logits: the network ends with a softmax already; leave it out")
            return "logits"
        case "sigmoid":
            return "sigmoid" if last == "sigmoid" or (within and last != "linear") else "sigmoid-logits"
    if ones and last != "linear":
        return "probabilities"
    if last == "sigmoid" and scores.shape[1] > 1:
        return "sigmoid"
    if last == "linear" or not within:
        return "logits"
    raise ConfigError(f"{found}: neither probabilities nor logits; say what they are with --outputs logits or sigmoid")


def last_activation(model: keras.Model) -> str:
    """Name of the function that gives the outputs: softmax, sigmoid, linear, …; empty where none can be found."""
    tensor = model.outputs[0]
    while True:
        layer = tensor._keras_history.operation  # noqa: SLF001 - Keras has no other way from a tensor to its layer
        if isinstance(layer, keras.Model):
            return last_activation(layer)
        if type(layer).__name__ in _PASSES:
            tensor = layer.input
            continue
        if isinstance(layer, keras.layers.Softmax):
            return "softmax"
        activation = getattr(layer, "activation", None)
        return str(getattr(activation, "__name__", ""))


def _tried(model: keras.Model) -> np.ndarray:
    """(6, classes) of pictures from plain to noisy, normalised roughly as any mode would."""
    size = model.input_shape[1] or 96
    generator = np.random.default_rng(0)
    plain = np.linspace(-1, 1, 3, dtype=np.float32)[:, None, None, None] * np.ones((1, size, size, 3), np.float32)
    noise = generator.uniform(-1, 1, (3, size, size, 3)).astype(np.float32)
    return np.asarray(model(np.concatenate([plain, noise]), training=False), np.float32)
