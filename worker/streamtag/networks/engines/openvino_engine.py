"""OpenVINO: the folded TensorFlow graph, converted. The fastest on Intel and AMD CPUs.

Imports neither TensorFlow nor Keras: what was converted once (``conversion.py``) needs none of them any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from streamtag.core.bundle import Bundle
from streamtag.core.engine_choice import GARBLED
from streamtag.errors import ConfigError
from streamtag.networks.drawn import blots
from streamtag.networks.engines.base import Done, Engine, choose_buckets
from streamtag.networks.engines.machine import threads
from streamtag.settings import EngineSettings

_DEVICE = "CPU"
_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16", "int8": "f32"}  # of what int8 leaves in floats
CHECKED = 16  # drawn pictures that the 8-bit form is tried with
_NEEDS = {"bfloat16": "BF16", "float16": "FP16"}  # as OpenVINO names what a device has


@dataclass(frozen=True, slots=True)
class Converted:
    """What the engine needs of a Keras model, one of the two."""

    network: ov.Model | None  # (?, H, W, 3) uint8 RGB to probabilities; the 8-bit form has its own, in the bundle
    in_float: np.ndarray | None  # (CHECKED,) the best classes of drawn pictures, which the 8-bit form is compared with


def check_precision(bundle: Bundle, precision: str) -> None:
    """See whether there is anything to compute with, before a network is converted for it.

    Raises:
        ConfigError: a precision that the processor or the bundle does not have.
    """
    has = ov.Core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    if _NEEDS.get(precision, has[0]) not in has:
        # It would compute in float32 and say nothing.
        raise ConfigError(f"engine openvino: this processor does not compute in {precision}")
    if precision == "int8" and bundle.quantised is None:
        raise ConfigError(
            f"{bundle.name} has no 8-bit form; make a bundle of it and run: streamtag models quantise BUNDLE "
            "--pictures DIR"
        )


def read_network(path: Path) -> ov.Model:
    """A network from OpenVINO's own file (.xml, its weights beside it), which may then be written over.

    By default the file is mapped, and a compiled network goes on to read it: what was copied over a bundle that is
    served changed scores by 0.7, or ended the process (SIGBUS). To read it takes no more time or memory (README.md).
    """
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})
    return core.read_model(path)


class OpenVinoEngine(Engine):
    """A converted network compiled by OpenVINO, for each bucket.

    Raises:
        ConfigError: 8 bits that the processor garbles.
    """

    def __init__(self, converted: Converted, bundle: Bundle, settings: EngineSettings) -> None:
        self.name = "openvino"
        self.precision = settings.precision
        self.device = _DEVICE
        self.buckets = choose_buckets(settings, (1, 2, 4, 8))
        self.in_flight = settings.in_flight or 1
        self._core = ov.Core()
        self._options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            # Threads that are bound to their cores wait there behind decoders while another core is free, and all the
            # others for them (README.md here).
            "ENABLE_CPU_PINNING": False,
        }
        if limit := threads(settings.threads):
            self._options["INFERENCE_NUM_THREADS"] = limit
        network = converted.network
        if network is None:
            assert bundle.quantised is not None
            network = read_network(Path(bundle.quantised.file))
        # Converted once, for any batch size: each conversion takes as long as compiling.
        self._network = network
        self._in_float = converted.in_float
        self._shape = bundle.preprocessing.shape
        self._compiled: dict[int, Any] = {}

    def compilations(self) -> int:
        # Compiled ahead of time: another shape is an error, never a silent compilation.
        return len(self._compiled)

    def compile(self, bucket: int) -> None:
        sized = self._network.clone()
        sized.reshape([bucket, *self._shape])
        self._compiled[bucket] = self._core.compile_model(sized, self.device, self._options)
        if self._in_float is not None:
            self._compare(bucket, self._in_float)

    def _compare(self, bucket: int, expected: np.ndarray) -> None:
        """See that the processor does with 8 bits what it should: one garbled MobileNetV2 (README.md here)."""
        pictures = blots(CHECKED, self._shape[0])
        own = np.concatenate(
            [
                self.dispatch(np.resize(pictures[at : at + bucket], (bucket, *self._shape))).result().argmax(axis=1)
                for at in range(0, CHECKED, bucket)
            ]
        )[:CHECKED]
        alike = int((own == expected).sum())
        if alike < GARBLED * CHECKED:
            raise ConfigError(
                f"engine openvino int8: of {CHECKED} drawn pictures {alike} have the best class that float32 gives "
                "them, so this processor computes something else with it; take engine.precision=float32"
            )

    def dispatch(self, pictures: np.ndarray) -> Done:
        scores = self._compiled[len(pictures)](pictures)[0]
        return Done(np.asarray(scores, np.float32))
