"""Which score tells pictures of a network's classes from others, and where to draw the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streamtag.core.bundle import UnknownBy
from streamtag.networks.architectures.heads import power_normalise
from streamtag.tools.evaluation.intervals import Figure, bootstrap, share

FOLDS = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """Pictures as a network sees them."""

    probabilities: np.ndarray  # (n, classes) float32
    features: np.ndarray | None  # (n, f) float32; None where the network does not end with a dense layer


@dataclass(frozen=True, slots=True)
class Score:
    """One way to tell, and how well it does."""

    by: UnknownBy
    auroc: Figure
    known: np.ndarray  # (n,) of the pictures of its classes, each the larger the surer
    others: np.ndarray  # (m,)


@dataclass(frozen=True, slots=True)
class Line:
    """A threshold, and what it does to pictures that it was not chosen on."""

    threshold: float
    width: float
    found: Figure  # share of the others that are called unknown
    lost: Figure  # share of the pictures of its classes that are


def scores_of(
    known: Seen,
    truth: np.ndarray,
    folds: np.ndarray,
    others: Seen,
    means: np.ndarray | None,
    logits: Callable[[np.ndarray], np.ndarray] | None,
) -> list[Score]:
    """Every way that the network allows, the best first.

    Args:
        truth: (n,) class of each known picture.
        folds: (n,) of the known: where no class means are given, a picture is compared with those of the other folds.
        means: (classes, f) of pictures that are not among the known.
        logits: features to logits.
    """
    found = [_score("probability", known.probabilities.max(axis=1), others.probabilities.max(axis=1))]
    if known.features is not None and others.features is not None and logits is not None:
        found.append(_score("energy", _log_sum(logits(known.features)), _log_sum(logits(others.features))))
        near = np.empty(len(truth))
        for number in np.unique(folds):
            here = folds == number
            apart = means if means is not None else class_means(known.features[~here], truth[~here])
            near[here] = nearness(known.features[here], apart) if len(apart) else -np.inf
        everything = means if means is not None else class_means(known.features, truth)
        if np.isfinite(near).all():
            found.append(_score("distance", near, nearness(others.features, everything)))
    return sorted(found, key=lambda score: -score.auroc.value)


def class_means(features: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(classes that occur, f) float32 of features in ``power_normalise``'s form."""
    powers = power_normalise(features)
    rows = [powers[truth == number].mean(axis=0) for number in np.unique(truth)]
    return np.array(rows, np.float32).reshape(len(rows), features.shape[1])


def nearness(features: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(n,) minus the squared distance to the nearest mean, as ``NoneOfThese`` computes it."""
    best: np.ndarray = (2.0 * power_normalise(features) @ means.T - (means * means).sum(axis=1)).max(axis=1) - 1.0
    return best


def line_of(score: Score, precision: float) -> Line | None:
    """The least threshold where what passes is of the classes in so large a share; None where there is none.

    Both sides weigh the same, however many pictures there are of each.
    """
    threshold = _threshold(score.known, score.others, precision)
    if threshold is None:
        return None
    kept, passed = [], []
    # Folds in turn: neither side is in any order that matters.
    for number in range(FOLDS):
        known, others = np.arange(len(score.known)) % FOLDS == number, np.arange(len(score.others)) % FOLDS == number
        chosen = _threshold(score.known[~known], score.others[~others], precision)
        chosen = np.inf if chosen is None else chosen
        kept += (score.known[known] >= chosen).tolist()
        passed += (score.others[others] >= chosen).tolist()
    width = max(0.1 * float(np.std(np.concatenate([score.known, score.others]))), 1e-4)
    return Line(threshold, width, share(passed.count(False), len(passed)), share(kept.count(False), len(kept)))


def _threshold(known: np.ndarray, others: np.ndarray, precision: float) -> float | None:
    values = np.unique(np.concatenate([known, others]))
    edges = np.concatenate([values[:1], (values[1:] + values[:-1]) / 2])
    kept = (known[None] >= edges[:, None]).mean(axis=1)
    passed = (others[None] >= edges[:, None]).mean(axis=1)
    enough = np.flatnonzero((kept > 0) & (kept >= precision * (kept + passed)))
    return float(edges[enough[0]]) if len(enough) else None


def _score(by: UnknownBy, known: np.ndarray, others: np.ndarray) -> Score:
    values, place = np.unique(np.concatenate([known, others]), return_inverse=True)

    def area(weights: np.ndarray) -> float:
        """How often a picture of the classes has the larger score; where they are equal, every other time."""
        of_known = np.bincount(place[: len(known)], weights[: len(known)], len(values))
        of_others = np.bincount(place[len(known) :], weights[len(known) :], len(values))
        pairs = of_known.sum() * of_others.sum()
        below = np.cumsum(of_others) - of_others / 2
        return float((of_known * below).sum() / pairs) if pairs else 0.5

    return Score(by, bootstrap(area(np.ones(len(place))), len(place), area), known, others)


def _log_sum(logits: np.ndarray) -> np.ndarray:
    most = logits.max(axis=1)
    total: np.ndarray = most + np.log(np.exp(logits - most[:, None]).sum(axis=1))
    return total
