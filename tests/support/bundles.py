"""Bundles for tests that need a network but no trained one."""

from __future__ import annotations

from pathlib import Path

import keras
from streamtag.core.bundle import WHOLE, Bundle, Preprocessing
from streamtag.networks.bundles import write_bundle
from streamtag.networks.registry import resolve
from streamtag.settings import ModelSettings

# Trained networks in the folder of real material, below its ``weights``.
WEIGHT_FILES = {"mobilenetv2": "mobilenetv2_imagenet.weights.h5", "squeezenet": "squeezenet_v1.0_imagenet_hwio.npz"}


def random_bundle(name: str) -> Bundle:
    """The network of that name with weights at random."""
    return resolve(ModelSettings(name=name, weights="random"))


def whole_bundle(folder: Path) -> Path:
    """A bundle around a small network in a .keras file, which has no architecture of ours."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    outputs = keras.layers.Dense(2, activation="softmax", kernel_initializer="random_uniform")(x)
    keras.Model(inputs, outputs).save(folder / "own.keras")
    write_bundle(folder / "whole", Bundle("own", WHOLE, ("cat", "dog"), Preprocessing(32)), folder / "own.keras")
    return folder / "whole"
