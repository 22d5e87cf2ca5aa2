"""Memory that OpenVINO would share: with a Keras model that is let go, and with a file that is written over."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamtag.core.bundle import Bundle, Quantised
from streamtag.networks.building import build
from streamtag.networks.bundles import weights_sha256
from streamtag.networks.engines.silence import forbid_telemetry
from streamtag.networks.loading import build_model, bundle_with_weights, kept_conversion
from streamtag.networks.registry import resolve
from streamtag.settings import EngineSettings, ModelSettings
from streamtag.tools.bench import by_hand
from streamtag.tools.bench.by_hand_loops import openvino_loop
from streamtag.tools.demo.train import draw_set


def one(model: Any, bundle: Bundle) -> object:
    return next(make for name, _, make in by_hand.peers(model, bundle, 1, None) if name == "openvino by hand")()


@pytest.mark.parametrize("make", [one, openvino_loop])
def test_what_is_written_by_hand_has_weights_of_its_own(
    make: Callable[[Any, Bundle], object], monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_converted_network_has_weights_of_its_own() -> None:
    """The demo's last bias once was memory that had been given back, which whatever came next wrote into."""
    forbid_telemetry()
    from streamtag.networks.engines.conversion import convert  # noqa: PLC0415 - see above

    demo = resolve(ModelSettings(name="demo"))
    model = build(demo)
    bias = model.get_weights()[-1]
    for _ in range(3):
        network = convert(model, demo)
        gc.collect()
        weights = [np.array(step.get_data()) for step in network.get_ops() if step.get_type_name() == "Constant"]
        assert sum(np.array_equal(weight.ravel(), bias) for weight in weights) == 1


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_weights_that_are_written_over_while_they_serve_change_nothing(precision: str, tmp_path: Path) -> None:
    """As when a newer bundle is copied over it: a file that is mapped would be read anew by what was compiled of it."""
    forbid_telemetry()
    from streamtag.networks.engines.openvino_engine import Converted, OpenVinoEngine  # noqa: PLC0415 - see above

    demo = resolve(ModelSettings(name="demo"))
    made = kept_conversion(ModelSettings(cache=tmp_path), demo, "float32", weights_sha256(demo))
    made.make(build(demo))
    file = made.folder / "network.xml"
    converted = made.read() if precision == "float32" else Converted(None, None)
    assert converted is not None
    bundle = replace(demo, quantised=Quantised(str(file), "0" * 64, 1.0))
    engine = OpenVinoEngine(converted, bundle, EngineSettings(name="openvino", precision=precision, buckets=[1, 4]))
    for bucket in engine.buckets:
        engine.compile(bucket)
    pictures, _ = draw_set(1, 42)
    scores = engine.predict(pictures)
    size = file.with_suffix(".bin").stat().st_size
    with file.with_suffix(".bin").open("r+b") as weights:  # as long as before: of a mapped one the rest would be SIGBUS
        weights.write(b"\x3f" * size)
    np.testing.assert_array_equal(engine.predict(pictures), scores)
