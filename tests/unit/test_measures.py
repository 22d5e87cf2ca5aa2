"""Figures of pictures and of streams, against what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.core.groups import Groups, LabelGroup
from streamtag.core.options import SmoothingSettings
from streamtag.core.records import Label, Result
from streamtag.core.segments import Segment
from streamtag.core.smoothing import Smoother
from streamtag.networks.engines.base import apply_temperature
from streamtag.tools.evaluation import streams
from streamtag.tools.evaluation.measures import calibration, fit_temperature, measure, sweep
from streamtag.tools.evaluation.streams import Clip, matched, predicted_labels, segments_of
from streamtag.tools.evaluation.truth import NONE
from streamtag.tools.evaluation.validation import GRID
from streamtag.tools.replay import replay

LABELS = ("cat", "dog", "nothing")
BUNDLE = Bundle("x", "x", LABELS, Preprocessing(32), background=frozenset({2}))


def test_accuracy_precision_and_recall() -> None:
    scores = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], np.float32)
    found = measure(scores, np.array([0, 0, 1, 1]), LABELS, 1.0, 0.95)
    assert (found.samples, found.accuracy.value, found.top5.value) == (4, 0.75, 1.0)
    assert [(one.label, one.support, one.recall.value) for one in found.classes] == [("cat", 2, 1.0), ("dog", 2, 0.5)]
    assert found.classes[0].precision.value == pytest.approx(2 / 3)
    assert found.confusion.tolist() == [[2, 0], [1, 1]]
    assert found.sweeps == (), "too few pictures for thresholds"


def test_a_temperature_that_was_put_in_is_found_again() -> None:
    """Labels drawn from softened scores: the sharp ones are too sure, by just that temperature."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (4000, 5))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.array([generator.choice(5, p=row) for row in true])
    sharp = apply_temperature(true.astype(np.float32), 1 / 2.5)
    assert fit_temperature(sharp, truth) == pytest.approx(2.5, rel=0.06)
    before, after = calibration(sharp, truth, 1.0), calibration(apply_temperature(sharp, 2.5), truth, 2.5)
    assert after.ece.value < 0.03 < 0.1 < before.ece.value
    assert after.log_loss.value < before.log_loss.value
    assert before.counts.sum() == 4000


def test_thresholds_of_equal_errors_and_of_a_wanted_precision() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9])
    positive = np.array([False] * 4 + [True] * 4)
    found = sweep(scores, positive, "cat", 1.0)
    at = int(np.searchsorted(GRID, found.equal_error_threshold.value))
    assert 1 - found.recall[at] == found.false_alarms[at] == 0.25
    assert found.wanted is not None
    assert found.wanted.value == pytest.approx(0.605)
    apart = sweep(np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True]), "cat", 1.0)
    assert apart.equal_error_threshold.value == pytest.approx(0.5, abs=0.01), (
        "the middle between classes that are apart"
    )
    assert sweep(np.array([0.9, 0.1]), np.array([False, True]), "cat", 0.95).wanted is None


# --- Streams ---


def clip(scores: list[list[float]], *segments: Segment, scene_change: list[float] | None = None) -> Clip:
    pts_s = np.arange(len(scores)) * 0.2
    return Clip(
        "c", pts_s, np.array(scores, np.float32), np.array(scene_change or [0.0] * len(scores), np.float32), segments
    )


def test_truth_outside_of_spans_is_no_label() -> None:
    found = clip([[1, 0, 0]] * 10, Segment("cat", 0.4, 1.0))
    assert found.truth().tolist() == [NONE, NONE, "cat", "cat", "cat", *[NONE] * 5]


def test_raw_labels_are_the_argmax_and_nothing_is_none() -> None:
    assert predicted_labels(clip([[0.6, 0.4, 0], [0.1, 0.9, 0], [0, 0.1, 0.9]]), None, BUNDLE).tolist() == [
        "cat",
        "dog",
        NONE,
    ]


def test_smoothing_takes_out_a_single_wrong_sample() -> None:
    flickering = clip([[1.0, 0, 0]] * 10 + [[0, 1.0, 0]] + [[1.0, 0, 0]] * 10, Segment("cat", 0, 4.0))
    settings = SmoothingSettings(tau_s=0.6, enter=0.6, exit=0.3)
    assert predicted_labels(flickering, settings, BUNDLE).tolist() == ["cat"] * 21
    raw = streams.measure([flickering], [predicted_labels(flickering, None, BUNDLE)], "argmax", {}, BUNDLE)
    smooth = streams.measure([flickering], [predicted_labels(flickering, settings, BUNDLE)], "ema", {}, BUNDLE)
    assert [raw.flips_per_min, smooth.flips_per_min] == pytest.approx([30, 0])
    assert [raw.f1, smooth.f1, smooth.accuracy] == pytest.approx([0.5, 1.0, 1.0])


