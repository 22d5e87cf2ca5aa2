"""ONNX Runtime among the peers of our engines: where somebody has installed it; no extra of ours brings it."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from streamtag.networks.loading import build_model, bundle_with_weights
from streamtag.networks.registry import resolve
from streamtag.settings import EngineSettings, ModelSettings
from streamtag.tools.bench import by_hand

NAME = "onnx runtime by hand"


@pytest.mark.parametrize("installed", [True, False])
def test_it_takes_part_where_it_is_installed(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_hand, "find_spec", lambda module: object() if installed else None)
    bundle = resolve(ModelSettings(name="demo"))
    names = [name for name, _, _ in by_hand.peers(None, bundle, 1, None)]
    assert (NAME in names) == installed
    assert "openvino by hand" in names


@pytest.mark.skipif(not (find_spec("onnxruntime") and find_spec("tf2onnx")), reason="onnxruntime is not installed")
def test_it_gives_what_keras_gives() -> None:
    bundle = bundle_with_weights(ModelSettings(name="demo"))
    model = build_model(bundle, EngineSettings(name="tf_graph"))
    make = next(make for name, _, make in by_hand.peers(model, bundle, 2, None) if name == NAME)
    pictures = np.random.default_rng(0).integers(0, 256, (2, *bundle.preprocessing.shape), np.uint8)
    np.testing.assert_allclose(make()(pictures), by_hand.keras_predict(model, bundle)(pictures), atol=1e-4)
