"""From a bundle to a Keras model with its weights. Imports Keras, so call it where a network is really wanted."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import keras

from worker.bundle import Bundle
from worker.errors import ConfigError
from worker.models.narrow_xception import narrow_xception
from worker.models.registry import keras_models


def build(bundle: Bundle) -> keras.Model:
    """The network of a bundle: (N, size, size, 3) normalised float32 to (N, classes) probabilities.

    Raises:
        ConfigError: weights that cannot be downloaded or do not fit; the message says what to do.
    """
    if bundle.architecture == "narrow_xception":
        model = narrow_xception(bundle.preprocessing.size, bundle.classes, **bundle.arguments)
    else:
        model = _application(bundle)
    if bundle.weights not in ("imagenet", "random"):
        _load(model, Path(bundle.weights), bundle)
    if model.output_shape[-1] != bundle.classes:
        raise ConfigError(
            f"{bundle.name}: the network has {model.output_shape[-1]} outputs and the labels are {bundle.classes}; "
            "give the matching file in model.labels"
        )
    return model


def _application(bundle: Bundle) -> keras.Model:
    builder = getattr(keras.applications, bundle.architecture, None)
    if builder is None or not isinstance(builder, type(keras.applications.Xception)):
        raise ConfigError(f"{bundle.name}: unknown architecture {bundle.architecture!r}")
    shape = bundle.preprocessing.shape
    if bundle.weights != "imagenet":
        return builder(weights=None, input_shape=shape, classes=bundle.classes)
    try:
        return builder(weights="imagenet", input_shape=shape)
    except ValueError as error:
        raise ConfigError(f"{bundle.name}: the downloaded ImageNet weights do not fit: {error}") from None
    except Exception as error:  # get_file raises a plain Exception when a download fails
        raise ConfigError(_no_download(bundle.name, str(error))) from None


def _no_download(name: str, said: str) -> str:
    found = re.search(r"https?://\S+", said)
    url = found.group().rstrip(":,.") if found else "the address in Keras's documentation"
    file_name = url.rsplit("/", 1)[-1]
    return (
        f"{name}: the ImageNet weights cannot be downloaded here ({said.splitlines()[0][:200]}). "
        f"Fetch {url} on a machine with a network and put it at {keras_models() / file_name}, "
        "or give a file with --weights, or --weights random for a benchmark"
    )


def _load(model: keras.Model, path: Path, bundle: Bundle) -> None:
    try:
        # Keras warns of each layer that a file lacks, hundreds of lines, and then raises the error that counts.
        warnings.simplefilter("ignore", UserWarning)
        if path.suffix == ".keras":
            # safe_mode refuses layers that carry code of their own.
            loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
            model.set_weights(loaded.get_weights())
        else:
            model.load_weights(path)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ConfigError(
            f"weights {path}: do not fit {bundle.name} ({bundle.architecture}, {bundle.classes} classes): "
            f"{str(error).strip().splitlines()[0][:300]}"
        ) from None
