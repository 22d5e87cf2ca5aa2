"""The networks that a name or a bundle folder can mean. Knows them without importing Keras."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from worker.bundle import Bundle, read_bundle
from worker.errors import ConfigError
from worker.preprocessing import Mode, Preprocessing
from worker.settings import ModelSettings

DEMO_BUNDLE = Path(__file__).parent.parent / "demo" / "bundle"


@dataclass(frozen=True, slots=True)
class Spec:
    """A network of ``keras.applications``."""

    architecture: str  # name in keras.applications
    size: int
    mode: Mode


SPECS = {
    "inceptionv3": Spec("InceptionV3", 299, "tf"),  # Szegedy et al. 2015, arXiv:1512.00567
    "xception": Spec("Xception", 299, "tf"),  # Chollet 2017, arXiv:1610.02357
    "mobilenetv2": Spec("MobileNetV2", 224, "tf"),  # Sandler et al. 2018, arXiv:1801.04381
}


def resolve(settings: ModelSettings) -> Bundle:
    """What to serve: a network of the registry, the demo bundle, or the folder of a bundle.

    Raises:
        ConfigError: no such model, unreadable labels, or weights that do not say where from.
    """
    name = settings.name.lower()
    if name == "demo" or (Path(settings.name) / "bundle.json").is_file():
        bundle = read_bundle(DEMO_BUNDLE if name == "demo" else Path(settings.name))
        preprocessing = bundle.preprocessing
        if settings.crop != "center":
            preprocessing = replace(preprocessing, crop=settings.crop)
        bundle = replace(bundle, weights=settings.weights or bundle.weights, preprocessing=preprocessing)
    elif name in SPECS:
        spec = SPECS[name]
        labels = tuple(name for _wnid, name in imagenet_classes())
        preprocessing = Preprocessing(spec.size, spec.mode, settings.crop)
        bundle = Bundle(name, spec.architecture, labels, preprocessing, weights=settings.weights or "imagenet")
    else:
        known = ", ".join([*SPECS, "demo"])
        raise ConfigError(f"unknown model {settings.name!r}: it is none of {known}, nor a folder with a bundle.json")
    if settings.labels is not None:
        bundle = replace(bundle, labels=read_labels(settings.labels))
    if bundle.weights not in ("imagenet", "random") and not Path(bundle.weights).is_file():
        raise ConfigError(
            f"weights {bundle.weights!r}: no such file; give imagenet, random, or a .weights.h5 or .keras file"
        )
    return bundle


def imagenet_classes() -> list[tuple[str, str]]:
    """(wnid, name) of the 1000 classes in the order of the networks' outputs."""
    text = files("worker.models").joinpath("imagenet_labels.txt").read_text(encoding="utf-8")
    rows = [line.split(maxsplit=1) for line in text.splitlines() if not line.startswith("#")]
    return [(wnid, name) for wnid, name in rows]


def keras_models() -> Path:
    """The folder where Keras keeps downloaded weights."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names of a text file (one a line), a JSON list, or Keras's class index.

    Raises:
        ConfigError: it cannot be read, or holds none of these.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        content = json.loads(text)
        if isinstance(content, dict):
            return tuple(str(content[str(index)][-1]) for index in range(len(content)))
        return tuple(str(name) for name in content)
    except OSError as error:
        raise ConfigError(f"labels {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"labels {path}: neither a list of names nor a class index: {error!r}") from None
