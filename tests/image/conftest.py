"""The image of the worker, built once, and a Redis for what runs in it."""

from __future__ import annotations

import os
import shutil

import pytest
from streamtag.settings import Settings

from tests.support import environment
from tests.support.containers import Containers

NEEDED = ("podman", "buildah", "runc", "mmdebstrap")


@pytest.fixture(scope="session")
def containers() -> Containers:
    if os.geteuid() != 0:
        pytest.skip("building and running containers is tried as root only")
    missing = [name for name in NEEDED if not shutil.which(name)]
    assert not missing, f"{missing} are missing: make image-test installs them"
    return Containers()


@pytest.fixture(scope="session")
def image(containers: Containers) -> str:
    return containers.streamtag()


@pytest.fixture
def own(settings: Settings) -> list[str]:
    """The options that give a container the settings of a test."""
    chosen = environment(settings)
    return [f"--env={name}={value}" for name, value in chosen.items() if name.startswith("STREAMTAG_")]
