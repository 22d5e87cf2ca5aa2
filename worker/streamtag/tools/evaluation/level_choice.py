"""How sure a label must be to be told in place of its group: the least share with which enough of what is told is true.

"Hedging Your Bets" (Deng et al. 2012) tells the most specific label that keeps a wanted accuracy. What a label needs is
here a share of its group's score (``core/telling.py``). It is chosen with a standard error to spare: the least that
just reaches what is wanted owes that to the luck of the pictures (``tests/bench/RESULTS.md``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.core.options import SmoothingSettings
from streamtag.networks.engines.base import calibrated
from streamtag.tools.evaluation import validation
from streamtag.tools.evaluation.intervals import Figure, bootstrap, share
from streamtag.tools.evaluation.level import NOTHING, figures_of, told_of, truths_of

SHARES = np.linspace(0, 1, 21).round(2)  # that are tried
LEAST = 50  # pictures below which nothing is chosen: of 95 % true two or three wrong ones would decide
GOOD = 300  # below which there is a warning: 95 % of 300 are known to 2.5 points


@dataclass(frozen=True, slots=True)
class LevelChoice:
    """A share for one network, and what such a choice does on pictures that it was not made on."""

    wanted: float  # part of the labels told that shall be true
    pictures: int  # that stand for themselves
    exact: Figure | None  # the least share with which they are, with something to spare; None where no share is enough
    best: Figure  # part that is true at the best share
    told: Figure  # the rest: at shares that were chosen on the other folds
    true: Figure
    bits: Figure


def choose_level(
    scores: np.ndarray,
    truth: np.ndarray,
    groups: np.ndarray,
    bundle: Bundle,
    settings: SmoothingSettings,
    wanted: float,
) -> LevelChoice | None:
    """The share for a network at the bundle's temperature and thresholds; None where it tells no groups.

    Args:
        scores: (n, classes) float32 at temperature 1.
        truth: (n,) class.
        groups: (n,) str, what stays together in cross-validation.
        wanted: part of the labels told that shall be true.
    """
    if not bundle.groups or bundle.level == "leaf":
        return None
    extended = bundle.groups.extend(calibrated(scores, bundle))
    told = np.stack([told_of(extended, replace(bundle, exact=float(one)), settings) for one in SHARES], axis=1)
    some, true = told != NOTHING, truths_of(told, truth, bundle)

    def chosen_by(weights: np.ndarray) -> int | None:
        return _chosen(weights @ some, weights @ true, wanted)

    def drawn(weights: np.ndarray) -> float:
        found = chosen_by(weights)
        return 1.0 if found is None else float(SHARES[found])

    chosen, best = chosen_by(np.ones(len(truth), np.int64)), _best(some.sum(axis=0), true.sum(axis=0))
    by_others = np.full(len(truth), NOTHING, np.int64)
    folds = validation.folds_of(truth, groups)
    for number in np.unique(folds):
        others = (folds != number).astype(np.int64)
        column = chosen_by(others)
        column = _best(others @ some, others @ true) if column is None else column
        by_others[folds == number] = told[folds == number, column]
    held = figures_of(by_others, truth, bundle)
    return LevelChoice(
        wanted=wanted,
        pictures=len(np.unique(groups)),
        exact=None if chosen is None else bootstrap(float(SHARES[chosen]), len(truth), drawn),
        best=share(int(true[:, best].sum()), int(some[:, best].sum())),
        told=held.told,
        true=held.true,
        bits=held.bits,
    )


def _chosen(told: np.ndarray, true: np.ndarray, wanted: float) -> int | None:
    """The place of a share, by (shares,) counts: of the least that is enough; else of the best, if that just is."""
    part = true / np.maximum(told, 1)
    error = np.sqrt(part * (1 - part) / np.maximum(told, 1))
    enough = np.flatnonzero((part - error >= wanted) & (told > 0))
    if len(enough):
        return int(enough[0])
    best = _best(told, true)
    return best if part[best] >= wanted else None


def _best(told: np.ndarray, true: np.ndarray) -> int:
    """The place of the least share with which most is true."""
    return int((true / np.maximum(told, 1)).argmax())


def refusal(choice: LevelChoice | None) -> str:
    """Why a share is not to be written; empty where it is."""
    if choice is None:
        return "this network tells no groups, so that there is nothing to choose"
    if choice.pictures < LEAST:
        return f"{choice.pictures} pictures that stand for themselves are too few to choose by; give at least {LEAST}"
    if choice.exact is None:
        return (
            f"with no share are {choice.wanted:.1%} of the labels told true, with the best {choice.best.value:.1%}; "
            "ask for less with --precision, or raise smoothing.enter, so that less is told"
        )
    return ""


def doubt(choice: LevelChoice | None) -> str:
    """Why a share is not to be trusted; empty where it is."""
    if choice is None or choice.pictures >= GOOD:
        return ""
    return (
        f"{choice.pictures} pictures that stand for themselves are few to choose by how sure a label must be to be "
        f"told in place of its group ({GOOD} are good)"
    )
