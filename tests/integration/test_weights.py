"""Keras's own download, against a server of ours, and without any network."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from worker.errors import ConfigError
from worker.models.building import build
from worker.models.registry import resolve
from worker.settings import ModelSettings

NAME = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module that names Keras's address, with a cache folder of the test's own."""
    import sys

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(
        sys.modules["keras.src.utils.file_utils"].config, "keras_home", lambda: str(tmp_path / "keras"), raising=False
    )
    return sys.modules["keras.src.applications.mobilenet_v2"]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_weights_are_downloaded_and_loaded(
    module: Any, web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = keras.applications.MobileNetV2(weights=None)
    trained.save_weights(tmp_path / "x.weights.h5")
    (tmp_path / "x.weights.h5").rename(tmp_path / "web" / NAME)
    monkeypatch.setattr(module, "BASE_WEIGHT_PATH", web)
    monkeypatch.setattr(module.file_utils, "get_file", _into(tmp_path / "cache", module.file_utils.get_file))
    model = build(resolve(ModelSettings(name="mobilenetv2", weights="imagenet")))
    for loaded, expected in zip(model.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, expected)


def _into(folder: Path, get_file: Any) -> Any:
    """Keras's own download, into a folder of the test's; the name must end as Keras's loader wants it."""

    def download(name: str, origin: str, **options: Any) -> str:
        target = get_file(name, origin, cache_dir=str(folder), **options)
        renamed = Path(target).with_name("got.weights.h5")
        Path(target).rename(renamed)
        return str(renamed)

    return download


def test_without_a_network_the_message_names_the_file_and_the_place(
    module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "BASE_WEIGHT_PATH", "http://127.0.0.1:9/")
    monkeypatch.setattr(module.file_utils, "get_file", _into(tmp_path / "cache", module.file_utils.get_file))
    with pytest.raises(ConfigError) as caught:
        build(resolve(ModelSettings(name="mobilenetv2", weights="imagenet")))
    text = str(caught.value)
    assert f"http://127.0.0.1:9/{NAME}" in text
    assert str(tmp_path / "keras" / "models" / NAME) in text
    assert "--weights" in text
