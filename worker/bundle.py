"""A bundle: a folder with a network, its labels, its preprocessing and its thresholds. Reads JSON only, no network."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker.errors import ConfigError
from worker.preprocessing import Preprocessing

FORMAT = 1
_ENTRIES = {
    "format": int,
    "name": str,
    "architecture": str,
    "arguments": dict,
    "weights": str,
    "sha256": str,
    "labels": list,
    "nothing": list,
    "size": int,
    "mode": str,
    "crop": str,
    "temperature": (int, float),
    "thresholds": dict,
    "record": dict,
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a network needs to be served: everything but the network itself."""

    name: str
    architecture: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    weights: str = ""  # imagenet | random | a file
    arguments: dict[str, Any] = field(default_factory=dict)  # of the architecture's builder
    nothing: frozenset[int] = frozenset()  # classes that mean "nothing there" and never become a label
    temperature: float = 1.0  # calibration: logits are divided by it (Guo et al. 2017)
    thresholds: dict[int, tuple[float, float]] = field(default_factory=dict)  # class to (enter, exit)

    @property
    def classes(self) -> int:
        return len(self.labels)


def read_bundle(folder: Path) -> Bundle:
    """Read ``bundle.json`` of a folder and check the weights against their hash.

    Raises:
        ConfigError: no such folder or file, an unknown or missing entry, a wrong type, a hash that does not match.
    """
    path = folder / "bundle.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; a bundle is a folder with a bundle.json") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from None
    _check(path, content)
    weights = folder / content["weights"]
    if weights.parent.resolve() != folder.resolve():
        raise ConfigError(f"{path}: weights {content['weights']!r} must lie in the bundle's own folder")
    if not weights.is_file():
        raise ConfigError(f"{path}: its weights file {content['weights']!r} is missing")
    if hashlib.sha256(weights.read_bytes()).hexdigest() != content["sha256"]:
        raise ConfigError(f"{weights}: does not match the sha256 in bundle.json; copy the bundle again")
    labels = tuple(content["labels"])
    by_name = {label: class_id for class_id, label in enumerate(labels)}
    unknown = [name for name in [*content.get("thresholds", {}), *content.get("nothing", [])] if name not in by_name]
    if unknown:
        raise ConfigError(f"{path}: {', '.join(unknown)} in thresholds or nothing is no label of this bundle")
    return Bundle(
        name=content["name"],
        architecture=content["architecture"],
        arguments=content.get("arguments", {}),
        labels=labels,
        preprocessing=Preprocessing(content["size"], content.get("mode", "tf"), content.get("crop", "center")),
        weights=str(weights),
        nothing=frozenset(by_name[name] for name in content.get("nothing", [])),
        temperature=float(content.get("temperature", 1.0)),
        thresholds={by_name[name]: (pair[0], pair[1]) for name, pair in content.get("thresholds", {}).items()},
    )


def _check(path: Path, content: Any) -> None:
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a JSON object is expected")
    for name, value in content.items():
        if name not in _ENTRIES:
            raise ConfigError(f"{path}: unknown entry {name!r}; known: {', '.join(_ENTRIES)}")
        if not isinstance(value, _ENTRIES[name]):  # type: ignore[arg-type]
            raise ConfigError(f"{path}: entry {name!r} has the wrong type {type(value).__name__}")
    missing = [
        name
        for name in ("format", "name", "architecture", "weights", "sha256", "labels", "size")
        if name not in content
    ]
    if missing:
        raise ConfigError(f"{path}: lacks {', '.join(missing)}")
    if content["format"] != FORMAT:
        raise ConfigError(f"{path}: format {content['format']} is not {FORMAT}; it needs another version of Streamtag")
    if content.get("mode", "tf") not in ("tf", "caffe", "torch") or content.get("crop", "center") not in (
        "center",
        "squash",
        "pad",
    ):
        raise ConfigError(f"{path}: mode must be tf, caffe or torch, and crop center, squash or pad")
    if not 16 <= content["size"] <= 2048 or content.get("temperature", 1) <= 0:
        raise ConfigError(f"{path}: size must be from 16 to 2048 and temperature above 0")
