"""Which head is best for the pictures at hand: candidates, compared by cross-validation on the training side alone.

All of them are dense layers on the features of a backbone in some form, so any is a bundle that every engine serves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from streamtag.core.bundle import HeadInputs
from streamtag.core.groups import Groups
from streamtag.networks.architectures.heads import log_probabilities, power_normalise

Layers = tuple[tuple[np.ndarray, np.ndarray], ...]  # kernel (inputs, outputs) and bias of each dense layer
STRENGTHS = (0.1, 1.0, 10.0)  # inverse, of the regularisation
FOLDS = 5
REPEATS = 3
FEW = 10  # pictures of a class that stand for themselves, below which the choice is mostly luck
SHARES = (0.5, 0.75, 1.0)  # of the training side, for the learning curve


@dataclass(frozen=True, slots=True)
class Material:
    """Pictures as a backbone sees them.

    ``top`` is how many of the last features are the probabilities of its own classifier.
    """

    views: np.ndarray  # (n, v, f) float32
    classes: np.ndarray  # (n,) int64
    groups: np.ndarray  # (n,) str: what must stay together
    top: int
    said: Groups  # of the classifier's classes

    def inputs(self, form: HeadInputs, views: np.ndarray) -> np.ndarray:
        """(n, f) float32 views in the form that a head takes."""
        features = views[:, : views.shape[1] - self.top]
        if form == "features":
            return features
        powers = power_normalise(features)
        if form == "power":
            return powers
        probabilities = np.ascontiguousarray(views[:, views.shape[1] - self.top :])
        return np.hstack([powers, log_probabilities(self.said.extend(probabilities))])


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kind of head and how strongly it is held back."""

    name: str
    form: HeadInputs
    fit: Callable[[np.ndarray, np.ndarray, int], Layers]  # inputs (n, f), classes (n,) and how many there are
    units: tuple[int, ...] = ()
    strength: float = 0.0  # 0: it has none


@dataclass(frozen=True, slots=True)
class Trial:
    """What cross-validation says of a candidate."""

    candidate: Candidate
    accuracy: float
    spread: float  # standard deviation over the repeats
    log_loss: float


@dataclass(frozen=True, slots=True)
class Choice:
    """The head that was chosen, fitted to all of the training side."""

    trials: tuple[Trial, ...]  # the best of each kind, best first; none where there were too few pictures to compare
    candidate: Candidate
    layers: Layers
    curve: tuple[tuple[int, float], ...]  # training pictures and accuracy
    notes: tuple[str, ...]

    def table(self) -> list[dict[str, Any]]:
        """The trials for programs, best first."""
        return [
            {
                "head": trial.candidate.name,
                "strength": trial.candidate.strength,
                "accuracy": round(trial.accuracy, 6),
                "spread": round(trial.spread, 6),
                "log_loss": round(trial.log_loss, 6),
            }
            for trial in self.trials
        ]

    def scores(self, material: Material, views: np.ndarray) -> np.ndarray:
        """(n, classes) float32 probabilities of (n, f) views."""
        return apply(self.layers, material.inputs(self.candidate.form, views))


# The matrices are small: threads that share their work would mostly wait for each other.
@threadpool_limits.wrap(limits=1)  # type: ignore[untyped-decorator]  # it ships no types
def choose(material: Material, names: Sequence[str], seed: int, progress: Callable[[int, int], None]) -> Choice:
    """Compare the candidates, and fit the best one to everything.

    Args:
        names: of the classes.
        progress: told how many of how many trials are done.
    """
    candidates = list(_candidates(material.top > 0, seed))
    separate = [len(set(material.groups[material.classes == number])) for number in range(len(names))]
    notes = [
        f"{names[number]} has {count} that stand for themselves: fewer than {FEW} make the choice of a head mostly luck"
        for number, count in enumerate(separate)
        if count < FEW
    ]
    if min(separate) < 2:
        best = next(one for one in candidates if one.form == ("power+top" if material.top else "power"))
        fitted = _fitted(best, material, np.arange(len(material.classes)), len(names))
        return Choice((), best, fitted, (), (*notes, "too few to compare heads: the usual best one is taken"))
    folds = [_splits(material, min(FOLDS, *separate), seed + repeat) for repeat in range(REPEATS)]
    trials = []
    for done, candidate in enumerate(candidates):
        progress(done, len(candidates))
        trials.append(_tried(candidate, material, folds, len(names)))
    ranked = sorted(trials, key=lambda trial: (-round(trial.accuracy, 3), trial.log_loss))
    kinds = {trial.candidate.name: trial for trial in reversed(ranked)}
    shown = tuple(sorted(kinds.values(), key=ranked.index))
    best = ranked[0].candidate
    curve = _curve(best, material, folds[0], len(names), seed)
    progress(len(candidates), len(candidates))
    if len(curve) > 1 and curve[-1][1] - curve[0][1] > 2 * ranked[0].spread + 0.01:
        text = f"{curve[0][1]:.1%} with {curve[0][0]} pictures, {curve[-1][1]:.1%} with {curve[-1][0]}"
        notes.append(f"more pictures would help: {text}")
    return Choice(
        shown, best, _fitted(best, material, np.arange(len(material.classes)), len(names)), curve, tuple(notes)
    )


def apply(layers: Layers, inputs: np.ndarray) -> np.ndarray:
    """(n, classes) float32 probabilities of (n, f) inputs of a head."""
    values = inputs
    for number, (kernel, bias) in enumerate(layers):
        values = (np.maximum(values, 0) if number else values) @ kernel + bias
    odds = np.exp(values - values.max(axis=1, keepdims=True))
    probabilities: np.ndarray = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities


