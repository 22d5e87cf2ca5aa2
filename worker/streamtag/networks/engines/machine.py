"""What this machine computes with, told without a framework: it takes seconds to import one."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from streamtag.control_groups import cores

_LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "openvino", "jax", "jaxlib", "numpy")


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, graphics cards and libraries: what the speed of an engine depends on."""

    processor: str
    flags: frozenset[str]  # as Linux names what the processor can do
    cores: int  # that this process may keep busy
    cards: tuple[str, ...]  # NVIDIA devices, by the name of their model
    libraries: tuple[tuple[str, str], ...]  # name and version of those that are installed

    @property
    def bfloat16(self) -> bool:
        """Whether the processor multiplies it by itself; emulated it was 0.29 times as fast as float32."""
        return bool(self.flags & {"avx512_bf16", "amx_bf16", "bf16", "svebf16"})

    def has(self, library: str) -> bool:
        """Whether it is installed."""
        return any(name == library for name, _ in self.libraries)

    def identity(self) -> dict[str, Any]:
        """All of it, in a form that is the same text each time."""
        return asdict(self) | {"flags": sorted(self.flags)}


def this_machine() -> Machine:
    """The machine that this process runs on."""
    fields = _processor(Path("/proc/cpuinfo"))
    return Machine(
        processor=fields.get("model name", fields.get("CPU part", platform.machine())),
        flags=frozenset(fields.get("flags", fields.get("Features", "")).split()),
        cores=cores(),
        cards=tuple(_cards(Path("/proc/driver/nvidia/gpus"))),
        libraries=tuple(versions(_LIBRARIES)),
    )


def threads(asked: int) -> int:
    """Of one inference: as many as asked for, or as the container may keep busy; 0 for all there are.

    More than a container's quota all run until that is used up, and then none of them for the rest of 0.1 s.
    """
    if asked:
        return asked
    share = cores()
    return share if share < len(os.sched_getaffinity(0)) else 0


def _processor(path: Path) -> dict[str, str]:
    """What Linux says of the first processor."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _cards(folder: Path) -> list[str]:
    cards = []
    for path in sorted(folder.glob("*/information")):
        try:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        cards += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return cards


def versions(libraries: Iterable[str]) -> list[tuple[str, str]]:
    """Name and version of those libraries that are installed."""
    found = []
    for name in libraries:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
