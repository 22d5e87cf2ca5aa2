"""OpenVINO among the peers of our engines: what it computes does not depend on what becomes of the Keras model."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from streamtag.core.bundle import Bundle
from streamtag.networks.engines.silence import forbid_telemetry
from streamtag.networks.loading import build_model, bundle_with_weights
from streamtag.settings import EngineSettings, ModelSettings
from streamtag.tools.bench import by_hand
from streamtag.tools.bench.by_hand_loops import openvino_loop


def one(model: Any, bundle: Bundle) -> object:
    return next(make for name, _, make in by_hand.peers(model, bundle, 1, None) if name == "openvino by hand")()


@pytest.mark.parametrize("make", [one, openvino_loop])
def test_it_has_weights_of_its_own(make: Callable[[Any, Bundle], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """The Keras model's are given to others once that is let go, who then write into the network that is compiled."""
    forbid_telemetry()
    import openvino as ov  # noqa: PLC0415 - see above

    converted: list[Any] = []
    convert = ov.convert_model

    def noting(*given: Any, **named: Any) -> Any:
        converted.append(convert(*given, **named))
        return converted[0]

    monkeypatch.setattr(ov, "convert_model", noting)
    bundle = bundle_with_weights(ModelSettings(name="demo"))
    model = build_model(bundle, EngineSettings(name="tf_graph"))
    weights = [weight.ravel() for weight in model.get_weights()]
    made = make(model, bundle)
    del model
    gc.collect()
    others = [np.full(weight.shape, 7, np.float32) for weight in weights for _ in range(20)]
    constants = [np.array(op.get_data()).ravel() for op in converted[0].get_ops() if op.get_type_name() == "Constant"]
    bias = weights[-1]
    assert any(np.array_equal(bias, constant) for constant in constants)
    del made, others
