"""What a program compiled by XLA for a card does in a call: in its text the entry computation has a line a kernel."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_LINE = re.compile(
    r"^\s+(?:ROOT )?%(?P<name>[\w.-]+) = (?P<type>\(.*?\)|\S+) (?P<op>[\w-]+)\((?P<given>[^)]*)\)(?P<rest>.*)$"
)
_SHAPE = re.compile(r"(?P<kind>[a-z]+[0-9]*)\[(?P<sizes>[0-9,]*)\]")
_BYTES = {"pred": 1, "u8": 1, "s8": 1, "bf16": 2, "f16": 2, "f32": 4, "s32": 4, "u32": 4, "f64": 8, "s64": 8}
_NO_KERNEL = {"parameter", "constant", "bitcast", "get-tuple-element", "tuple"}
_FUSED = "__cudnn$convBiasActivationForward"


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction of the entry computation."""

    name: str
    op: str
    kind: str  # of its first output
    bytes_out: int
    given: tuple[str, ...]
    target: str  # of a custom call

    @property
    def is_kernel(self) -> bool:
        """Whether it runs on the card."""
        return self.op not in _NO_KERNEL

    @property
    def moves_only(self) -> bool:
        """Whether it only lays its input out anew."""
        return self.op in ("copy", "transpose") or "transpose" in self.name


@dataclass(slots=True)
class Program:
    """The entry computation."""

    steps: dict[str, Step] = field(default_factory=dict)
    of_weights: set[str] = field(default_factory=set)  # steps that depend on nothing else

    @property
    def kernels(self) -> list[Step]:
        return [step for step in self.steps.values() if step.is_kernel]

    @property
    def fused_convolutions(self) -> list[Step]:
        """Convolutions with their bias and activation in one call."""
        return [step for step in self.kernels if step.target == _FUSED]

    @property
    def convolutions(self) -> list[Step]:
        """All calls of a convolution."""
        return [step for step in self.kernels if step.target.startswith("__cudnn$conv")]

    @property
    def weight_kernels(self) -> list[Step]:
        """Kernels that do in every call what could be done once."""
        return [step for step in self.kernels if step.name in self.of_weights]

    @property
    def transposes(self) -> list[Step]:
        """Kernels that only lay activations out anew."""
        return [step for step in self.kernels if step.moves_only and step.name not in self.of_weights]

    @property
    def bytes_moved(self) -> int:
        """What all kernels read and write, each input and output once."""
        return sum(
            step.bytes_out + sum(self.steps[name].bytes_out for name in set(step.given) if name in self.steps)
            for step in self.kernels
        )


def read(text: str, pictures: str = "pictures") -> Program:
    """A compiled program's text.

    Args:
        pictures: how the name of the parameter begins that is no weight.
    """
    program = Program()
    for step in _entry(text):
        program.steps[step.name] = step
        if step.op == "parameter":
            own = not step.name.startswith(pictures)
        else:
            own = all(name in program.of_weights for name in step.given)
        if own:
            program.of_weights.add(step.name)
    return program


def _entry(text: str) -> Iterator[Step]:
    inside = False
    for line in text.splitlines():
        if line.startswith("ENTRY"):
            inside = True
        elif inside and line.startswith("}"):
            return
        elif inside and (found := _LINE.match(line)):
            first = _SHAPE.search(found["type"])
            assert first is not None, line
            target = re.search(r'custom_call_target="([^"]*)"', found["rest"])
            given = tuple(re.findall(r"%([\w.-]+)", found["given"]))
            yield Step(
                found["name"], found["op"], first["kind"], _size(first), given, target.group(1) if target else ""
            )


def _size(shape: re.Match[str]) -> int:
    sizes = [int(size) for size in shape["sizes"].split(",") if size]
    return math.prod(sizes) * _BYTES[shape["kind"]]
