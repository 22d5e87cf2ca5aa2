"""What every engine is, and what all of them share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.errors import ConfigError
from streamtag.settings import EngineSettings


class Pending(Protocol):
    """A batch on the device."""

    def result(self) -> np.ndarray:
        """Wait for it: (bucket, classes) float32 probabilities, padded rows included."""
        ...


class Engine(ABC):
    """A network compiled for a device. Used by one thread at a time."""

    name: str
    precision: str
    device: str
    buckets: tuple[int, ...]  # batch sizes compiled, ascending
    in_flight: int  # batches worth having on the device at once

    @abstractmethod
    def compile(self, bucket: int) -> None:
        """Make ``dispatch`` ready for one batch size."""

    @abstractmethod
    def compilations(self) -> int:
        """How often the network has been compiled so far; more than one a bucket means that something is retraced."""

    @abstractmethod
    def dispatch(self, pictures: np.ndarray) -> Pending:
        """Start one batch, (bucket, H, W, 3) uint8 RGB. The array must stay as it is until the result is there."""

    def predict(self, pictures: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Wait for any number of pictures: (n, H, W, 3) uint8 RGB to (n, outputs) float32.

        Batches are padded up to a bucket; more than the largest one holds goes in several.
        """
        answers = []
        for at in range(0, len(pictures), self.buckets[-1]):
            part = pictures[at : at + self.buckets[-1]]
            bucket = next(size for size in self.buckets if size >= len(part))
            batch = np.zeros((bucket, *part[0].shape), np.uint8)
            for row, picture in enumerate(part):
                batch[row] = picture
            answers.append(self.dispatch(batch).result()[: len(part)])
        return np.concatenate(answers)


@dataclass(frozen=True, slots=True)
class Done:
    """The pending of an engine that answers at once."""

    scores: np.ndarray

    def result(self) -> np.ndarray:
        return self.scores


@dataclass(slots=True)
class WarmUp:
    """What compiling and trying each bucket took."""

    compile_s: dict[int, float] = field(default_factory=dict)
    batch_s: dict[int, float] = field(default_factory=dict)


def warm_up(
    engine: Engine, bundle: Bundle, outputs: int | None = None, on_bucket: Callable[[int], None] = lambda done: None
) -> WarmUp:
    """Compile every bucket and time it, so that the first real frame waits for nothing.

    Args:
        outputs: of the network; by default the bundle's classes.
        on_bucket: told before each bucket how many are done.

    Raises:
        ConfigError: the network gives something other than so many numbers for a picture, or no probabilities.
    """
    outputs = outputs or bundle.classes
    figures = WarmUp()
    generator = np.random.default_rng(0)
    for done, bucket in enumerate(engine.buckets):
        on_bucket(done)
        began_s = time.perf_counter()
        pictures = generator.integers(0, 256, (bucket, *bundle.preprocessing.shape), np.uint8)
        engine.compile(bucket)
        scores = engine.dispatch(pictures).result()
        figures.compile_s[bucket] = time.perf_counter() - began_s
        if scores.shape != (bucket, outputs) or not np.isfinite(scores).all():
            raise ConfigError(
                f"{bundle.name}: the network gives {scores.shape} for a batch of {bucket}, "
                f"({bucket}, {outputs}) finite numbers are expected"
            )
        if outputs == bundle.classes and not are_probabilities(scores, bundle):
            raise ConfigError(
                f"{bundle.name}: the network gives no probabilities but {scores.min():.3g} to {scores.max():.3g}, "
                f"{scores.sum(axis=1).mean():.3g} in all; make a bundle that says what they are: streamtag models "
                "bundle FILE.keras --outputs logits|sigmoid --labels FILE --out FOLDER, or set outputs in bundle.json"
            )
        times = []
        for _ in range(2):
            began_s = time.perf_counter()
            engine.dispatch(pictures).result()
            times.append(time.perf_counter() - began_s)
        figures.batch_s[bucket] = min(times)
    return figures


def choose_buckets(settings: EngineSettings, default: Sequence[int]) -> tuple[int, ...]:
    """Batch sizes to compile, ascending: those of the settings, or the engine's own."""
    return tuple(sorted(set(settings.buckets or default)))


def are_probabilities(scores: np.ndarray, bundle: Bundle) -> bool:
    """Whether (n, classes) scores are what a bundle's are to be; in half precision one is so but for hundredths."""
    within = bool((scores >= -1e-3).all() and (scores <= 1 + 1e-2).all())
    return within and (bundle.independent or bool((abs(scores.sum(axis=1) - 1.0) < 5e-2).all()))


def calibrated(scores: np.ndarray, bundle: Bundle) -> np.ndarray:
    """Probabilities at the temperature of a bundle."""
    if not bundle.independent or bundle.temperature == 1.0:
        return apply_temperature(scores, bundle.temperature)
    odds = np.log(np.clip(scores, 1e-7, 1 - 1e-7) / (1 - np.clip(scores, 1e-7, 1 - 1e-7)))
    probabilities: np.ndarray = 1.0 / (1.0 + np.exp(-odds / bundle.temperature))
    return probabilities.astype(np.float32)


def apply_temperature(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities at another temperature: ``softmax(log(p) / T)`` (Guo et al. 2017, arXiv:1706.04599)."""
    if temperature == 1.0:
        return scores
    logits = np.log(np.maximum(scores, 1e-12)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    exponents = np.exp(logits)
    probabilities: np.ndarray = exponents / exponents.sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32)
