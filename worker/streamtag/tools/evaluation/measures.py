"""Figures of a classifier from its scores and the truth. Arrays in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import confusion_matrix

from streamtag.networks.engines.base import apply_temperature
from streamtag.tools.evaluation import validation
from streamtag.tools.evaluation.intervals import DRAWS, Figure, bootstrap, mean, share
from streamtag.tools.evaluation.validation import Held

BINS = 15  # of the reliability diagram, as in Guo et al. 2017
ENOUGH = 5  # pictures of a class, and of others, below which a threshold of its own means nothing


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class against the rest, by the best label of each picture."""

    label: str
    support: int  # pictures that are of it
    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well the best score tells how often it is right."""

    temperature: float
    log_loss: Figure
    ece: Figure  # expected calibration error
    confidence: np.ndarray  # (bins,) mean best score
    accuracy: np.ndarray  # (bins,) share that is right
    counts: np.ndarray  # (bins,) pictures


@dataclass(frozen=True, slots=True)
class Sweep:
    """What each threshold on a class's score would do."""

    label: str
    support: int
    precision: np.ndarray  # (thresholds,); 1 where nothing passes
    recall: np.ndarray
    false_alarms: np.ndarray  # share of the others that passes
    equal_error_threshold: Figure  # threshold at which as large a share is missed as is a false alarm
    wanted: Figure | None  # lowest threshold with the wanted precision, if there is one
    equal_held: Held | None = None  # what both do on pictures that they were not chosen on
    wanted_held: Held | None = None


@dataclass(frozen=True, slots=True)
class Measures:
    """All figures of one evaluation."""

    samples: int
    accuracy: Figure
    top5: Figure
    classes: tuple[ClassFigures, ...]  # those that occur
    confusion: np.ndarray  # (k, k) rows true, columns predicted, of the classes that are either
    confusion_labels: tuple[str, ...]
    before: Calibration  # at the bundle's temperature
    after: Calibration  # at temperatures fitted to other pictures; the one named is that of all
    temperature: Figure  # fitted to all
    sweeps: tuple[Sweep, ...]  # at the fitted temperature


def measure(
    scores: np.ndarray,
    truth: np.ndarray,
    labels: tuple[str, ...],
    temperature: float,
    wanted_precision: float,
    groups: np.ndarray | None = None,
) -> Measures:
    """All figures of a network on labelled pictures.

    Args:
        scores: (n, classes) float32 probabilities at temperature 1.
        truth: (n,) int64 true class.
        temperature: of the bundle as it is.
        wanted_precision: for the second kind of threshold.
        groups: (n,) str, what stays together in cross-validation; by default each sample is one.
    """
    predicted = scores.argmax(axis=1)
    ranks = (scores > scores[np.arange(len(truth)), truth][:, None]).sum(axis=1)
    fitted = fit_temperature(scores, truth)
    calibrated = apply_temperature(scores, fitted)
    folds = validation.folds_of(truth, np.arange(len(truth)).astype(str) if groups is None else groups)
    table = validation.losses(scores, truth)
    by_others = validation.calibrated_by_others(scores, table, folds)
    occurring = np.unique(np.concatenate([truth, predicted]))
    return Measures(
        samples=len(truth),
        accuracy=share(int((predicted == truth).sum()), len(truth)),
        top5=share(int((ranks < 5).sum()), len(truth)),
        classes=_classes(truth, predicted, labels),
        confusion=confusion_matrix(truth, predicted, labels=occurring),
        confusion_labels=tuple(labels[number] for number in occurring),
        before=calibration(apply_temperature(scores, temperature), truth, temperature),
        after=calibration(by_others, truth, fitted),
        temperature=validation.temperature(table, fitted),
        sweeps=tuple(
            _judged(
                sweep(calibrated[:, number], truth == number, labels[number], wanted_precision),
                by_others[:, number],
                truth == number,
                folds,
                wanted_precision,
            )
            for number in np.unique(truth)
            if ENOUGH <= (truth == number).sum() <= len(truth) - ENOUGH
        ),
    )


def _judged(found: Sweep, scores: np.ndarray, positive: np.ndarray, folds: np.ndarray, wanted: float) -> Sweep:
    equal, precise = (
        validation.threshold_by_others(scores, positive, folds, kind, wanted) for kind in ("equal", "precision")
    )
    return replace(found, equal_held=equal, wanted_held=precise)


def fit_temperature(scores: np.ndarray, truth: np.ndarray) -> float:
    """The temperature with the least log loss (Guo et al. 2017, arXiv:1706.04599, section 4.2)."""

    def loss(log_temperature: float) -> float:
        return log_loss(apply_temperature(scores, float(np.exp(log_temperature))), truth)

    minimum = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return round(float(np.exp(minimum.x)), 4)


def log_loss(scores: np.ndarray, truth: np.ndarray) -> float:
    """Mean negative logarithm of the true class's probability."""
    return float(-np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-12)).mean())


def calibration(scores: np.ndarray, truth: np.ndarray, temperature: float) -> Calibration:
    """How often the network is right, against how sure it is, at a temperature."""
    best, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    place = np.minimum((best * BINS).astype(int), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    some = np.maximum(counts, 1)
    confidence = np.bincount(place, best, BINS) / some
    accuracy = np.bincount(place, right, BINS) / some

    def ece(weights: np.ndarray) -> float:
        return float(np.abs(np.bincount(place, weights * (best - right), BINS)).sum() / len(truth))

    return Calibration(
        temperature,
        mean(-np.log(np.maximum(scores[np.arange(len(truth)), truth], 1e-12))),
        bootstrap(ece(np.ones(len(truth))), len(truth), ece),
        confidence,
        accuracy,
        counts,
    )


def sweep(scores: np.ndarray, positive: np.ndarray, label: str, wanted_precision: float) -> Sweep:
    """Hits and false alarms of one class at every threshold.

    Args:
        scores: (n,) of one class.
        positive: (n,) bool, whether the picture is of that class.
    """
    hits, alarms = validation.passing(scores, positive)
    recall, false_alarms = hits / positive.sum(), alarms / (~positive).sum()
    equal = validation.threshold(scores, positive, "equal", wanted_precision)
    wanted = validation.threshold(scores, positive, "precision", wanted_precision)
    assert equal is not None  # there are errors at every threshold
    precision = validation.precision_of(hits, alarms)
    return Sweep(label, int(positive.sum()), precision, recall, false_alarms, equal, wanted)


def _classes(truth: np.ndarray, predicted: np.ndarray, labels: tuple[str, ...]) -> tuple[ClassFigures, ...]:
    found = []
    for number in np.unique(truth):
        of_it, said = truth == number, predicted == number
        hits, support, told = int((of_it & said).sum()), int(of_it.sum()), int(said.sum())
        f1 = _f1(hits, support, told, len(truth))
        found.append(ClassFigures(labels[number], support, share(hits, told), share(hits, support), f1))
    return tuple(found)


def _f1(hits: int, support: int, told: int, samples: int) -> Figure:
    """Its bootstrap needs the counts alone."""
    cells = np.array([hits, support - hits, told - hits, samples - support - told + hits]) / samples
    drawn = np.random.default_rng(0).multinomial(samples, cells, DRAWS)
    values = 2 * drawn[:, 0] / np.maximum(2 * drawn[:, 0] + drawn[:, 1] + drawn[:, 2], 1)
    value = 2 * hits / max(1, support + told)
    low, high = np.quantile(values, (0.025, 0.975))
    return Figure(value, min(value, float(low)), max(value, float(high)))
