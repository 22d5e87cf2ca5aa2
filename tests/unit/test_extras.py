"""Optional packages: declared once, and asked for before the work."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
from streamtag.errors import ConfigError
from streamtag.extras import NEEDS, Package, install_hint, require

ROOT = Path(__file__).parents[2]


def test_the_packages_are_those_of_the_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package in {package for packages in NEEDS.values() for package in packages}:
        assert package.requirement in extras[package.extra]


def test_what_is_there_is_asked_for_in_silence() -> None:
    require("train", "evaluate --report", "--plot")


def test_what_is_missing_is_named_with_a_command_that_pip_understands(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Package("no_such_module", "no-such-distribution>=1,<2", "train")
    monkeypatch.setitem(NEEDS, "train", (*NEEDS["train"], absent))
    with pytest.raises(ConfigError, match="train needs no_such_module, not installed here; run: ") as caught:
        require("train")
    command = re.search(r"run: (.*?)   \(in a checkout: pip install '\.\[train\]'\)", str(caught.value))
    assert command is not None
    assert shlex.split(command[1]) == [sys.executable, "-m", "pip", "install", "no-such-distribution>=1,<2"]


def test_several_extras_are_one_command() -> None:
    assert "'.[jax,train]'" in install_hint((*NEEDS["engine jax"], *NEEDS["train"]))
