"""Bundles: made of networks and weights, and verified. What ``streamtag models`` does beyond printing."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamtag.core.bundle import WHOLE, Bundle, OutputKind, Preprocessing
from streamtag.core.groups import Groups
from streamtag.errors import ConfigError, StreamtagError
from streamtag.logs import quiet_stderr
from streamtag.networks.bundles import read_bundle, write_bundle
from streamtag.networks.groups import choose_groups
from streamtag.networks.loading import build_model, compile_model
from streamtag.networks.registry import converted, ensure_weights, find_weights, read_labels, resolve
from streamtag.networks.specs import SPECS
from streamtag.networks.weights import fetching
from streamtag.settings import EngineSettings, ModelSettings, Settings
from streamtag.tools.bundle_folder import staged


def verify(name: str, settings: Settings) -> dict[str, Any]:
    """Build a network or bundle, try it, and say what it is.

    Raises:
        StreamtagError: it is not here, is damaged, or gives no probabilities.
    """
    given = settings.model
    if name in SPECS and not given.weights:
        spec = SPECS[name]
        path = find_weights(name, given)
        if path is None:
            how = f"streamtag models fetch {name}" if spec.download else f"streamtag models import {name} FILE"
            raise ConfigError(f"{name}: its weights are not on this machine; run: {how}")
        if spec.download and path.name == spec.download.file_name and not fetching.matches(path, spec.download.digest):
            raise ConfigError(
                f"{path}: is not what was published ({spec.download.digest}); delete it and fetch it anew"
            )
    chosen = given.model_copy(update={"name": name})
    asked = ensure_weights(resolve(chosen), chosen)
    model = build_model(asked, settings.engine)
    # Sees, too, that it gives probabilities.
    engine = compile_model(model, asked, settings.engine.model_copy(update={"buckets": [1]})).engine
    return {
        "name": name,
        "ok": True,
        "architecture": asked.architecture,
        "parameters": model.count_params(),
        "classes": asked.classes,
        "engine": engine.name,
        "device": engine.device,
    }


def keep(name: str, file: Path, settings: ModelSettings) -> Path:
    """Convert a foreign weights file into the cache, for use by the network's name.

    Raises:
        ConfigError: it cannot be read safely, or is of another network.
        StreamtagError: the cache cannot be written.
    """
    target = converted(name, settings)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            weights = _built_weights(settings.model_copy(update={"name": name, "weights": str(file)}), Path(folder))
            weights.replace(target)
    except OSError as error:
        raise StreamtagError(
            f"{target.parent}: {name} cannot be stored: {error.strerror}; make room there, or name another folder with "
            "--set model.cache=FOLDER"
        ) from None
    return target


def _built_weights(settings: ModelSettings, folder: Path) -> Path:
    """A network's weights in Keras's own form, in a temporary folder."""
    asked = ensure_weights(resolve(settings), settings)
    path = folder / "network.weights.h5"
    model = build_model(asked, EngineSettings())
    from streamtag.networks.building import save_weights  # noqa: PLC0415 - Keras, whose backend is chosen by now

    save_weights(model, path)
    return path


def make(settings: ModelSettings, folder: Path, record: dict[str, Any]) -> None:
    """A bundle of the network that the settings name.

    Raises:
        StreamtagError: the weights do not fit, or the folder cannot be written.
    """
    bundle = resolve(settings)
    if not settings.groups:  # those that a network of its classes gets by itself need not be in it
        bundle = replace(bundle, groups=Groups())
    with staged(folder) as new:
        write_bundle(new, bundle, _built_weights(settings, new), record)
        read_bundle(new)


def make_whole(
    file: Path, settings: ModelSettings, size: int | None, mode: str, outputs: str, folder: Path
) -> OutputKind:
    """A bundle around a .keras file, which says itself what its input and its outputs are.

    Args:
        outputs: what people say of its outputs; empty where that is to be found out.

    Returns:
        What the outputs are.

    Raises:
        ConfigError: it would run code, or its input, its outputs and what was said of them do not agree.
    """
    if settings.labels is None:
        raise ConfigError(f"{file}: name its classes with --labels FILE")
    labels = read_labels(settings.labels)
    asked = Bundle(file.stem, WHOLE, labels, Preprocessing(size or 16), weights=str(file))
    model = build_model(asked, EngineSettings())
    kind = _kind(model, outputs)
    own = model.input_shape[1]
    if own is None and size is None:
        raise ConfigError(f"{file}: takes pictures of any size; say with --size of how many pixels they shall be")
    if own is not None and size not in (None, own):
        raise ConfigError(f"{file}: --size {size}: it takes {own} pixels and nothing else; leave --size out")
    preprocessing = Preprocessing(own or size or 0, mode, settings.crop)  # type: ignore[arg-type]
    groups = choose_groups(settings.groups, Groups(), labels) if settings.groups else Groups()
    bundle = replace(asked, preprocessing=preprocessing, groups=groups, output_kind=kind)
    with staged(folder) as new:
        write_bundle(new, bundle, Path(shutil.copyfile(file, new / "network.keras")), {"made_from": file.name})
    return kind


def _kind(model: Any, said: str) -> OutputKind:
    from streamtag.networks.outputs import find_kind  # noqa: PLC0415 - Keras, whose backend is chosen by now

    with quiet_stderr():
        return find_kind(model, said)
