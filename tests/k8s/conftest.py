"""The manifests as a cluster would get them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = sorted(path.name for path in (K8S / "overlays").iterdir())
# An overlay with components, as somebody's own would name them.
WITH_COMPONENTS = ["cpu+live-saturation", "gpu+live-saturation", "cpu+view+notify", "sentinel+notify"]
# What the component `notify` asks of the overlay that names it.
SINKS = K8S.parent / "config" / "compose" / "notify.yaml"


@cache
def rendered(overlay: str, model: str = "") -> tuple[dict[str, Any], ...]:
    """The objects of an overlay, with the components that follow a plus, by kubectl's kustomize.

    Args:
        model: another one than the overlay's, as somebody's copy has it.
    """
    name, *components = overlay.split("+")
    if not components and not model:
        return _kustomized(K8S / "overlays" / name)
    with tempfile.TemporaryDirectory() as folder:
        named: dict[str, Any] = {
            "resources": [os.path.relpath(K8S / "overlays" / name, Path(folder).resolve())],
            "components": [os.path.relpath(K8S / "components" / one, Path(folder).resolve()) for one in components],
        }
        generated = named["configMapGenerator"] = []
        if "notify" in components:
            shutil.copy(SINKS, folder)
            generated.append({"name": "streamtag-notify", "files": [SINKS.name]})
        if model:
            literals = [f"STREAMTAG_MODEL__NAME={model}"]
            generated.append({"name": "streamtag", "behavior": "merge", "literals": literals})
            named["nameSuffix"] = f"-{model}"
            named["labels"] = [{"pairs": {"streamtag/model": model}, "includeSelectors": True}]
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(named), encoding="utf-8")
        return _kustomized(Path(folder))


def _kustomized(folder: Path) -> tuple[dict[str, Any], ...]:
    binary = shutil.which("kubectl", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert binary, "kubectl is missing: make system gets it"
    command = [binary, "kustomize", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return tuple(yaml.safe_load_all(ran.stdout))


@pytest.fixture(params=[*OVERLAYS, *WITH_COMPONENTS])
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def objects(overlay: str) -> tuple[dict[str, Any], ...]:
    return rendered(overlay)
