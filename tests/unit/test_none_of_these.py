"""The outcome of none of the classes: scores, the line between them and other things, and what a bundle keeps of it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamtag.core.bundle import Unknown
from streamtag.errors import ConfigError
from streamtag.networks.bundle_file import QuantisedFile, read_bundle_file, write_bundle_file
from streamtag.networks.bundles import read_bundle
from streamtag.networks.registry import DEMO_BUNDLE, resolve
from streamtag.settings import ModelSettings
from streamtag.tools.drawing.textures import write_textures
from streamtag.tools.evaluation.alarms import rate
from streamtag.tools.evaluation.none_of_these import Seen, class_means, line_of, scores_of
from streamtag.tools.evaluation.unknown_fit import MOST_LOST, Fit, write

CENTRES = np.array([[4, 0, 0, 0, 1, 0], [0, 4, 0, 0, 0, 1], [0, 0, 4, 0, 1, 1]], np.float32)
KERNEL = CENTRES.T / 2


def logits(features: np.ndarray) -> np.ndarray:
    return features @ KERNEL


def seen(features: np.ndarray) -> Seen:
    odds = np.exp(logits(features))
    return Seen((odds / odds.sum(axis=1, keepdims=True)).astype(np.float32), features)


def material(noise: float = 0.2) -> tuple[Seen, np.ndarray, Seen]:
    """Three classes, and others that have little of any class's features."""
    generator = np.random.default_rng(0)
    truth = np.arange(60) % 3
    known = CENTRES[truth] + generator.normal(0, noise, (60, 6)).astype(np.float32)
    others = np.abs(generator.normal(0, 0.5, (60, 6))).astype(np.float32)
    return seen(np.maximum(known, 0)), truth, seen(others)


def test_each_score_tells_the_classes_from_others_and_the_best_comes_first() -> None:
    known, truth, others = material()
    found = scores_of(known, truth, np.arange(60) % 5, others, None, logits)
    assert {score.by for score in found} == {"probability", "energy", "distance"}
    assert all(score.auroc.value > 0.9 for score in found)
    assert [score.auroc.value for score in found] == sorted((score.auroc.value for score in found), reverse=True)
    assert known.features is not None
    alike = scores_of(known, truth, np.arange(60) % 5, known, class_means(known.features, truth), logits)
    assert all(score.auroc.low <= 0.5 <= score.auroc.high for score in alike), "pictures of the classes are no others"


def test_the_area_is_how_often_a_picture_of_the_classes_has_the_larger_score() -> None:
    known, others = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]]), np.array([[0.6, 0.4], [0.55, 0.45]])
    (score,) = scores_of(Seen(known, None), np.zeros(3, int), np.zeros(3, int), Seen(others, None), None, None)
    assert score.auroc.value == pytest.approx((2 + 1.5 + 0) / 6)


def test_without_a_dense_layer_there_is_the_probability_alone() -> None:
    known, truth, others = material()
    bare = [Seen(one.probabilities, None) for one in (known, others)]
    found = scores_of(bare[0], truth, np.arange(60) % 5, bare[1], None, None)
    assert [score.by for score in found] == ["probability"]


def test_the_line_has_the_wanted_precision_and_is_judged_by_others() -> None:
    known, truth, others = material(1.2)
    score = next(one for one in scores_of(known, truth, np.arange(60) % 5, others, None, logits) if one.by == "energy")
    loose, strict = line_of(score, 0.8), line_of(score, 0.99)
    assert loose is not None
    assert strict is not None
    assert strict.threshold > loose.threshold
    kept, passed = (score.known >= loose.threshold).mean(), (score.others >= loose.threshold).mean()
    assert kept / (kept + passed) >= 0.8
    assert strict.found.value >= loose.found.value
    assert strict.lost.value > loose.lost.value
    assert loose.found.low < loose.found.value <= loose.found.high


def fit(lost_noise: float = 0.2, precision: float = 0.95) -> Fit:
    known, truth, others = material(lost_noise)
    found = tuple(scores_of(known, truth, np.arange(60) % 5, others, None, logits))
    distance = tuple(sorted(found, key=lambda score: score.by != "distance"))
    assert known.features is not None
    return Fit(distance, line_of(distance[0], precision), class_means(known.features, truth), "things", 60)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO_BUNDLE, tmp_path / "bundle"))


