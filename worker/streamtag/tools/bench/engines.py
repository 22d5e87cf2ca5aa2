"""Images a second of each engine, as a ratio to plain Keras in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from streamtag.errors import ConfigError
from streamtag.networks.engines.base import Engine
from streamtag.networks.loading import build_model, compile_model
from streamtag.networks.registry import resolve
from streamtag.settings import Settings

CANDIDATES = (
    ("tf_graph", "float32"),
    ("tf_graph", "bfloat16"),
    ("tf_xla", "float32"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
)


def compare(
    settings: Settings, batch: int, seconds: float, on_start: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Time plain Keras, then each engine that is installed.

    Args:
        batch: images in a batch.
        seconds: how long each is timed, after a warm-up.
    """
    bundle = resolve(settings.model)
    model = build_model(bundle, settings.engine)
    from streamtag.networks.engines.normalising import normalise  # noqa: PLC0415 - Keras, whose backend is chosen first

    pictures = np.random.default_rng(0).integers(0, 256, (batch, *bundle.preprocessing.shape), np.uint8)
    on_start("keras")
    reference = np.asarray(model.predict_on_batch(np.asarray(normalise(pictures, bundle.preprocessing.mode))))
    plain = _rate(
        lambda: model.predict_on_batch(np.asarray(normalise(pictures, bundle.preprocessing.mode))), batch, seconds
    )
    yield {
        "engine": "keras as is",
        "precision": "float32",
        "images_per_s": round(plain, 1),
        "ratio": 1.0,
        "largest_difference": 0.0,
    }
    for name, precision in CANDIDATES:
        on_start(f"{name} {precision}")
        try:
            engine = _compiled(settings, name, precision, batch, model, bundle)
        except ConfigError as error:
            yield {"engine": name, "precision": precision, "error": str(error)}
            continue
        scores = engine.dispatch(pictures).result()
        rate = _rate(lambda: engine.dispatch(pictures).result(), batch, seconds)  # noqa: B023 - called before the next turn
        yield {
            "engine": name,
            "precision": precision,
            "images_per_s": round(rate, 1),
            "ratio": round(rate / plain, 2),
            "largest_difference": float(np.abs(scores - reference).max()),
        }


def _compiled(settings: Settings, name: str, precision: str, batch: int, model: Any, bundle: Any) -> Engine:
    chosen = settings.engine.model_copy(update={"name": name, "precision": precision, "buckets": [batch]})
    return compile_model(model, bundle, chosen).engine


def _rate(run: Callable[[], Any], batch: int, seconds: float) -> float:
    run()
    run()
    count, began_s = 0, time.perf_counter()
    while time.perf_counter() - began_s < seconds or count < 3:
        run()
        count += 1
    return count * batch / (time.perf_counter() - began_s)
