"""How far figures may be off, and what is judged by pictures that it was not fitted to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.core.groups import Groups, LabelGroup
from streamtag.core.options import SmoothingSettings
from streamtag.networks.engines.base import apply_temperature
from streamtag.tools.evaluation import comparison, validation
from streamtag.tools.evaluation.comparison import Evaluated
from streamtag.tools.evaluation.intervals import Figure, bootstrap, differ, mean, share
from streamtag.tools.evaluation.level import level_of
from streamtag.tools.evaluation.measures import measure
from streamtag.tools.evaluation.pictures import Findings

LABELS = ("pug", "beagle", "tabby", "bottle")
GROUPS = Groups((LabelGroup("dog", (0, 1)), LabelGroup("pet", (0, 1, 2))), 4)


@pytest.mark.parametrize(("hits", "of"), [(0, 8), (7, 8), (8, 8), (87, 100), (500, 1000)])
def test_the_interval_of_a_share_is_wilsons(hits: int, of: int) -> None:
    found, other = share(hits, of), binomtest(hits, of).proportion_ci(method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((hits / of, other.low, other.high), abs=1e-6)


def test_of_nothing_a_share_may_be_anything() -> None:
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)


def test_the_interval_of_a_mean_holds_the_true_one_about_95_times_of_100() -> None:
    generator = np.random.default_rng(1)
    draws = [mean(generator.exponential(1.0, 60)) for _ in range(200)]
    assert 0.88 <= np.mean([one.low <= 1.0 <= one.high for one in draws]) <= 0.99


def test_a_figure_lies_in_its_own_interval_also_where_there_is_one_sample() -> None:
    found = bootstrap(3.0, 1, lambda weights: 3.0 * float(weights[0]))
    assert (found.low, found.value, found.high) == (3.0, 3.0, 3.0)


def test_mcnemars_test_counts_where_one_alone_is_right() -> None:
    first = np.array([True] * 10 + [False] * 2 + [True] * 30)
    second = np.array([False] * 10 + [True] * 2 + [True] * 30)
    only_first, only_second, p = differ(first, second)
    assert (only_first, only_second) == (10, 2)
    # Two-sided: twice the chance of at most 2 of 12 by a fair coin.
    assert p == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert differ(first, first) == (0, 0, 1.0)


def drawn(samples: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are too sure by that much, and their truth."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (samples, 4))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([generator.choice(4, p=row) for row in true])
    return apply_temperature(true.astype(np.float32), 1 / sharpness), truth


def test_a_fitted_temperature_has_an_interval_that_narrows_with_more_pictures() -> None:
    found = []
    for seed in range(40):
        table = validation.losses(*drawn(100, 2.5, seed))
        found.append(validation.temperature(table, validation.temperature_of(table, np.ones(100))))
    assert np.mean([one.low <= 2.5 <= one.high for one in found]) >= 0.8
    many = measure(*drawn(2000, 2.5), LABELS, 1.0, 0.95).temperature
    assert many.low < 2.5 < many.high
    assert many.half < np.mean([one.half for one in found]) / 3


def test_the_calibration_that_is_told_is_not_that_of_the_pictures_it_was_fitted_to() -> None:
    scores, truth = drawn(12, 2.5)
    found = measure(scores, truth, LABELS, 1.0, 0.95)
    table = validation.losses(scores, truth)
    fitted = measure(scores, truth, LABELS, found.temperature.value, 0.95).before
    assert found.after.log_loss.value > fitted.log_loss.value
    assert validation.temperature_of(table, np.ones(12)) == pytest.approx(found.temperature.value, rel=0.02)


def test_what_belongs_together_is_in_one_fold_and_classes_are_spread() -> None:
    truth = np.repeat([0, 1], 50)
    groups = np.array([f"video {row // 5}" for row in range(100)])
    folds = validation.folds_of(truth, groups)
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
    assert {(int(truth[row]), int(folds[row])) for row in range(100)} == {(c, f) for c in (0, 1) for f in range(5)}


def test_a_threshold_is_judged_by_pictures_that_it_was_not_chosen_on() -> None:
    """Scores without any meaning: the best threshold of the pictures at hand looks precise, and is not."""
    generator = np.random.default_rng(29)
    scores, positive = generator.uniform(0, 1, 60), np.arange(60) % 2 == 0
    chosen = validation.choose(scores, positive, "precision", 0.9)
    assert chosen is not None
    held = validation.threshold_by_others(scores, positive, np.arange(60) % 5, "precision", 0.9)
    assert held.precision.value < 0.6
    found = validation.threshold(scores, positive, "precision", 0.9)
    assert found is not None
    assert found.low < chosen == found.value <= found.high


def test_the_interval_of_a_threshold_holds_that_of_all_pictures_and_narrows_with_more() -> None:
    """Scores of the class lie by 0.6, of the others by 0.4: errors are equal at 0.5."""

    def found(samples: int, seed: int) -> Figure:
        generator = np.random.default_rng(seed)
        positive = np.arange(samples) % 2 == 0
        scores = np.clip(np.where(positive, 0.6, 0.4) + generator.normal(0, 0.15, samples), 0, 1)
        figure = validation.threshold(scores, positive, "equal", 0.95)
        assert figure is not None
        return figure

    few = [found(60, seed) for seed in range(40)]
    assert np.mean([one.low <= 0.5 <= one.high for one in few]) >= 0.85
    assert found(6000, 0).half < np.mean([one.half for one in few]) / 4


def test_the_level_counts_what_is_told_what_is_true_and_how_exact_it_is() -> None:
    bundle = Bundle("four", "none", LABELS, Preprocessing(32), groups=GROUPS)
    scores = np.array(
        [[0.9, 0.03, 0.02, 0.05], [0.45, 0.42, 0.03, 0.1], [0.9, 0.03, 0.02, 0.05], [0.3, 0.0, 0.0, 0.3]], np.float32
    )
    found = level_of(scores, np.array([0, 1, 2, 3]), bundle, SmoothingSettings())
    assert found is not None
    assert found.told.value == 0.75
    assert found.true.value == pytest.approx(2 / 3), "a pug, a dog, and a tabby called pug"
    assert found.bits.value == pytest.approx((2 + 1) / 4)
    assert found.groups.value == 1.0, "pet is true of the tabby; the bottle has no group"
    assert level_of(scores, np.zeros(4, int), Bundle("x", "x", LABELS, Preprocessing(32)), SmoothingSettings()) is None


def test_networks_side_by_side_saw_the_same_and_differ_or_not() -> None:
    truth = np.arange(40) % 4
    good, bad = np.eye(4, dtype=np.float32)[truth], np.eye(4, dtype=np.float32)[(truth + (np.arange(40) < 12)) % 4]
    sources = tuple(f"{row}.png" for row in range(40))

    def evaluated(name: str, scores: np.ndarray, seen: tuple[str, ...] = sources) -> Evaluated:
        findings = Findings(scores, truth, np.array(seen), seen)
        return Evaluated(name, measure(scores, truth, LABELS, 1.0, 0.95), findings, None)

    both = [evaluated("good", good), evaluated("bad", bad)]
    (pair,) = comparison.pairs(both)
    assert (pair.only_first, pair.only_second) == (12, 0)
    assert pair.p == pytest.approx(2 / 2**12)
    assert "good is better" in str(pair)
    assert comparison.disagreements(both, [LABELS, LABELS], 2) == [
        ["0.png", "pug", "pug", "beagle"],
        ["1.png", "beagle", "beagle", "tabby"],
    ]
    assert "could not be luck" in str(comparison.pairs([both[0], evaluated("twin", good)])[0])
    with pytest.raises(Exception, match="good and other did not read the same samples"):
        comparison.pairs([both[0], evaluated("other", bad, tuple(reversed(sources)))])
