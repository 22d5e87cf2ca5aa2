"""From a bundle to a Keras model with its weights. Imports Keras, so call it where a network is really wanted."""

from __future__ import annotations

import gc
import json
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from streamtag.core.bundle import WHOLE, Bundle, HeadInputs
from streamtag.core.groups import Groups
from streamtag.errors import ConfigError, in_words
from streamtag.logs import quiet_stderr
from streamtag.networks.architectures.efficientnet_lite import efficientnet_lite0
from streamtag.networks.architectures.heads import head_inputs
from streamtag.networks.architectures.inception_v4 import inception_v4
from streamtag.networks.architectures.narrow_xception import narrow_xception
from streamtag.networks.architectures.squeezenet import squeezenet
from streamtag.networks.bundles import weights_file
from streamtag.networks.outputs import as_probabilities, of_one_picture
from streamtag.networks.unknown import with_unknown
from streamtag.networks.weights.importing import import_weights, is_foreign

_OWN: dict[str, Callable[..., keras.Model]] = {
    "EfficientNetLite0": efficientnet_lite0,
    "InceptionV4": inception_v4,
    "SqueezeNet": squeezenet,
    "narrow_xception": narrow_xception,
}


# What Keras, h5py and zipfile make of a file that is damaged, or of another network.
_DAMAGED = (ValueError, OSError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)


def build(bundle: Bundle) -> keras.Model:
    """The network of a bundle: (N, size, size, 3) normalised float32 to (N, classes) probabilities.

    The last class is that of none of the others, where the bundle knows such a one.

    Raises:
        ConfigError: weights that do not fit or would run code; the message says what to do.
    """
    if bundle.unknown is not None:
        return with_unknown(build(without_unknown(bundle)), bundle.unknown)
    if bundle.weights != "random" and weights_file(bundle.weights) is None:
        raise ConfigError(
            f"weights {bundle.weights}: gone since they were looked for; was the bundle replaced? Start again"
        )
    if bundle.architecture == WHOLE:
        if bundle.weights == "random":
            raise ConfigError(f"{bundle.name}: a .keras file holds its weights; there are no random ones of it")
        path = Path(bundle.weights)
        model = of_one_picture(_whole(path), str(path))
    else:
        model = _with_arguments(bundle)
        if bundle.weights != "random":
            _load(model, Path(bundle.weights), bundle)
    if model.output_shape[-1] != bundle.classes:
        raise ConfigError(
            f"{bundle.name}: the network has {model.output_shape[-1]} outputs and the labels are {bundle.classes}; "
            "give the matching file in model.labels"
        )
    return as_probabilities(model, bundle.output_kind)


def _with_arguments(bundle: Bundle) -> keras.Model:
    """The architecture as the bundle's arguments, which people may have edited, ask for it; its weights are random.

    Raises:
        ConfigError: there is no such network.
    """
    try:
        return _with_own_head(bundle) if "head" in bundle.arguments else _architecture(bundle)
    except (TypeError, ValueError, KeyError) as error:
        told = (str(error).strip() or repr(error)).splitlines()[0][:200]
        raise ConfigError(f"{bundle.name}: its arguments are not of {bundle.architecture}: {told}") from None


def save_weights(model: keras.Model, path: Path) -> None:
    """Write a network's weights in Keras's own form.

    Raises:
        OSError: the file cannot be written.
    """
    number = 0
    with quiet_stderr():  # HDF5 says it again, for each of its objects that come to their end
        try:
            model.save_weights(path)
        except (OSError, RuntimeError) as error:  # the latter where the disk is full when the file is closed
            found = re.search(r"errno = (\d+)", str(error))
            if found is None:
                raise
            number = int(found[1])
        gc.collect()
    if number:
        raise OSError(number, os.strerror(number))


def without_unknown(bundle: Bundle) -> Bundle:
    """What the network of a bundle says by itself, of its own classes."""
    if bundle.unknown is None:
        return bundle
    classes = bundle.classes - 1
    groups = Groups(bundle.groups.all, classes) if bundle.groups else bundle.groups
    return replace(bundle, labels=bundle.labels[:-1], unknown=None, groups=groups, thresholds={})


def features(bundle: Bundle) -> keras.Model:
    """The bundle's architecture without its classifier: (N, size, size, 3) to (N, features), averaged over the picture.

    The weights are random.
    """
    size = bundle.preprocessing.size
    if bundle.architecture in _OWN:
        return _OWN[bundle.architecture](size, top=False, **_of_backbone(bundle))
    builder = _application(bundle)
    return builder(weights=None, input_shape=bundle.preprocessing.shape, include_top=False, pooling="avg")


def load_features(bundle: Bundle) -> keras.Model:
    """``features`` with weights of a file that need not have a classifier, or has another.

    Out of a whole network in a .keras file, those of the part that is this backbone, however deep it is nested.

    Raises:
        ConfigError: the file has no weights of this backbone.
    """
    model, path = features(bundle), Path(bundle.weights)
    if path.suffix == ".keras":
        for part in _parts(_whole(path)):
            weights = part.get_weights()[: len(model.weights)]
            if [weight.shape for weight in weights] == [tuple(variable.shape) for variable in model.weights]:
                model.set_weights(weights)
                return model
        raise ConfigError(f"weights {path}: no part of that network is {bundle.name} without its classifier")
    _load(model, path, bundle)
    return model


def _parts(model: keras.Model) -> Iterator[keras.Model]:
    """A network, then those nested in it."""
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _parts(layer)