def test_a_bundle_has_one_label_more_and_the_class_means_are_checked(bundle: Path) -> None:
    before = read_bundle(bundle)
    write(bundle, fit())
    after = read_bundle(bundle)
    assert after.labels == (*before.labels, "unknown")
    assert after.thresholds == before.thresholds
    assert isinstance(after.unknown, Unknown)
    assert after.unknown.by == "distance"
    Path(after.unknown.file).write_bytes(b"other")
    with pytest.raises(ConfigError, match="missing or not what"):
        read_bundle(bundle)


def test_class_means_that_a_worker_may_read_now_stay_until_the_new_ones_are_there(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(bundle, fit())
    before = read_bundle(bundle)
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        if target.name == "bundle.json":
            assert read_bundle(bundle) == before
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    other = fit()
    assert other.means is not None
    write(bundle, dataclasses.replace(other, means=other.means + 1))
    assert read_bundle(bundle) != before
    assert len(list(bundle.glob("*.npy"))) == 1, "those of before are gone"


def test_what_was_chosen_without_unknown_is_told_of_once(bundle: Path) -> None:
    quantised = QuantisedFile(file="x.xml", sha256="0" * 64, weights_sha256="0" * 64, agreement=1, pictures=1)
    write_bundle_file(bundle, read_bundle_file(bundle).model_copy(update={"quantised": quantised}))
    stays, gone = write(bundle, fit())
    assert "stays: thresholds; write it again" in stays
    assert "8-bit form is gone" in gone
    before = (bundle / "bundle.json").read_bytes()
    assert write(bundle, fit()) == [], "the same again changes nothing"
    assert (bundle / "bundle.json").read_bytes() == before


def test_a_line_that_loses_most_of_the_classes_is_not_written(bundle: Path) -> None:
    before = (bundle / "bundle.json").read_bytes()
    known, _, others = material()
    low = np.zeros(60)
    score = scores_of(
        Seen(known.probabilities, None), low.astype(int), low, Seen(others.probabilities, None), None, None
    )[0]
    alike = type(score)(score.by, score.auroc, np.linspace(0, 1, 60), np.linspace(0, 0.98, 60))
    line = line_of(alike, 0.95)
    assert line is not None
    assert line.lost.value > MOST_LOST
    with pytest.raises(ConfigError, match="of the classes' own pictures would be that, too"):
        write(bundle, Fit((alike,), line, None, "things", 60))
    with pytest.raises(ConfigError, match=r"no threshold has the wanted precision; .*evaluate .* --precision"):
        write(bundle, Fit((alike,), None, None, "things", 60))
    assert (bundle / "bundle.json").read_bytes() == before


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"by": "luck"}, "unknown.by"),
        ({"width": 0.0}, "unknown.width"),
        ({"file": "../else.npy"}, "must be an .npy in the bundle's own folder"),
    ],
)
def test_an_entry_that_is_damaged_is_named(bundle: Path, entry: dict[str, object], says: str) -> None:
    write(bundle, fit())
    content = json.loads((bundle / "bundle.json").read_text())
    content["unknown"] |= entry
    (bundle / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=says):
        read_bundle(bundle)


def test_a_bundle_whose_class_is_called_unknown_cannot_have_the_outcome(bundle: Path) -> None:
    content = json.loads((bundle / "bundle.json").read_text())
    content["labels"][0], content["thresholds"] = "unknown", {}
    (bundle / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="unknown is a label already"):
        write(bundle, fit())


def test_other_labels_and_groups_know_the_outcome(bundle: Path, tmp_path: Path) -> None:
    write(bundle, fit())
    names = [f"shape {number}" for number in range(7)]
    (tmp_path / "labels.txt").write_text("\n".join(names))
    (tmp_path / "groups.json").write_text(json.dumps({"odd": ["unknown", "shape 0"]}))
    found = resolve(
        ModelSettings(name=str(bundle), labels=tmp_path / "labels.txt", groups=str(tmp_path / "groups.json"))
    )
    assert found.labels == (*names, "unknown")
    assert found.groups.all[0].classes == (0, 7)


def test_textures_are_many_kinds_and_the_same_each_time(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = list(write_textures(tmp_path / "a")), list(write_textures(tmp_path / "b"))
    assert len(first) == 60
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert len({path.read_bytes() for path in first}) == 60
    assert all(np.asarray(cv2.imread(str(path))).std() > 1 for path in first)


def test_the_rate_of_false_alarms_has_the_exact_interval() -> None:
    """0 of an hour may be 3.7, 10 of two hours 2.4 to 9.2 (tables of the Poisson distribution)."""
    none, ten = rate(0, 1.0), rate(10, 2.0)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(3.689, abs=1e-3)
    assert [ten.value, ten.low, ten.high] == pytest.approx([5.0, 2.398, 9.195], abs=1e-3)
