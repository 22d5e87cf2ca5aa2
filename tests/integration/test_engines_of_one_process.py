"""Engines that are compiled beside each other in one process, as they are to be timed in turns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from streamtag.networks.building import build
from streamtag.networks.engines.machine import this_machine
from streamtag.networks.loading import compile_model
from streamtag.networks.registry import resolve
from streamtag.settings import EngineSettings, ModelSettings
from streamtag.tools.demo.train import draw_set


def test_bfloat16_of_one_engine_is_nobody_elses() -> None:
    """Float32 engines and Keras beside it compute as they did."""
    if not (this_machine().bfloat16 or "avx512f" in this_machine().flags):
        pytest.skip("TensorFlow leaves graphs in float32 on this processor")
    bundle = resolve(ModelSettings(name="demo"))
    model = build(bundle)
    pictures, _ = draw_set(3, 4)
    exact = compile_model(model, bundle, EngineSettings(name="tf_graph", buckets=[4])).engine
    rounding = EngineSettings(name="tf_graph", buckets=[4], precision="bfloat16")

    def logs(engine: Any) -> Any:
        return np.log(engine.dispatch(pictures[:4]).result())  # the best scores are 1.0 in any precision

    before, by_keras = logs(exact), model.predict(pictures[:4] / 255.0, verbose=0)
    rounded = compile_model(model, bundle, rounding).engine
    in_16_bits = logs(rounded)
    assert np.abs(in_16_bits - before).max() > 1e-2, "it is emulated where the processor does not have it"
    np.testing.assert_allclose(logs(exact), before, atol=1e-3)
    np.testing.assert_allclose(np.log(model.predict(pictures[:4] / 255.0, verbose=0)), np.log(by_keras), atol=1e-3)
    compile_model(model, bundle, EngineSettings(name="tf_graph", buckets=[4]))
    np.testing.assert_allclose(logs(rounded), in_16_bits, atol=1e-3)
