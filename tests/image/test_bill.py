"""The bill of materials of the image, as ``make image-sbom`` writes it: what is in it, by name and version."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.support.containers import ROOT, Containers

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

BUILDERS = {"setuptools", "wheel"}  # they build the worker, and are gone from the image


@pytest.fixture(scope="module")
def bill(containers: Containers, image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is written of the image where there is no network."""
    path = tmp_path_factory.mktemp("bill") / "sbom.json"
    containers("unshare", "--net", str(ROOT / "scripts" / "image-sbom"), "podman", image, str(path), limit_s=600)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_it_says_of_what_it_is(bill: dict[str, Any]) -> None:
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    described = bill["metadata"]["component"]
    assert (described["name"], described["version"]) == ("streamtag", "test")


def test_every_package_of_the_lock_is_in_it_and_nothing_else_of_python(bill: dict[str, Any]) -> None:
    text = (ROOT / "requirements" / f"cpu-{platform.machine()}.txt").read_text(encoding="utf-8")
    locked = {(canonicalize_name(name), version) for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", text)}
    assert len(locked) > 40
    found = {
        (canonicalize_name(one["name"]), one["version"])
        for one in bill["components"]
        if one.get("purl", "").startswith("pkg:pypi/")
    }
    locked = {(name, version) for name, version in locked if name not in BUILDERS}
    assert {one for one in found if one[0] != "streamtag"} == locked


def test_what_debian_gave_is_in_it(bill: dict[str, Any], containers: Containers, image: str) -> None:
    with containers.mounted(image) as files:
        packages = (files / "var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n")
    installed = {one.split()[1] for one in packages if "\nStatus: install ok installed\n" in one}
    assert {"tini", "python3", "libseccomp2"} <= installed
    assert installed == {one["name"] for one in bill["components"] if one.get("purl", "").startswith("pkg:deb/")}


def test_no_path_of_the_machine_that_made_it_is_told(bill: dict[str, Any], containers: Containers) -> None:
    assert str(Path.home()) not in json.dumps(bill)
