"""Which label people would be told of each picture, class or group: how often any, how often a true one, how exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.core.labelling import make_smoother
from streamtag.core.options import SmoothingSettings
from streamtag.networks.engines.base import calibrated
from streamtag.tools.evaluation.intervals import Figure, mean, share

NOTHING = -1  # in place of an output


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """What is told of pictures that stand for themselves, in a network with groups."""

    told: Figure  # share of which anything is said
    true: Figure  # of those told, the share that is true
    bits: Figure  # mean over all: log2(classes / classes that a label is true of), 0 where nothing true is told
    most_bits: float  # of a class
    groups: Figure  # of the pictures whose class has a group, the share where the best group is true
    exact: float  # the share of a group's score that was asked for


@dataclass(frozen=True, slots=True)
class ToldFigures:
    """The first three of them."""

    told: Figure
    true: Figure
    bits: Figure


def level_of(scores: np.ndarray, truth: np.ndarray, bundle: Bundle, settings: SmoothingSettings) -> LevelFigures | None:
    """The figures of the labels told, by the settings; None for a network without groups.

    Args:
        scores: (n, classes) float32 at temperature 1.
        truth: (n,) class.
    """
    if not bundle.groups:
        return None
    extended = bundle.groups.extend(calibrated(scores, bundle))
    found = figures_of(told_of(extended, bundle, settings), truth, bundle)
    members = bundle.groups.matrix > 0
    grouped = members[truth].any(axis=1)
    best_groups = extended[grouped, bundle.classes :].argmax(axis=1)
    return LevelFigures(
        told=found.told,
        true=found.true,
        bits=found.bits,
        most_bits=bundle.groups.bits(0),
        groups=share(int(members[truth[grouped], best_groups].sum()), int(grouped.sum())),
        exact=settings.exact if bundle.exact is None else bundle.exact,
    )


def told_of(extended: np.ndarray, bundle: Bundle, settings: SmoothingSettings) -> np.ndarray:
    """(n,) int64: the output that is told of each picture by itself, the likeliest of several, or NOTHING.

    Args:
        extended: (n, outputs) float32.
    """
    smoother = make_smoother(bundle, settings.model_copy(update={"method": "none", "min_on_s": 0.0}))
    found = np.full(len(extended), NOTHING, np.int64)
    for row, scores in enumerate(extended):
        smoother.update(float(row), scores)
        found[row] = max(smoother.active, key=lambda output: float(scores[output]), default=NOTHING)
        smoother.close()  # so that the next is the first of its own
    return found


def truths_of(told: np.ndarray, truth: np.ndarray, bundle: Bundle) -> np.ndarray:
    """(n, ...) bool: whether what is told is true.

    Args:
        told: (n, ...) outputs, or NOTHING.
        truth: (n,) class.
    """
    true_of = np.concatenate([np.eye(bundle.classes, dtype=bool), bundle.groups.matrix > 0], axis=1)
    aligned = truth.reshape(-1, *[1] * (told.ndim - 1))
    found: np.ndarray = true_of[aligned, told] & (told != NOTHING)
    return found


def figures_of(told: np.ndarray, truth: np.ndarray, bundle: Bundle) -> ToldFigures:
    """How often anything is told, how often truly, and how exactly.

    Args:
        told: (n,) output of each picture, or NOTHING.
        truth: (n,) class.
    """
    some, true = told != NOTHING, truths_of(told, truth, bundle)
    bits = np.array([bundle.groups.bits(output) if right else 0.0 for output, right in zip(told, true, strict=True)])
    return ToldFigures(share(int(some.sum()), len(told)), share(int(true.sum()), int(some.sum())), mean(bits))
