"""Figures of a classifier from its scores and the truth. Arrays in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from streamtag.networks.engines.base import apply_temperature

BINS = 15  # of the reliability diagram, as in Guo et al. 2017
GRID = np.linspace(0, 1, 201)  # thresholds that are tried
ENOUGH = 5  # pictures of a class, and of others, below which a threshold of its own means nothing


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class against the rest, by the best label of each picture."""

    label: str
    support: int  # pictures that are of it
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well the best score tells how often it is right."""

    temperature: float
    log_loss: float
    ece: float  # expected calibration error
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
    equal_error_threshold: float  # threshold at which as large a share is missed as is a false alarm
    wanted: float | None  # lowest threshold with the wanted precision, if there is one


@dataclass(frozen=True, slots=True)
class Measures:
    """All figures of one evaluation."""

    samples: int
    accuracy: float
    top5: float
    classes: tuple[ClassFigures, ...]  # those that occur
    confusion: np.ndarray  # (k, k) rows true, columns predicted, of the classes that are either
    confusion_labels: tuple[str, ...]
    before: Calibration  # at the bundle's temperature
    after: Calibration  # at the fitted one
    sweeps: tuple[Sweep, ...]  # at the fitted temperature


def measure(
    scores: np.ndarray, truth: np.ndarray, labels: tuple[str, ...], temperature: float, wanted_precision: float
) -> Measures:
    """All figures of a network on labelled pictures.

    Args:
        scores: (n, classes) float32 probabilities at temperature 1.
        truth: (n,) int64 true class.
        temperature: of the bundle as it is.
        wanted_precision: for the second kind of threshold.
    """
    predicted = scores.argmax(axis=1)
    ranks = (scores > scores[np.arange(len(truth)), truth][:, None]).sum(axis=1)
    fitted = fit_temperature(scores, truth)
    calibrated = apply_temperature(scores, fitted)
    occurring = np.unique(np.concatenate([truth, predicted]))
    return Measures(
        samples=len(truth),
        accuracy=float((predicted == truth).mean()),
        top5=float((ranks < 5).mean()),
        classes=_classes(truth, predicted, labels),
        confusion=confusion_matrix(truth, predicted, labels=occurring),
        confusion_labels=tuple(labels[number] for number in occurring),
        before=calibration(apply_temperature(scores, temperature), truth, temperature),
        after=calibration(calibrated, truth, fitted),
        sweeps=tuple(
            sweep(calibrated[:, number], truth == number, labels[number], wanted_precision)
            for number in np.unique(truth)
            if ENOUGH <= (truth == number).sum() <= len(truth) - ENOUGH
        ),
    )


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
    ece = float((np.abs(confidence - accuracy) * counts).sum() / len(truth))
    return Calibration(temperature, log_loss(scores, truth), ece, confidence, accuracy, counts)


def sweep(scores: np.ndarray, positive: np.ndarray, label: str, wanted_precision: float) -> Sweep:
    """Hits and false alarms of one class at every threshold.

    Args:
        scores: (n,) of one class.
        positive: (n,) bool, whether the picture is of that class.
    """
    passes = scores[None] >= GRID[:, None]
    hits, alarms = (passes & positive).sum(axis=1), (passes & ~positive).sum(axis=1)
    recall, false_alarms = hits / positive.sum(), alarms / (~positive).sum()
    precision = np.where(hits + alarms > 0, hits / np.maximum(hits + alarms, 1), 1.0)
    # Misses grow with the threshold and false alarms fall. Where the classes are apart, both are 0 over a stretch:
    # its middle is the safest place.
    gap = np.abs((1 - recall) - false_alarms)
    nearest = np.flatnonzero(gap == gap.min())
    equal_error_threshold = float((GRID[nearest[0]] + GRID[nearest[-1]]) / 2)
    enough = np.flatnonzero((precision >= wanted_precision) & (hits > 0))
    wanted = float(GRID[enough[0]]) if len(enough) else None
    return Sweep(label, int(positive.sum()), precision, recall, false_alarms, equal_error_threshold, wanted)


def _classes(truth: np.ndarray, predicted: np.ndarray, labels: tuple[str, ...]) -> tuple[ClassFigures, ...]:
    present = np.unique(truth)
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, labels=present, zero_division=0)
    return tuple(
        ClassFigures(labels[number], int(support[row]), float(precision[row]), float(recall[row]), float(f1[row]))
        for row, number in enumerate(present)
    )
