"""Ways to quantise a network. Imports OpenVINO and NNCF, so import it once their telemetry is forbidden."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino as ov

from streamtag.networks.engines.conversion import convert

__all__ = ["WAYS", "Way", "best_classes", "convert", "save"]

_BATCH = 8


@dataclass(frozen=True, slots=True)
class Way:
    """One way, by its name."""

    name: str
    quantise: Callable[[ov.Model, np.ndarray, np.ndarray], ov.Model]  # the model, pictures, their classes in float32


def best_classes(model: ov.Model, pictures: np.ndarray) -> np.ndarray:
    """(n,) the best class of each picture, (n, H, W, 3) uint8."""
    sized = model.clone()
    sized.reshape([_BATCH, *pictures.shape[1:]])
    # As the engine does it. By default OpenVINO computes a float32 network in bfloat16 where the processor has it.
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(sized, "CPU", options)
    best = []
    for at in range(0, len(pictures), _BATCH):
        part = pictures[at : at + _BATCH]
        best.append(compiled(np.resize(part, (_BATCH, *part.shape[1:])))[0].argmax(axis=1)[: len(part)])
    return np.concatenate(best)


def save(model: ov.Model, path: Path) -> None:
    """Write a model as OpenVINO reads it: ``path`` (.xml), and its weights beside it."""
    ov.save_model(model, path, compress_to_fp16=False)


def _plain(model: ov.Model, pictures: np.ndarray, best: np.ndarray) -> ov.Model:
    return nncf.quantize(model, _dataset(pictures), preset=nncf.QuantizationPreset.MIXED, subset_size=len(pictures))


def _exact_biases(model: ov.Model, pictures: np.ndarray, best: np.ndarray) -> ov.Model:
    return nncf.quantize(
        model,
        _dataset(pictures),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
        fast_bias_correction=False,
    )


def _some_in_floats(model: ov.Model, pictures: np.ndarray, best: np.ndarray) -> ov.Model:
    """Gives those layers back to floats that cost the most agreement, until little of it is missing."""

    def agreement(compiled: ov.CompiledModel, items: Iterable[Any]) -> tuple[float, list[float]]:
        same = [float(compiled(picture[None])[0].argmax() == expected) for picture, expected in items]
        return sum(same) / len(same), same

    judged = nncf.Dataset(list(zip(pictures, best, strict=True)), lambda item: item[0][None])
    return nncf.quantize_with_accuracy_control(
        model,
        _dataset(pictures),
        judged,
        agreement,
        max_drop=0.01,
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
    )


def _dataset(pictures: np.ndarray) -> nncf.Dataset:
    return nncf.Dataset([picture[None] for picture in pictures])


WAYS = (
    Way("8 bits throughout", _plain),
    Way("8 bits throughout, each bias corrected by the network's own answers", _exact_biases),
    Way("8 bits, layers that cost labels left in float32", _some_in_floats),
)
