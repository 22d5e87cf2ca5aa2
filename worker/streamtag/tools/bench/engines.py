"""Images a second of each engine, as a ratio to plain Keras in the same run.

The engines take turns, round after round: what else the machine does then disturbs all of them alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.errors import ConfigError
from streamtag.networks.loading import build_model, bundle_with_weights, compile_model
from streamtag.settings import Settings

if TYPE_CHECKING:
    import keras

ROUNDS = 5
LOGIT_SPREAD = 2.0  # standard deviation given to the logits of random weights; those of trained ones have about 2 to 3
CANDIDATES = (
    ("tf_graph", "float32"),
    ("tf_graph", "bfloat16"),
    ("tf_xla", "float32"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
)
Run = Callable[[], np.ndarray]  # one batch: (batch, classes) float32


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What one engine does, or why it is not there."""

    engine: str
    precision: str
    images_per_s: float = 0.0  # median of the rounds
    images_per_s_least: float = 0.0
    images_per_s_most: float = 0.0
    ratio: float = 0.0  # to plain Keras, median over the rounds of both
    same_label: float = 0.0  # share of the pictures whose best label is that of plain Keras
    largest_difference: float = 0.0  # of any score, as a share of the picture's best score
    error: str = ""


@dataclass(slots=True)
class _Entrant:
    engine: str
    precision: str
    run: Run
    scores: np.ndarray
    rates: list[float]


def compare(settings: Settings, batch: int, seconds: float, on_start: Callable[[str], None]) -> list[EngineFigures]:
    """Time plain Keras and each engine that is installed.

    Args:
        batch: images in a batch.
        seconds: how long each is timed, all rounds together.
        on_start: told what is being done.

    Returns:
        Plain Keras first.

    Raises:
        StreamtagError: the model or its weights cannot be had.
    """
    bundle = bundle_with_weights(settings.model, lambda step: on_start(str(step)))
    model = build_model(bundle, settings.engine, lambda step: on_start(str(step)))
    pictures = _pictures(bundle, batch)
    on_start("plain Keras")
    plain = _plain(model, bundle, pictures)
    if bundle.weights == "random":
        _spread(model, plain)
    entrants = [_Entrant("keras as is", "float32", plain, plain(), [])]
    absent: list[EngineFigures] = []
    for name, precision in CANDIDATES:
        on_start(f"compiling for {name} {precision}")
        try:
            run = _compiled(settings, name, precision, model, bundle, pictures)
        except ConfigError as error:
            absent.append(EngineFigures(name, precision, error=str(error)))
            continue
        entrants.append(_Entrant(name, precision, run, run(), []))
    for number in range(1, ROUNDS + 1):
        for entrant in entrants:
            on_start(f"round {number} of {ROUNDS}: {entrant.engine} {entrant.precision}")
            entrant.rates.append(_rate(entrant.run, batch, seconds / ROUNDS))
    return [_figures(entrant, entrants[0]) for entrant in entrants] + absent


def _pictures(bundle: Bundle, batch: int) -> np.ndarray:
    """(batch, H, W, 3) uint8 RGB: coarse blots of colour, which tell pictures apart better than noise does."""
    generator = np.random.default_rng(0)
    size = bundle.preprocessing.size
    cells = generator.integers(0, 256, (batch, 6, 6, 3), np.uint8)
    side = -(-size // 6)
    return np.ascontiguousarray(cells.repeat(side, axis=1).repeat(side, axis=2)[:, :size, :size])


def _plain(model: keras.Model, bundle: Bundle, pictures: np.ndarray) -> Run:
    from streamtag.networks.engines.normalising import normalise  # noqa: PLC0415 - Keras, whose backend is chosen first

    mode = bundle.preprocessing.mode
    return lambda: np.asarray(model.predict_on_batch(np.asarray(normalise(pictures, mode))))


def _spread(model: keras.Model, plain: Run) -> None:
    """Give the logits of random weights the spread of trained ones: all scores near 1/classes would compare nothing."""
    classifier = next(layer for layer in reversed(model.layers) if layer.weights)
    for _ in range(10):  # what a random network leaves of a picture may be so small that rounding hides it at first
        spread = float(np.log(np.maximum(plain(), 1e-30)).std(axis=1).mean())
        if LOGIT_SPREAD / 2 < spread < LOGIT_SPREAD * 2:
            return
        factor = min(1000.0, LOGIT_SPREAD / max(spread, 1e-9))
        classifier.set_weights([weight * factor for weight in classifier.get_weights()])


def _compiled(
    settings: Settings, name: str, precision: str, model: keras.Model, bundle: Bundle, pictures: np.ndarray
) -> Run:
    chosen = settings.engine.model_copy(update={"name": name, "precision": precision, "buckets": [len(pictures)]})
    engine = compile_model(model, bundle, chosen).engine
    return lambda: engine.dispatch(pictures).result()


def _rate(run: Run, batch: int, seconds: float) -> float:
    run()
    count, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < seconds or count < 2:
        run()
        count += 1
    return count * batch / (time.perf_counter() - began_s)


def _figures(entrant: _Entrant, plain: _Entrant) -> EngineFigures:
    ratios = [rate / reference for rate, reference in zip(entrant.rates, plain.rates, strict=True)]
    same = entrant.scores.argmax(axis=1) == plain.scores.argmax(axis=1)
    difference = np.abs(entrant.scores - plain.scores) / plain.scores.max(axis=1, keepdims=True)
    return EngineFigures(
        entrant.engine,
        entrant.precision,
        images_per_s=round(statistics.median(entrant.rates), 1),
        images_per_s_least=round(min(entrant.rates), 1),
        images_per_s_most=round(max(entrant.rates), 1),
        ratio=round(statistics.median(ratios), 2),
        same_label=float(same.mean()),
        largest_difference=float(f"{difference.max():.2g}"),
    )
