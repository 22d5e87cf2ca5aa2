"""A bundle: a folder with a network, its labels, its preprocessing and its thresholds. Reads JSON only, no network."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamtag.core.bundle import Bundle, Crop, Mode, Preprocessing
from streamtag.errors import ConfigError, StreamtagError

FORMAT: Literal[2] = 2  # 1 called the background classes ``nothing`` and had no ``note``; it is still read
Probability = Annotated[float, Field(ge=0, le=1)]


class BundleFile(BaseModel):
    """The content of ``bundle.json``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[2] = Field(description="Version of this schema.")
    name: str = Field(min_length=1, description="What the network is called.")
    architecture: str = Field(description="Name in the registry of architectures, or keras for a whole .keras file.")
    arguments: dict[str, Any] = Field({}, description="Of the architecture's builder.")
    weights: str = Field(description="File in the bundle's folder: .weights.h5 or .keras.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the weights file.")
    labels: list[str] = Field(min_length=1, description="Class names in the order of the outputs.")
    background: list[str] = Field([], description="Labels that mean nothing is there and never become active.")
    note: str = Field("", max_length=500, description="What its users must know; shown before its answers.")
    size: int = Field(ge=16, le=2048, description="Height and width of the input, pixels.")
    mode: Mode = Field("tf", description="Normalisation inside the graph.")
    crop: Crop = Field("center", description="How a picture becomes square.")
    temperature: float = Field(1.0, gt=0, description="Calibration: logits are divided by it.")
    thresholds: dict[str, tuple[Probability, Probability]] = Field(
        {}, description="Label to its smoothed scores of enter and exit."
    )
    record: dict[str, Any] = Field({}, description="How the network came to be; for people and for doing it again.")

    @model_validator(mode="after")
    def _consistent(self) -> BundleFile:
        # Two classes may have one name, as two of ImageNet's have, unless something is said of that name.
        twice = [name for name in [*self.thresholds, *self.background] if self.labels.count(name) > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} in thresholds or background is the name of more than one class")
        unknown = [name for name in [*self.thresholds, *self.background] if name not in self.labels]
        if unknown:
            raise ValueError(f"{', '.join(unknown)} in thresholds or background is no label of this bundle")
        upside_down = [name for name, (enter, leave) in self.thresholds.items() if leave > enter]
        if upside_down:
            raise ValueError(f"the exit threshold of {', '.join(upside_down)} is above its enter threshold")
        return self


def read_bundle_file(folder: Path) -> BundleFile:
    """Read and check ``bundle.json`` of a folder, without a look at the weights.

    Raises:
        ConfigError: no such folder or file, or one line for each fault in it.
    """
    path = folder / "bundle.json"
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; a bundle is a folder with a bundle.json") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from None
    if isinstance(content, dict):
        if content.get("format") == 1:
            content = _of_format_1(content)
        if content.get("format", FORMAT) != FORMAT:
            raise ConfigError(
                f"{path}: format {content['format']} is not {FORMAT}; it needs another version of Streamtag"
            )
    try:
        return BundleFile.model_validate_json(json.dumps(content))
    except ValidationError as error:
        faults = [f"{path}: {'.'.join(map(str, fault['loc'])) or 'bundle'}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError("\n".join(faults)) from None


def _of_format_1(content: dict[str, Any]) -> dict[str, Any]:
    renamed = {"background" if name == "nothing" else name: value for name, value in content.items()}
    return renamed | {"format": FORMAT}


def read_bundle(folder: Path) -> Bundle:
    """Read ``bundle.json`` of a folder and check the weights against their hash.

    Raises:
        ConfigError: no such folder or file, an unknown or missing entry, a wrong type, a hash that does not match.
    """
    content = read_bundle_file(folder)
    path = folder / "bundle.json"
    weights = folder / content.weights
    if weights.parent.resolve() != folder.resolve():
        raise ConfigError(f"{path}: weights {content.weights!r} must lie in the bundle's own folder")
    if not weights.is_file():
        raise ConfigError(f"{path}: its weights file {content.weights!r} is missing")
    if sha256(weights) != content.sha256:
        raise ConfigError(f"{weights}: does not match the sha256 in bundle.json; copy the bundle again")
    by_name = {label: class_id for class_id, label in enumerate(content.labels)}
    return Bundle(
        name=content.name,
        architecture=content.architecture,
        arguments=content.arguments,
        labels=tuple(content.labels),
        preprocessing=Preprocessing(content.size, content.mode, content.crop),
        weights=str(weights),
        background=frozenset(by_name[name] for name in content.background),
        note=content.note,
        temperature=content.temperature,
        thresholds={by_name[name]: pair for name, pair in content.thresholds.items()},
    )


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
            arguments=bundle.arguments,
            weights=name,
            sha256=sha256(weights),
            labels=list(labels),
            background=sorted(labels[class_id] for class_id in bundle.background),
            note=bundle.note,
            size=bundle.preprocessing.size,
            mode=bundle.preprocessing.mode,
            crop=bundle.preprocessing.crop,
            temperature=bundle.temperature,
            thresholds={labels[class_id]: pair for class_id, pair in bundle.thresholds.items()},
            record=record or {},
        )
    except ValidationError as error:
        raise ConfigError("\n".join(f"{folder}: {fault['msg']}" for fault in error.errors())) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if weights != folder / name:
            shutil.move(weights, folder / name)
    except OSError as error:
        raise StreamtagError(f"{folder}: {error.strerror}; name another folder with --out") from None
    write_bundle_file(folder, content)


def write_bundle_file(folder: Path, content: BundleFile) -> None:
    """Replace ``bundle.json`` in one step.

    Raises:
        StreamtagError: it cannot be written.
    """
    part = folder / "bundle.json.part"
    try:
        part.write_text(content.model_dump_json(indent=2) + "\n", encoding="utf-8")
        part.replace(folder / "bundle.json")
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StreamtagError(f"{folder / 'bundle.json'}: {error.strerror}") from None


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