def _candidates(has_top: bool, seed: int) -> Sequence[Candidate]:
    forms: list[tuple[str, HeadInputs]] = [("linear", "features"), ("power", "power")]
    if has_top:
        forms.append(("power, and what the backbone says", "power+top"))
    linear = [
        Candidate(name, form, _logistic(strength), strength=strength) for name, form in forms for strength in STRENGTHS
    ]
    dense = Candidate("dense 100-100-100", "features", _dense((100, 100, 100), seed), (100, 100, 100))
    return [*linear, Candidate("nearest class mean", "power", _nearest_mean), dense]


def _logistic(strength: float) -> Callable[[np.ndarray, np.ndarray, int], Layers]:
    def fit(inputs: np.ndarray, classes: np.ndarray, count: int) -> Layers:
        # Columns alike, so that the strength means the same for features of any size; then folded into the kernel.
        scale = max(float(np.sqrt((inputs * inputs).mean())), 1e-9)
        # The solution is a sum of rows, so a few rows are solved among themselves, which is much less work.
        inputs, back = _among_rows(inputs / scale)
        with catch_warnings():
            simplefilter("ignore")  # that it has not converged: cross-validation says whether it is good
            model = LogisticRegression(C=strength, class_weight="balanced", max_iter=200).fit(inputs, classes)
        return (_two_sided(back @ model.coef_.T / scale, model.intercept_, count),)

    return fit


def _among_rows(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, f) as (n, k) with the same products of rows, and (f, k) that leads a kernel back."""
    if len(inputs) >= inputs.shape[1]:
        return inputs, np.eye(inputs.shape[1], dtype=np.float32)
    rows, sizes, columns = np.linalg.svd(inputs, full_matrices=False)
    return rows * sizes, columns.T


def _dense(units: tuple[int, ...], seed: int) -> Callable[[np.ndarray, np.ndarray, int], Layers]:
    def fit(inputs: np.ndarray, classes: np.ndarray, count: int) -> Layers:
        with catch_warnings():
            simplefilter("ignore")
            model = MLPClassifier(units, alpha=1e-3, max_iter=60, random_state=seed).fit(inputs, classes)
        layers = [(kernel, bias) for kernel, bias in zip(model.coefs_, model.intercepts_, strict=True)]
        return (*((k.astype(np.float32), b.astype(np.float32)) for k, b in layers[:-1]), _two_sided(*layers[-1], count))

    return fit


def _nearest_mean(inputs: np.ndarray, classes: np.ndarray, count: int) -> Layers:
    """Squared distances to the means are linear in the inputs, but for what is the same for all classes."""
    means = np.stack([inputs[classes == number].mean(axis=0) for number in range(count)])
    spread = max(float(((inputs - means[classes]) ** 2).sum(axis=1).mean()), 1e-9)
    kernel, bias = means.T / spread, -(means**2).sum(axis=1) / (2 * spread)
    return ((kernel.astype(np.float32), bias.astype(np.float32)),)


def _two_sided(kernel: np.ndarray, bias: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of two classes scikit-learn has one column: the log odds of the second."""
    if count == 2 and kernel.shape[1] == 1:
        kernel, bias = np.hstack([0 * kernel, kernel]), np.array([0.0, bias[0]])
    return kernel.astype(np.float32), bias.astype(np.float32)


def _splits(material: Material, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    present = len(set(material.classes))
    rows = splitter.split(material.classes, material.classes, material.groups)
    # A fold without a class on its training side would fit another network than all others.
    return [(train, held) for train, held in rows if len(set(material.classes[train])) == present]


def _fitted(candidate: Candidate, material: Material, rows: np.ndarray, count: int) -> Layers:
    views = material.views[rows]
    inputs = material.inputs(candidate.form, views.reshape(-1, views.shape[2]))
    return candidate.fit(inputs, np.repeat(material.classes[rows], views.shape[1]), count)


def _tried(
    candidate: Candidate, material: Material, folds: Sequence[list[tuple[np.ndarray, np.ndarray]]], count: int
) -> Trial:
    accuracies, losses = [], []
    for repeat in folds:
        right, seen = 0, 0
        for train, held in repeat:
            layers = _fitted(candidate, material, train, count)
            scores = apply(layers, material.inputs(candidate.form, material.views[held, 0]))
            truth = material.classes[held]
            right += int((scores.argmax(axis=1) == truth).sum())
            seen += len(held)
            losses.append(-np.log(np.maximum(scores[np.arange(len(held)), truth], 1e-6)).mean())
        accuracies.append(right / max(1, seen))
    return Trial(candidate, float(np.mean(accuracies)), float(np.std(accuracies)), float(np.mean(losses)))


def _curve(
    candidate: Candidate, material: Material, folds: list[tuple[np.ndarray, np.ndarray]], count: int, seed: int
) -> tuple[tuple[int, float], ...]:
    """Pictures and accuracy with a part of the training side, of which each class keeps some."""
    generator = np.random.default_rng(seed)
    points = []
    for share in SHARES:
        right, seen, used = 0, 0, 0
        for train, held in folds:
            rows = generator.permutation(train)
            of_class = [rows[material.classes[rows] == number] for number in range(count)]
            kept = np.concatenate([own[: max(1, round(share * len(own)))] for own in of_class])
            inputs = material.inputs(candidate.form, material.views[held, 0])
            scores = apply(_fitted(candidate, material, kept, count), inputs)
            right += int((scores.argmax(axis=1) == material.classes[held]).sum())
            seen, used = seen + len(held), used + len(kept)
        points.append((round(used / max(1, len(folds))), right / max(1, seen)))
    return tuple(points)
