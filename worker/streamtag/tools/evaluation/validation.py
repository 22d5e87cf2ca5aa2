"""Temperature and thresholds by cross-validation: what is fitted to pictures is judged by others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamtag.networks.engines.base import apply_temperature
from streamtag.tools.evaluation.intervals import DRAWS, Figure, bootstrap, share

FOLDS = 5
LOG_TEMPERATURES = np.linspace(np.log(0.05), np.log(20.0), 121)
ROWS = 2000  # whose losses are computed at once


@dataclass(frozen=True, slots=True)
class Held:
    """What a threshold that was chosen on the other folds does on each."""

    precision: Figure
    recall: Figure


def folds_of(truth: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) int64 fold of each sample: those of one group in one fold, and each class over as many as it has groups.

    Args:
        truth: (n,) class.
        groups: (n,) str, what must stay together, such as the frames of a video.
    """
    generator = np.random.default_rng(0)
    names, first = np.unique(groups, return_index=True)
    order = generator.permutation(len(names))
    order = order[np.argsort(truth[first[order]], kind="stable")]
    fold_of = {names[place]: number % FOLDS for number, place in enumerate(order)}
    return np.array([fold_of[group] for group in groups], np.int64)


def losses(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, temperatures) float64: the log loss of each sample at each temperature of a grid."""
    found = np.empty((len(scores), len(LOG_TEMPERATURES)))
    for at in range(0, len(scores), ROWS):
        logits = np.log(np.maximum(scores[at : at + ROWS], 1e-12))
        logits -= logits.max(axis=1, keepdims=True)
        true = logits[np.arange(len(logits)), truth[at : at + ROWS]]
        for column, temperature in enumerate(np.exp(LOG_TEMPERATURES)):
            found[at : at + ROWS, column] = np.log(np.exp(logits / temperature).sum(axis=1)) - true / temperature
    return found


def temperature_of(table: np.ndarray, weights: np.ndarray) -> float:
    """The best temperature of samples by their ``losses``, each counted so often: (n,) weights."""
    total = weights @ table
    best = int(total.argmin())
    place = float(LOG_TEMPERATURES[best])
    if 0 < best < len(total) - 1:  # between the points of the grid, by the parabola through three of them
        before, here, after = total[best - 1 : best + 2]
        bend = before - 2 * here + after
        step = float(LOG_TEMPERATURES[1] - LOG_TEMPERATURES[0])
        place += step * 0.5 * float((before - after) / bend) if bend > 0 else 0.0
    return float(np.exp(place))


def temperature(table: np.ndarray, fitted: float) -> Figure:
    """A fitted temperature with its interval."""
    return bootstrap(fitted, len(table), lambda weights: temperature_of(table, weights))


def calibrated_by_others(scores: np.ndarray, table: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(n, classes) float32 scores at temperatures that were fitted to the other folds."""
    found = scores.copy()
    for number in np.unique(folds):
        here = folds == number
        if not here.all():
            found[here] = apply_temperature(scores[here], temperature_of(table, (~here).astype(np.float64)))
    return found


def threshold_by_others(scores: np.ndarray, positive: np.ndarray, folds: np.ndarray, kind: str, wanted: float) -> Held:
    """How good thresholds of one class are on the folds that they were not chosen on.

    Args:
        scores: (n,) of one class.
        positive: (n,) bool, whether the sample is of it.
        kind: equal, or precision.
        wanted: precision.
    """
    passed = np.zeros(len(scores), bool)
    for number in np.unique(folds):
        here = folds == number
        if not positive[~here].any() or positive[~here].all():
            continue  # the class is in this fold alone: nothing is let through
        threshold = choose(scores[~here], positive[~here], kind, wanted)
        if threshold is not None:
            passed[here] = scores[here] >= threshold
    hits = int((passed & positive).sum())
    return Held(share(hits, int(passed.sum())), share(hits, int(positive.sum())))


GRID = np.linspace(0, 1, 201)  # thresholds that are tried


def choose(scores: np.ndarray, positive: np.ndarray, kind: str, wanted: float) -> float | None:
    """The threshold of equal errors, or the least one of a wanted precision; None where there is none."""
    (found,) = _chosen(_places(scores, positive)[None], kind, wanted).tolist()
    return None if np.isnan(found) else float(found)


def threshold(scores: np.ndarray, positive: np.ndarray, kind: str, wanted: float) -> Figure | None:
    """The same with its interval: what would be chosen on other samples like these, 1 where none is good enough.

    Args:
        scores: (n,) of one class.
        positive: (n,) bool, whether the sample is of it.
        kind: equal, or precision.
        wanted: precision.
    """
    value = choose(scores, positive, kind, wanted)
    if value is None:
        return None
    places = _places(scores, positive)
    some = places > 0
    # A bootstrap draw of samples is a multinomial one of their counts, whose cost does not grow with the samples.
    draws = np.zeros((DRAWS, *places.shape), np.int64)
    draws[:, some] = np.random.default_rng(0).multinomial(len(scores), places[some] / len(scores), DRAWS)
    drawn = _chosen(draws, kind, wanted)
    if kind == "equal":
        drawn = drawn[~np.isnan(drawn)]  # of a draw without any sample of the class nothing is known
    low, high = np.quantile(np.nan_to_num(drawn, nan=1.0), (0.025, 0.975))
    return Figure(value, min(value, float(low)), max(value, float(high)))


def _places(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """(2, thresholds) int64: samples of the class, and others, by the last threshold of the grid that each passes."""
    last = np.searchsorted(GRID, scores.astype(np.float64), side="right") - 1
    return np.stack([np.bincount(last[side], minlength=len(GRID)) for side in (positive, ~positive)])


def passing(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(thresholds,) int64 each: samples of the class, and others, that each threshold of the grid lets through."""
    hits, alarms = _passing(_places(scores, positive))
    return hits, alarms


def precision_of(hits: np.ndarray, alarms: np.ndarray) -> np.ndarray:
    """Part of what passes that is of the class; 1 where nothing passes."""
    return np.where(hits + alarms > 0, hits / np.maximum(hits + alarms, 1), 1.0)


def _passing(places: np.ndarray) -> np.ndarray:
    counts: np.ndarray = places[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return counts


def _chosen(places: np.ndarray, kind: str, wanted: float) -> np.ndarray:
    """(draws,) float64 threshold of each of some (draws, 2, thresholds) counts; NaN where there is none."""
    hits, alarms = np.moveaxis(_passing(places), 1, 0)
    if kind == "equal":
        # Misses grow with the threshold and false alarms fall. Where the classes are apart, both are 0 over a stretch:
        # its middle is the safest place.
        of_it, others = hits[:, :1], alarms[:, :1]
        gap = np.abs((1 - hits / np.maximum(of_it, 1)) - alarms / np.maximum(others, 1))
        first, last = gap.argmin(axis=1), len(GRID) - 1 - gap[:, ::-1].argmin(axis=1)
        there = (of_it[:, 0] > 0) & (others[:, 0] > 0)
        return np.where(there, (GRID[first] + GRID[last]) / 2, np.nan)
    enough = (precision_of(hits, alarms) >= wanted) & (hits > 0)
    return np.where(enough.any(axis=1), GRID[enough.argmax(axis=1)], np.nan)
