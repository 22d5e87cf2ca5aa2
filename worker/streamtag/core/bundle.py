"""What a network needs to be served, as data: labels, input, thresholds. The network itself is made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from streamtag.core.groups import NO_GROUPS, Groups

Mode = Literal["tf", "caffe", "caffe-rounded", "torch", "lite"]
Crop = Literal["center", "squash", "pad"]
Level = Literal["auto", "leaf", "group"]  # see ``labelling.py``
# What a network gives of a picture. Of logits probabilities are made by what is added to it when it is built.
OutputKind = Literal["probabilities", "logits", "sigmoid", "sigmoid-logits"]
HeadInputs = Literal["features", "power", "power+top"]  # what a head looks at
UnknownBy = Literal["probability", "energy", "distance"]
UNKNOWN = "unknown"  # the label of what is none of the classes
WHOLE = "keras"  # architecture of a bundle whose .keras file holds the network itself


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How a picture becomes the network's input."""

    size: int  # height and width of the input, pixels
    mode: Mode = "tf"  # normalisation inside the graph, see networks/engines/normalising.py
    crop: Crop = "center"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3) of the input, uint8 RGB."""
        return (self.size, self.size, 3)


@dataclass(frozen=True, slots=True)
class Quantised:
    """The network in 8-bit integers, beside its weights in a bundle."""

    file: str  # OpenVINO's .xml; its weights lie beside it
    sha256: str  # of its weights
    agreement: float  # share of the held-out pictures whose best class is that of float32


@dataclass(frozen=True, slots=True)
class Unknown:
    """When a picture is none of the classes: where a score of it, the larger the surer, is below a threshold."""

    by: UnknownBy
    threshold: float
    width: float  # over how much of the score the answer changes
    file: str = ""  # of the class means, where they are needed


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a network needs to be served: everything but the network itself."""

    name: str
    architecture: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    weights: str = ""  # imagenet | random | a file
    arguments: dict[str, Any] = field(default_factory=dict)  # of the architecture's builder
    background: frozenset[int] = frozenset()  # classes that mean "nothing there" and never become a label
    temperature: float = 1.0  # calibration: logits are divided by it (Guo et al. 2017)
    thresholds: dict[int, tuple[float, float]] = field(default_factory=dict)  # class to (enter, exit)
    output_kind: OutputKind = "probabilities"
    groups: Groups = NO_GROUPS
    level: Level = "auto"
    exact: float | None = None  # share that a label needs of its groups, in place of ``smoothing.exact``
    note: str = ""  # what its users must know, shown before its answers
    quantised: Quantised | None = None
    unknown: Unknown | None = None  # then the last label is that of none of the others

    @property
    def classes(self) -> int:
        return len(self.labels)

    @property
    def independent(self) -> bool:
        """Whether several classes may be true of one picture: their probabilities do not add up to one."""
        return self.output_kind in ("sigmoid", "sigmoid-logits")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the classes, then of the groups: of one sample there are so many scores."""
        return self.labels + self.groups.names