def cut(model: keras.Model, architecture: str) -> keras.Model:
    """``features`` with the weights of a whole network."""
    pool = next(layer for layer in model.layers if isinstance(layer, _ENDS))
    if architecture == "SqueezeNet":  # whose own pool comes after the classifier
        last = model.get_layer("fire9_concat").output
    elif isinstance(pool, keras.layers.Flatten):
        last = pool.input
    else:
        return keras.Model(model.inputs[0], pool.output)
    return keras.Model(model.inputs[0], keras.layers.GlobalAveragePooling2D(name="features")(last))


# What follows the last map of features in a network.
_ENDS = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D, keras.layers.Flatten)


def _with_own_head(bundle: Bundle) -> keras.Model:
    """A backbone with the head of the bundle's own classes; beside it that one's classifier, where the head asks it."""
    units, form = bundle.arguments["head"], bundle.arguments.get("head_inputs", "features")
    if form != "power+top":
        return with_head(features(bundle), bundle.classes, units, form)
    classes, groups = bundle.arguments["top"]
    arguments = _of_backbone(bundle)
    whole = _architecture(replace(bundle, labels=tuple(map(str, range(classes))), arguments=arguments))
    return with_head(cut(whole, bundle.architecture), bundle.classes, units, form, whole, groups)


def _of_backbone(bundle: Bundle) -> dict[str, Any]:
    return {name: value for name, value in bundle.arguments.items() if name not in ("head", "head_inputs", "top")}


def with_head(
    backbone: keras.Model,
    classes: int,
    units: Sequence[int],
    form: HeadInputs = "features",
    whole: keras.Model | None = None,
    groups: int = 0,
) -> keras.Model:
    """A classifier of dense layers on the features of a backbone: one graph, so that an engine can fold all of it.

    Args:
        whole: the backbone with its own classifier, where the head looks at that too.
        groups: of that one's classes.
    """
    outputs = head_inputs(form, backbone.outputs[0], None if whole is None else whole.outputs[0], groups)
    for layer in head(outputs.shape[-1], classes, units).layers[1:]:
        outputs = layer(outputs)
    return keras.Model(backbone.inputs[0], outputs)


def head(inputs: int, classes: int, units: Sequence[int]) -> keras.Model:
    """Dense ReLU layers of the given widths and a softmax: (N, inputs) to (N, classes)."""
    x = given = keras.Input((inputs,))
    for number, width in enumerate(units, start=1):
        x = keras.layers.Dense(width, activation="relu", name=f"head_{number}")(x)
    return keras.Model(given, keras.layers.Dense(classes, activation="softmax", name="head_predictions")(x))


def _architecture(bundle: Bundle) -> keras.Model:
    shape, classes = bundle.preprocessing.shape, bundle.classes
    if bundle.architecture in _OWN:
        return _OWN[bundle.architecture](bundle.preprocessing.size, classes, **bundle.arguments)
    builder = _application(bundle)
    try:
        return builder(weights=None, input_shape=shape, classes=classes)
    except ValueError as error:
        raise ConfigError(f"{bundle.name}: {error}") from None


def _application(bundle: Bundle) -> Callable[..., keras.Model]:
    builder = getattr(keras.applications, bundle.architecture, None)
    if builder is None or not isinstance(builder, type(keras.applications.Xception)):
        known = ", ".join([*_OWN, WHOLE, "those of keras.applications"])
        raise ConfigError(f"{bundle.name}: unknown architecture {bundle.architecture!r}; known: {known}")
    application: Callable[..., keras.Model] = builder
    return application


def _load(model: keras.Model, path: Path, bundle: Bundle) -> None:
    if is_foreign(path):
        import_weights(model, bundle.architecture, path)
        return
    try:
        # Keras warns of each layer that a file lacks, hundreds of lines, and then raises the error that counts.
        warnings.simplefilter("ignore", UserWarning)
        if path.suffix == ".keras":
            model.set_weights(_whole(path).get_weights())
        else:
            model.load_weights(path)
    except _DAMAGED as error:
        raise ConfigError(
            f"weights {path}: do not fit {bundle.name} ({bundle.architecture}, {bundle.classes} classes): "
            f"{' '.join(str(error).split())[:300]}"  # Keras names the layer first, and then what is wrong with it
        ) from None


def _whole(path: Path) -> keras.Model:
    """The network of a .keras file, if it is made of Keras's own layers alone.

    Raises:
        ConfigError: it holds code, or layers of another origin.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            strange = _strangers(json.loads(archive.read("config.json")))
    except _DAMAGED as error:
        raise ConfigError(f"{path}: not a .keras file: {in_words(error)}") from None
    if strange:
        raise ConfigError(
            f"{path}: refused, it would run code that is not Keras's own: {', '.join(sorted(strange)[:5])}; "
            "save the network without it, or its weights alone"
        )
    try:
        # safe_mode refuses layers that carry code of their own: a second lock on the same door.
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except _DAMAGED as error:
        raise ConfigError(f"{path}: cannot be loaded: {str(error).strip().splitlines()[0][:300]}") from None


def _strangers(node: Any) -> set[str]:
    """Classes in a configuration that are not layers of Keras, and layers that carry code."""
    if isinstance(node, list):
        return {name for item in node for name in _strangers(item)}
    if not isinstance(node, dict):
        return set()
    strangers = {name for item in node.values() for name in _strangers(item)}
    name = node.get("class_name")
    module = node.get("module")
    if isinstance(name, str) and "config" in node:
        own = module is None or module in ("keras", "builtins") or str(module).startswith("keras.")
        if name in ("Lambda", "__lambda__", "function", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"):
            strangers.add(name)
        elif not own:
            strangers.add(f"{module}.{name}")
    return strangers
