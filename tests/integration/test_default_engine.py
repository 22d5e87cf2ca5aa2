"""What computes where nobody named an engine and none was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamtag.core.bundle import Bundle
from streamtag.networks import loading
from streamtag.networks.loading import load
from streamtag.networks.registry import resolve
from streamtag.settings import ModelSettings, Settings
from structlog.testing import capture_logs

from tests.support.bundles import whole_bundle


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small network in a bundle of its own."""
    return resolve(ModelSettings(name=str(whole_bundle(tmp_path_factory.mktemp("own")))))


def settings_in(cache: Path, **engine: object) -> Settings:
    return Settings.model_validate({"model": {"name": "own", "cache": str(cache)}, "engine": {"buckets": [1]} | engine})


def test_openvino_takes_what_was_converted(own: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One picture is what most commands classify, and it took as long as importing TensorFlow does."""

    def never(*given: Any) -> Any:
        raise AssertionError("built anew")

    load(settings_in(tmp_path), bundle=own)
    monkeypatch.setattr(loading, "build_model", never)
    choice = load(settings_in(tmp_path), bundle=own).choice
    assert (choice.engine, choice.precision, choice.origin) == ("openvino", "float32", "default")


def test_a_network_that_openvino_cannot_take_is_computed_by_tensorflow_unless_openvino_is_named(
    own: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: Any) -> Any:
        raise RuntimeError("no translator for an operation")

    from streamtag.networks.engines import conversion  # noqa: PLC0415 - TensorFlow, which takes seconds

    monkeypatch.setattr(conversion, "convert", refuse)
    with capture_logs() as lines:
        choice = load(settings_in(tmp_path), bundle=own).choice
    assert (choice.engine, choice.origin) == ("tf_graph", "default")
    assert "OpenVINO cannot take this network, TensorFlow computes" in [line["event"] for line in lines]
    with pytest.raises(RuntimeError, match="no translator"):
        load(settings_in(tmp_path, name="openvino"), bundle=own)
