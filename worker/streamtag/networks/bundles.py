"""A bundle: a folder with a network, its labels, its preprocessing and its thresholds. Builds no network."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from streamtag.core.bundle import UNKNOWN, Bundle, Preprocessing, Quantised, Unknown
from streamtag.errors import ConfigError, StreamtagError
from streamtag.networks.bundle_file import (
    FORMAT,
    Arguments,
    BundleFile,
    QuantisedFile,
    UnknownFile,
    place,
    read_bundle_file,
    write_bundle_file,
)
from streamtag.networks.groups import as_names, make_groups


def read_bundle(folder: Path) -> Bundle:
    """Read ``bundle.json`` of a folder and check the weights against their hash.

    Raises:
        ConfigError: no such folder or file, an unknown or missing entry, a wrong type, a hash that does not match.
    """
    content = read_bundle_file(folder)
    while True:
        try:
            return _bundle(folder, content)
        except ConfigError:
            before, content = content, read_bundle_file(folder)
            if content == before:
                raise
            # Another command replaced the bundle between a look at the one and at the other: the new one is whole.


def files_of(content: BundleFile) -> set[str]:
    """Names of the files in a bundle's folder that its ``bundle.json`` speaks of."""
    found = {content.weights}
    if content.unknown is not None and content.unknown.file:
        found.add(content.unknown.file)
    if content.quantised is not None:
        found |= {content.quantised.file, str(Path(content.quantised.file).with_suffix(".bin"))}
    return found


def _bundle(folder: Path, content: BundleFile) -> Bundle:
    path = folder / "bundle.json"
    weights = folder / content.weights
    if weights.parent.resolve() != folder.resolve():
        raise ConfigError(f"{path}: weights {content.weights!r} must lie in the bundle's own folder")
    if not weights.is_file():
        raise ConfigError(f"{path}: its weights file {content.weights!r} is missing")
    if not _is(weights, content.sha256):
        raise ConfigError(f"{weights}: does not match the sha256 in bundle.json; copy the bundle again")
    labels = [*content.labels, *([UNKNOWN] if content.unknown else [])]
    groups = make_groups(content.groups, labels)
    outputs = [*labels, *groups.names]
    by_name = {label: output for output, label in reversed(list(enumerate(outputs)))}
    return Bundle(
        name=content.name,
        architecture=content.architecture,
        arguments=content.arguments.given(),
        labels=tuple(labels),
        preprocessing=Preprocessing(content.size, content.mode, content.crop),
        weights=str(weights),
        background=frozenset(by_name[name] for name in content.background),
        note=content.note,
        temperature=content.temperature,
        thresholds={by_name[name]: pair for name, pair in content.thresholds.items()},
        quantised=_quantised(folder, content.quantised) if content.quantised else None,
        unknown=_unknown(folder, content.unknown) if content.unknown else None,
        groups=groups,
        exact=content.exact,
        output_kind=content.outputs,
    )


def _is(path: Path, digest: str) -> bool:
    try:
        return sha256(path) == digest
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _unknown(folder: Path, entry: UnknownFile) -> Unknown:
    if entry.by != "distance":
        return Unknown(entry.by, entry.threshold, entry.width)
    path = folder / entry.file
    if path.parent.resolve() != folder.resolve() or path.suffix != ".npy":
        raise ConfigError(
            f"{folder / 'bundle.json'}: unknown {entry.file!r} must be an .npy in the bundle's own folder"
        )
    if not path.is_file() or not _is(path, entry.sha256):
        raise ConfigError(f"{path}: is missing or not what bundle.json says; copy the bundle again")
    return Unknown(entry.by, entry.threshold, entry.width, str(path))


def _quantised(folder: Path, entry: QuantisedFile) -> Quantised:
    path = folder / entry.file
    if path.parent.resolve() != folder.resolve() or path.suffix != ".xml":
        raise ConfigError(
            f"{folder / 'bundle.json'}: quantised {entry.file!r} must be an .xml in the bundle's own folder"
        )
    for part, expected in ((path, entry.sha256), (path.with_suffix(".bin"), entry.weights_sha256)):
        if not part.is_file() or not _is(part, expected):
            raise ConfigError(f"{part}: is missing or not what bundle.json says; copy the bundle again")
    return Quantised(str(path), entry.weights_sha256, entry.agreement)


def write_bundle(folder: Path, bundle: Bundle, weights: Path, record: dict[str, Any] | None = None) -> None:
    """Write a bundle's folder around a weights file, which is moved into it. The JSON comes last.

    Raises:
        ConfigError: the bundle would not pass the check on reading.
        StreamtagError: the folder cannot be written.
    """
    name = "network.keras" if weights.suffix == ".keras" else "network.weights.h5"
    labels = bundle.labels
    try:
        content = BundleFile(
            format=FORMAT,
            name=bundle.name,
            architecture=bundle.architecture,
            arguments=Arguments.model_validate(bundle.arguments),
            weights=name,
            sha256=sha256(weights),
            labels=list(labels),
            background=sorted(labels[class_id] for class_id in bundle.background),
            note=bundle.note,
            size=bundle.preprocessing.size,
            mode=bundle.preprocessing.mode,
            crop=bundle.preprocessing.crop,
            outputs=bundle.output_kind,
            temperature=bundle.temperature,
            thresholds={bundle.outputs[output]: pair for output, pair in bundle.thresholds.items()},
            groups=as_names(bundle.groups, labels),
            exact=bundle.exact,
            record=record or {},
        )
    except ValidationError as error:
        raise ConfigError(
            "\n".join(f"{bundle.name}: {place(fault)}: {fault['msg']}" for fault in error.errors())
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if weights != folder / name:
            shutil.move(weights, folder / name)
    except OSError as error:
        raise StreamtagError(f"{folder}: {error.strerror}; name another folder with --out") from None
    write_bundle_file(folder, content)


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_sha256(bundle: Bundle) -> str:
    """Hexadecimal digest of the file that a bundle's weights are, or their name where they are none (``random``)."""
    file = weights_file(bundle.weights)
    return bundle.weights if file is None else sha256(file)


def weights_file(weights: str) -> Path | None:
    """The file that weights are, None where there is none; of a TensorFlow checkpoint its index.

    A newer one is named by the common beginning of its files.
    """
    return next((file for file in (Path(weights), Path(f"{weights}.index")) if file.is_file()), None)
