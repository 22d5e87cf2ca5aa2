"""What a network needs to be served, as data: labels, input, thresholds. The network itself is made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["tf", "caffe", "caffe-rounded", "torch", "lite"]
Crop = Literal["center", "squash", "pad"]
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
    note: str = ""  # what its users must know, shown before its answers

    @property
    def classes(self) -> int:
        return len(self.labels)