def test_onset_counts_from_the_start_of_the_truth_and_a_miss_is_infinite() -> None:
    one = clip([[0, 0, 1]] * 10, Segment("cat", 0.2, 1.0), Segment("dog", 1.0, 1.8))
    labels = np.array([*[NONE] * 3, "cat", "cat", *[NONE] * 5])
    row = streams.measure([one], [labels], "x", {}, BUNDLE)
    assert row.onset_p50_s == pytest.approx(0.4)
    assert (row.onset_p95_s, row.missed) == (np.inf, 1)


def test_of_a_beagle_dog_is_true_and_of_a_dog_a_beagle() -> None:
    groups = Groups((LabelGroup("dog", (0, 1)), LabelGroup("pet", (0, 1, 2))), 4)
    pets = Bundle("x", "x", ("beagle", "pug", "tabby", "bottle"), Preprocessing(32), groups=groups)
    one = clip([[1, 0, 0, 0]] * 10, Segment("beagle", 0.0, 1.0), Segment("dog", 1.0, 1.8))
    told = np.array(["pet", "dog", "beagle", "pug", "tabby", "pug", "beagle", "pet", "tabby", "pet"])
    row = streams.measure([one], [told], "x", {}, pets)
    assert row.accuracy == 0.7
    assert row.flips_per_min == pytest.approx(9 / 1.8 * 60), "what is told of it changes all the same"
    steady = np.array(["dog"] * 10)
    found = streams.measure([one], [steady], "x", {}, pets)
    assert (found.accuracy, found.f1, found.missed) == (1.0, 1.0, 0)


def test_segments_match_from_half_an_overlap_on() -> None:
    true = [Segment("cat", 0, 4)]
    assert matched([Segment("cat", 0, 2)], true) == 1
    assert matched([Segment("cat", 0, 1.9)], true) == 0
    assert matched([Segment("dog", 0, 4)], true) == 0
    assert matched([Segment("cat", 0, 2), Segment("cat", 2, 4)], true) == 1, "a true segment counts once"


def test_runs_last_until_the_next_begins() -> None:
    found = segments_of(np.array(["cat", "cat", NONE, "dog", "dog"]), np.arange(5) * 1.0)
    assert found == (Segment("cat", 0, 2), Segment("dog", 3, 4))


def test_recommended_is_prompt_steady_and_right() -> None:
    def row(f1: float, flips: float, onset: float) -> streams.Row:
        return streams.Row("ema", {}, 0.9, flips, f1, onset, onset, 0)

    raw, late, flickering, good = row(0.1, 100, 0), row(1, 5, 2), row(0.99, 50, 0.1), row(0.9, 9, 0.5)
    assert streams.recommended([raw, late, flickering, good], 0.6, 0.9) is good
    assert streams.recommended([raw, late, flickering], 0.6, 0.9) is None


# --- Replay ---


def test_a_replay_is_what_the_smoother_said() -> None:
    """With all classes stored, the same settings give the same segments; a cut is part of what is stored."""
    generator = np.random.default_rng(3)
    settings = SmoothingSettings(tau_s=0.4)
    smoother = Smoother(settings, 3, None, frozenset({2}))
    results, expected = [], 0
    for number in range(200):
        scores = generator.dirichlet([3.0 if number // 40 % 2 else 0.3, 1.0, 0.2]).astype(np.float32)
        change = 0.8 if number in (77, 130) else 0.0
        _, changes = smoother.update(number * 0.2, scores, change)
        expected += sum(one.kind == "enter" for one in changes)
        labels = tuple(Label(n, LABELS[n], float(scores[n]), 0.0) for n in range(3))
        results.append(Result("", number, number * 0.2, labels, tuple(LABELS[c] for c in smoother.active), change))
    found = replay(results, settings, BUNDLE)
    assert found.samples == 200
    assert found.enters == expected > 5
    assert found.enters_stored == len(found.segments) == expected
    assert found.known == pytest.approx(1, abs=1e-5)
    steady = replay(results, settings.model_copy(update={"tau_s": 3.0, "min_off_s": 3.0}), BUNDLE)
    assert steady.enters < found.enters


def test_a_replay_keeps_regions_apart() -> None:
    settings = SmoothingSettings()

    def seen(region: str, name: str) -> list[Result]:
        labels = (Label(BUNDLE.labels.index(name), name, 1.0, 1.0),)
        return [Result("", number, number / 5, labels, (name,), region=region) for number in range(10)]

    one, other = BUNDLE.labels[:2]
    door, yard = seen("door", one), seen("yard", other)
    found = replay([result for pair in zip(door, yard, strict=True) for result in pair], settings, BUNDLE)
    assert (found.samples, found.enters, found.enters_stored) == (20, 2, 2)
    assert {name: [segment.label for segment in segments] for name, segments in found.by_region.items()} == {
        "door": [one],
        "yard": [other],
    }
    assert found.by_region["door"] == replay(door, settings, BUNDLE).segments


def test_a_replay_spreads_what_is_not_stored() -> None:
    result = Result("", 0, 0.0, (Label(0, "cat", 0.7, 0.7),), ())
    found = replay([result], SmoothingSettings(), BUNDLE)
    assert found.known == pytest.approx(0.7)
    assert [segment.label for segment in found.segments] == ["cat"]
