"""``bundle.json``: its entries, how it is read and checked, and how it is replaced. Looks at no other file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator

from streamtag.core.bundle import UNKNOWN, Crop, HeadInputs, Mode, OutputKind, UnknownBy
from streamtag.errors import ConfigError, StreamtagError
from streamtag.networks.groups import make_groups

FORMAT: Literal[2] = 2  # 1 called the background classes ``nothing`` and had no ``note``; it is still read
LEAST_SIZE, MOST_SIZE = 16, 2048  # of an input, pixels
MOST_UNITS, MOST_LAYERS = 9999, 16  # of a head
# Their own classifier looks at each place of the picture: at 512 pixels its first layer is of 2 GB, at 2048 of 34.
FLATTENING, MOST_FLATTENED = ("VGG16", "VGG19"), 512
Probability = Annotated[float, Field(ge=0, le=1)]


class QuantisedFile(BaseModel):
    """The entry ``quantised`` of ``bundle.json``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    file: str = Field(description="OpenVINO's .xml in the bundle's folder; its .bin lies beside it.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the .xml file.")
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the .bin file.")
    agreement: Probability = Field(description="Share of the pictures whose best class is that of float32.")
    accuracy: Probability | None = Field(None, description="Share that was right, where the truth was known.")
    accuracy_float32: Probability | None = Field(None, description="The same of float32.")
    pictures: int = Field(ge=1, description="That judged: no part of what it was calibrated with.")
    method: str = Field("", description="How it was made.")


class UnknownFile(BaseModel):
    """The entry ``unknown`` of ``bundle.json``."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    by: UnknownBy = Field(description="The score: best probability, energy of the logits, distance to class means.")
    threshold: float = Field(description="Below it a picture is none of the classes.")
    width: float = Field(gt=0, description="Over how much of the score the answer changes.")
    file: str = Field("", description="Class means in the bundle's folder, .npy, where the score is a distance.")
    sha256: str = Field("", description="Of that file.")
    auroc: Probability = Field(description="How well the score told the classes from the others it was fitted to.")
    others: str = Field("", max_length=200, description="What those were.")


class Arguments(BaseModel):
    """The entry ``arguments`` of ``bundle.json``. Bounded, since memory is taken by it before any weight is read."""

    model_config = ConfigDict(extra="forbid", strict=True)

    width: int = Field(0, ge=1, le=512, description="Of the network of the demo.")
    head: list[Annotated[int, Field(ge=1, le=MOST_UNITS)]] = Field(
        [], max_length=MOST_LAYERS, description="Widths of the layers before the last."
    )
    head_inputs: HeadInputs = Field("features", description="What the head looks at.")
    top: list[Annotated[int, Field(ge=0, le=30_000)]] = Field(
        [], min_length=2, max_length=2, description="Classes of the backbone's own classifier, and groups of them."
    )

    @model_serializer
    def given(self) -> dict[str, Any]:
        """What is said in the file, without what is not."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}


class BundleFile(BaseModel):
    """The content of ``bundle.json``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Literal[2] = Field(description="Version of this schema.")
    name: str = Field(min_length=1, description="What the network is called.")
    architecture: str = Field(description="Name in the registry of architectures, or keras for a whole .keras file.")
    arguments: Arguments = Field(Arguments(), description="Of the architecture's builder.")
    weights: str = Field(description="File in the bundle's folder: .weights.h5 or .keras.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the weights file.")
    labels: list[str] = Field(min_length=1, description="Class names in the order of the outputs.")
    background: list[str] = Field([], description="Labels that mean nothing is there and never become active.")
    note: str = Field("", max_length=500, description="What its users must know; shown before its answers.")
    size: int = Field(ge=LEAST_SIZE, le=MOST_SIZE, description="Height and width of the input, pixels.")
    mode: Mode = Field("tf", description="Normalisation inside the graph.")
    crop: Crop = Field("center", description="How a picture becomes square.")
    outputs: OutputKind = Field(
        "probabilities",
        description="What the network gives: probabilities that add up to 1; logits, to which a softmax is added; "
        "sigmoid, probabilities of several labels at once; sigmoid-logits, to which a sigmoid is added.",
    )
    temperature: float = Field(1.0, gt=0, description="Calibration: logits are divided by it.")
    thresholds: dict[str, tuple[Probability, Probability]] = Field(
        {}, description="Label or group to its smoothed scores of enter and exit."
    )
    groups: dict[str, list[str | int]] = Field(
        {}, description="Name of a union of classes to their labels, or numbers where two classes share a label."
    )
    exact: Probability | None = Field(
        None, description="Share of an active group's score that a label in it needs to be told in its place."
    )
    quantised: QuantisedFile | None = Field(None, description="The network in 8-bit integers.")
    unknown: UnknownFile | None = Field(None, description="When a picture is none of the classes.")
    record: dict[str, Any] = Field({}, description="How the network came to be; for people and for doing it again.")

    @model_validator(mode="after")
    def _consistent(self) -> BundleFile:
        # Two classes may have one name, as two of ImageNet's have, unless something is said of that name.
        twice = [name for name in [*self.thresholds, *self.background] if self.labels.count(name) > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} in thresholds or background is the name of more than one class")
        if self.unknown is not None and UNKNOWN in self.labels:
            raise ValueError(f"{UNKNOWN} is a label already, so that there can be no other outcome of that name")
        make_groups(self.groups, self.labels)  # raises where something is wrong with them
        known = {*self.labels, *self.groups, *([UNKNOWN] if self.unknown else [])}
        unknown = [name for name in self.thresholds if name not in known]
        unknown += [name for name in self.background if name not in self.labels]
        if unknown:
            raise ValueError(f"{', '.join(unknown)} in thresholds or background is no label of this bundle")
        with_classifier = "head" not in self.arguments.model_fields_set or "top" in self.arguments.model_fields_set
        if self.architecture in FLATTENING and with_classifier and self.size > MOST_FLATTENED:
            raise ValueError(
                f"size {self.size} is too large for {self.architecture}, whose classifier grows with it: at most "
                f"{MOST_FLATTENED}"
            )
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
        text = path.read_text(encoding="utf-8-sig")
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
        faults = [f"{path}: {place(fault)}: {fault['msg']}" for fault in error.errors()]
        raise ConfigError("\n".join(faults)) from None


def place(fault: Mapping[str, Any]) -> str:
    """Which entry a fault is of."""
    return ".".join(map(str, fault["loc"])) or "bundle"


def _of_format_1(content: dict[str, Any]) -> dict[str, Any]:
    renamed = {"background" if name == "nothing" else name: value for name, value in content.items()}
    return renamed | {"format": FORMAT}


def write_bundle_file(folder: Path, content: BundleFile) -> None:
    """Replace ``bundle.json`` in one step.

    Raises:
        StreamtagError: it cannot be written.
    """
    part = folder / "bundle.json.part"
    try:
        part.write_text(content.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
        part.replace(folder / "bundle.json")
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StreamtagError(f"{folder / 'bundle.json'}: {error.strerror}") from None
