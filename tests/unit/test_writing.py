"""What an evaluation writes into a bundle, and what it refuses to."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from streamtag.networks.bundle_file import read_bundle_file, write_bundle_file
from streamtag.networks.registry import DEMO_BUNDLE
from streamtag.tools.evaluation.measures import Measures, measure
from streamtag.tools.evaluation.writing import Fitted, doubts, write_fitted

LABELS = tuple(read_bundle_file(DEMO_BUNDLE).labels)
BOTH: frozenset[Fitted] = frozenset(("temperature", "thresholds"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO_BUNDLE, tmp_path / "bundle"))


def measures(*counts: int) -> Measures:
    """Of so many samples of the first classes, most of them right."""
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(len(counts)), counts)
    scores = generator.dirichlet(np.full(len(LABELS), 0.3), len(truth)).astype(np.float32)
    scores[np.arange(len(truth)), truth] += generator.uniform(0.3, 1.5, len(truth)).astype(np.float32)
    return measure(scores / scores.sum(axis=1, keepdims=True), truth, LABELS, 1.0, 0.95)


def test_too_few_samples_write_nothing_and_say_so(folder: Path) -> None:
    before = (folder / "bundle.json").read_bytes()
    written = write_fitted(folder, measures(2, 2, 2, 2), BOTH, 0.5)
    assert written.entries == {}
    assert set(written.refused) == BOTH
    assert "(circle 2, square 2, triangle 2, star 2)" in written.refused["temperature"]
    assert (folder / "bundle.json").read_bytes() == before


def test_a_class_of_few_is_refused_however_many_the_others_have(folder: Path) -> None:
    written = write_fitted(folder, measures(60, 60, 3, 60, 60, 4, 60), BOTH, 0.5)
    assert written.entries == {}
    assert written.refused["temperature"].startswith("too few samples to fit to (triangle 3, ")
    assert "which is refused" in written.refused["thresholds"]
    assert write_fitted(folder, measures(60, 60, 5), {"temperature"}, 0.5).refused == {}
    many = write_fitted(folder, measures(*[1] * 7), BOTH, 0.5).refused["temperature"]
    assert " and 2 more)" in many
    assert many.count(" 1,") == 4, "at most five are named"


def test_few_samples_are_doubted_and_enough_are_not() -> None:
    assert "20 samples of 2 classes are few (circle 10, square 10)" in doubts(measures(10, 10), LABELS)[0]
    assert "(square 29)" in doubts(measures(300, 29), LABELS)[0], "one class is enough"
    assert doubts(measures(*[30] * len(LABELS)), LABELS) == []


def test_classes_without_a_sample_are_named() -> None:
    (text,) = doubts(measures(30, 30, 30), LABELS)
    assert text.startswith(f"{len(LABELS) - 3} of {len(LABELS)} classes have no sample (star, ")


def test_a_label_without_a_threshold_is_named_with_its_reason(folder: Path) -> None:
    written = write_fitted(folder, measures(30, 30), BOTH, 0.5)
    assert set(written.entries["thresholds"]) == {"circle", "square"}
    assert "0 samples" in written.labels_left_out["star"]
    assert "nothing" not in written.labels_left_out, "a background class never becomes active"
    file = read_bundle_file(folder)
    assert file.temperature == written.entries["temperature"]
    enter, leave = file.thresholds["circle"]
    assert leave == pytest.approx(enter / 2, abs=1e-4)


def test_no_threshold_at_all_is_a_refusal_and_not_an_empty_entry(folder: Path) -> None:
    """All samples are of one class: there are no others to tell it from."""
    written = write_fitted(folder, measures(40), BOTH, 0.5)
    assert set(written.entries) == {"temperature"}
    assert written.refused == {"thresholds": "no label has a threshold"}
    assert read_bundle_file(folder).thresholds["star"] == (0.6, 0.3), "what was there stays"


def test_thresholds_without_their_temperature_are_refused(folder: Path) -> None:
    written = write_fitted(folder, measures(30, 30), {"thresholds"}, 0.5)
    assert "write temperature too" in written.refused["thresholds"]
    assert written.entries == {}
    alone = write_fitted(folder, measures(30, 30), {"temperature"}, 0.5)
    assert "was chosen at temperature 1" in alone.labels_left_out["star"]


def test_a_share_that_was_chosen_before_is_said_to_be_so(folder: Path) -> None:
    assert write_fitted(folder, measures(30, 30), BOTH, 0.5).remarks == []
    write_bundle_file(folder, read_bundle_file(folder).model_copy(update={"exact": 0.7}))
    written = write_fitted(folder, measures(30, 31), BOTH, 0.5)
    assert "exact 0.7 stays, but was chosen before" in written.remarks[0]
    assert read_bundle_file(folder).exact == 0.7
    assert write_fitted(folder, measures(30, 32), BOTH | {"level"}, 0.5).remarks == [], "it is chosen anew"
