"""Commands on a machine without the optional packages: refused at once, by name, and before any work."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import cv2
import pytest
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import LABELS, Scene

from tests.support.command_line import json_lines, run_cli

# Python reads this file at start: the modules named are there no more, whoever asks.
HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None

sys.meta_path.insert(0, Hidden())
"""


def without(folder: Path, *modules: str) -> Mapping[str, str]:
    """An environment in which these modules cannot be imported."""
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "sitecustomize.py").write_text(HIDING.format(hidden=modules))
    return {"PYTHONPATH": os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """One picture of each class of the demo network."""
    for number, label in enumerate(LABELS):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "pictures" / label / "1.png"), Scene(label, 500 + number).frame(0.4))
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    ("command", "module", "package"),
    [
        (("train", "{pictures}", "--out", "{out}"), "sklearn", "scikit-learn"),
        (("train", "{pictures}", "--out", "{out}"), "matplotlib", "matplotlib"),
        (("evaluate", "demo", "{pictures}"), "sklearn", "scikit-learn"),
        (("evaluate", "demo", "{pictures}", "--report", "{out}"), "jinja2", "jinja2"),
        (("evaluate-stream", "--plot", "{out}"), "matplotlib", "matplotlib"),
        (("classify", "{pictures}/star/1.png", "--plot", "{out}"), "matplotlib", "matplotlib"),
        (("classify", "{pictures}/star/1.png", "--set", "engine.name=openvino"), "openvino", "openvino"),
    ],
)
@pytest.mark.long
def test_a_missing_package_is_named_before_the_work(
    command: tuple[str, ...], module: str, package: str, pictures: Path, tmp_path: Path, settings: Settings
) -> None:
    """With the command that installs it, on one line, exit code 2; nothing is written, and TensorFlow not imported."""
    out = tmp_path / "out"
    filled = [part.format(pictures=pictures, out=out) for part in command]
    ran = run_cli(settings, *filled, env=without(tmp_path, module, "tensorflow"))
    assert ran.returncode == 2, ran.stderr
    assert f"needs {module}" in ran.stderr
    assert f"-m pip install '{package}" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not out.exists()


@pytest.mark.long
def test_figures_as_json_need_no_report_s_packages(pictures: Path, tmp_path: Path, settings: Settings) -> None:
    env = without(tmp_path, "jinja2", "matplotlib")
    ran = run_cli(settings, "evaluate", "demo", str(pictures), "--json", env=env)
    assert ran.returncode == 0, ran.stderr
    assert json_lines(ran.stdout)[0]["samples"] == len(LABELS)
