"""The head for one's own classes: which one cross-validation takes, and what it says of too few pictures."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from streamtag.core.groups import Groups, LabelGroup
from streamtag.networks.architectures.heads import log_probabilities, power_normalise
from streamtag.networks.building import with_head
from streamtag.tools.training.choosing import Choice, Material, apply, choose

SAID = Groups((LabelGroup("dog", (0, 1, 2)),), 6)
NAMES = ("other", "dog")


def material(pictures: int, views: int = 2, said: bool = True, seed: int = 0) -> Material:
    """Dogs of three breeds and three other things: features are noise, the backbone's classifier knows them."""
    generator = np.random.default_rng(seed)
    kinds = np.arange(pictures) % 6
    probabilities = np.full((pictures, views, 6), 0.02, np.float32)
    probabilities[np.arange(pictures), :, kinds] = 0.9
    features = generator.exponential(size=(pictures, views, 40)).astype(np.float32)
    if not said:
        features[kinds < 3, :, 0] += 4.0
    together = np.concatenate([features, probabilities], axis=2) if said else features
    stands_alone = np.array([f"scene {number}" for number in range(pictures)])
    return Material(together, (kinds < 3).astype(np.int64), stands_alone, 6 if said else 0, SAID)


def chosen(one: Material) -> Choice:
    choice: Choice = choose(one, NAMES, 1, lambda done, total: None)
    return choice


def test_what_the_backbone_says_is_taken_where_the_features_say_nothing() -> None:
    choice = chosen(material(36))
    assert choice.candidate.form == "power+top"
    accuracies = {trial.candidate.name: trial.accuracy for trial in choice.trials}
    assert accuracies["power, and what the backbone says"] >= 0.95
    assert accuracies["linear"] < 0.8
    assert len(accuracies) == 5
    other = material(24, seed=5)
    assert (choice.scores(other, other.views[:, 0]).argmax(axis=1) == other.classes).all()
    assert [count for count, _ in choice.curve] == sorted(count for count, _ in choice.curve)


def test_without_a_classifier_the_features_must_do() -> None:
    choice = chosen(material(36, said=False))
    assert all(trial.candidate.form != "power+top" for trial in choice.trials)
    assert choice.trials[0].accuracy >= 0.8
    assert choice.notes == () or "more pictures" in choice.notes[0]


def test_the_choice_is_made_again_the_same() -> None:
    one, other = chosen(material(12)), chosen(material(12))
    assert one.table() == other.table()
    for (kernel, _), (again, _) in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(kernel, again)


def test_too_few_pictures_are_told_with_their_class() -> None:
    few = material(12)
    assert "other has 6 that stand for themselves" in chosen(few).notes[0]
    one = Material(few.views, few.classes, np.array([f"class {number}" for number in few.classes]), few.top, few.said)
    choice = chosen(one)
    assert choice.trials == ()
    assert choice.candidate.form == "power+top"
    assert "too few to compare heads" in choice.notes[-1]


@pytest.mark.parametrize("form", ["power", "power+top"])
def test_the_layers_in_a_network_do_what_the_arithmetic_says(form: str) -> None:
    inputs = keras.Input((46,))
    backbone, whole = keras.Model(inputs, inputs[:, :40]), keras.Model(inputs, inputs[:, 40:])
    one = material(12)
    features, said = one.views[:, 0, :40] - 1.0, one.views[:, 0, 40:]
    head = with_head(backbone, 2, (), form, whole, 1)  # type: ignore[arg-type]
    if form == "power+top":
        head.get_layer("head_groups").set_weights([SAID.matrix])
    expected = power_normalise(features)
    if form == "power+top":
        expected = np.hstack([expected, log_probabilities(SAID.extend(np.ascontiguousarray(said)))])
    layer = head.get_layer("head_predictions")
    kernel = np.random.default_rng(2).normal(size=(expected.shape[1], 2)).astype(np.float32)
    layer.set_weights([kernel, np.array([0.1, -0.1], np.float32)])
    found = np.asarray(head(np.hstack([features, said]), training=False))
    assert found == pytest.approx(apply(((kernel, np.array([0.1, -0.1])),), expected), abs=1e-5)
    assert np.linalg.norm(power_normalise(features), axis=1) == pytest.approx(1.0, abs=1e-4)
