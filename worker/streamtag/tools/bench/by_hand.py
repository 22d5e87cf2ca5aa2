"""The peers of our engines: what one writes by hand, as the documentation of each advises, without anything of ours."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from streamtag.core.bundle import Bundle
from streamtag.errors import ConfigError
from streamtag.extras import require
from streamtag.networks.engines.normalising import normalise

Run = Callable[[np.ndarray], np.ndarray]


def keras_predict(model: keras.Model, bundle: Bundle) -> Run:
    """``model.predict``, as in Keras's own examples."""
    mode = bundle.preprocessing.mode

    def run(pictures: np.ndarray) -> np.ndarray:
        inputs = np.asarray(normalise(pictures, mode))
        return np.asarray(model.predict(inputs, batch_size=len(inputs), verbose=0))

    return run


def peers(
    model: keras.Model, bundle: Bundle, batch: int, pictures: np.ndarray | None
) -> Iterator[tuple[str, str, Callable[[], Run]]]:
    """Each as its name, its precision, and what makes it.

    Args:
        pictures: real ones, which 8-bit integers are calibrated with.
    """
    yield "xla by hand", "float32", lambda: _xla(model, bundle)
    for hint, precision in (("f32", "float32"), ("bf16", "bfloat16")):
        yield "openvino by hand", precision, lambda hint=hint: _openvino(model, bundle, batch, hint)  # type: ignore[misc]
    yield "openvino by hand", "int8", lambda: _openvino_int8(model, bundle, batch, pictures)
    # Not among the extras, since nothing else needs it: it takes part where somebody has installed it.
    if all(find_spec(module) for module in ("onnxruntime", "onnx", "tf2onnx")):
        yield "onnx runtime by hand", "float32", lambda: _onnxruntime(model, bundle, batch)


def _xla(model: keras.Model, bundle: Bundle) -> Run:
    mode = bundle.preprocessing.mode
    compiled = tf.function(lambda pictures: model(normalise(pictures, mode), training=False), jit_compile=True)
    return lambda pictures: np.asarray(compiled(tf.constant(pictures)))


def converted(model: keras.Model, bundle: Bundle, batch: int) -> Any:
    """A Keras model as OpenVINO's own: what the documentation converts, the model as it is.

    Raises:
        ConfigError: OpenVINO is not installed, or cannot read the model since Keras computes with JAX.
    """
    require("engine openvino")
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            "OpenVINO converts Keras models of TensorFlow only; name another engine with --set engine.name"
        )
    import openvino as ov  # noqa: PLC0415 - may be absent

    # Shared weights are the Keras model's memory, and the compiled network gives garbage once that is let go.
    return ov.convert_model(model, input=[(batch, *bundle.preprocessing.shape)], share_weights=False)


def _openvino(model: keras.Model, bundle: Bundle, batch: int, hint: str) -> Run:
    network = converted(model, bundle, batch)
    import openvino as ov  # noqa: PLC0415 - may be absent

    core = ov.Core()
    if hint == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ConfigError("this processor does not compute in bfloat16")
    compiled = core.compile_model(network, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint})
    mode = bundle.preprocessing.mode  # applied by numpy before the network, as one does by hand
    return lambda pictures: np.asarray(compiled(np.asarray(normalise(pictures, mode)))[0])


def _openvino_int8(model: keras.Model, bundle: Bundle, batch: int, pictures: np.ndarray | None) -> Run:
    if pictures is None:
        raise ConfigError("8-bit integers are calibrated with real pictures: give --pictures")
    require("models quantise")
    network = converted(model, bundle, batch)
    import nncf  # noqa: PLC0415 - an extra
    import openvino as ov  # noqa: PLC0415 - may be absent

    mode = bundle.preprocessing.mode
    inputs = [np.asarray(normalise(pictures[at : at + batch], mode)) for at in range(0, len(pictures), batch)]
    quantised = nncf.quantize(network, nncf.Dataset([part for part in inputs if len(part) == batch]))
    compiled = ov.Core().compile_model(quantised, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    return lambda given: np.asarray(compiled(np.asarray(normalise(given, mode)))[0])


def _onnxruntime(model: keras.Model, bundle: Bundle, batch: int) -> Run:
    """As Keras's documentation says: exported, and given to a session."""
    import onnxruntime  # noqa: PLC0415 - may be absent

    with tempfile.TemporaryDirectory(prefix="streamtag-") as folder:
        path = str(Path(folder) / "model.onnx")
        inputs = [keras.InputSpec(dtype="float32", shape=(batch, *bundle.preprocessing.shape))]
        model.export(path, format="onnx", verbose=False, input_signature=inputs)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    mode = bundle.preprocessing.mode

    def run(pictures: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {given.name: np.asarray(normalise(pictures, mode))})[0])

    return run
