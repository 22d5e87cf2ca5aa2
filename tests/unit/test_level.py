"""How sure a label must be to be told in place of its group: chosen on some pictures, judged by others, kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamtag.core.bundle import Bundle, Preprocessing
from streamtag.core.groups import Groups, LabelGroup
from streamtag.core.labelling import make_smoother
from streamtag.core.options import SmoothingSettings
from streamtag.networks.bundle_file import read_bundle_file, write_bundle_file
from streamtag.networks.bundles import read_bundle
from streamtag.networks.registry import DEMO_BUNDLE, resolve
from streamtag.settings import ModelSettings
from streamtag.tools.evaluation.level_choice import LevelChoice, choose_level, doubt, refusal
from streamtag.tools.evaluation.writing import Written, write_level

BUNDLE = Bundle(
    "six",
    "none",
    ("pug", "beagle", "collie", "tabby", "cup", "mug"),
    Preprocessing(32),
    groups=Groups((LabelGroup("dog", (0, 1, 2)), LabelGroup("drink", (4, 5))), 6),
)
DOG = 6


def drawn(samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Dogs for sure, of a breed that is the likeliest as often as its share says, which is 0.5 to 1."""
    generator = np.random.default_rng(seed)
    truth, scores = generator.integers(0, 3, samples), np.full((samples, 6), 0.005, np.float32)
    for row, true in enumerate(truth):
        share = generator.uniform(0.5, 1.0)
        said = true if generator.uniform() < share else (true + 1) % 3
        scores[row, :3] = 0.985 * (1 - share) / 2
        scores[row, said] = 0.985 * share
    return scores, truth


def chosen(samples: int, wanted: float, bundle: Bundle = BUNDLE, groups: int | None = None) -> LevelChoice | None:
    scores, truth = drawn(samples)
    names = np.array([str(row % (groups or samples)) for row in range(samples)])
    return choose_level(scores, truth, names, bundle, SmoothingSettings(), wanted)


def test_the_least_share_is_found_with_which_enough_is_true_also_of_other_pictures() -> None:
    """Told by breed are those above the share s, of which (1 + s) / 2 are right; those below are dogs, all of them."""
    found = chosen(600, 0.95)
    assert found is not None
    assert found.exact is not None
    # Wrong are the integral of (1 - x) from s to 1, over the 0.5 that there are: (1 - s)^2 = 0.05.
    assert found.exact.value == pytest.approx(1 - 0.05**0.5, abs=0.1)
    assert found.exact.low < 1 - 0.05**0.5 < found.exact.high
    assert found.exact.half <= 0.15
    assert found.told.value == 1.0
    assert found.true.value == pytest.approx(0.95, abs=0.02)
    # Two in five by their breed, log2(6) bits where that is right, the others as dogs, 1 bit.
    assert found.bits.value == pytest.approx(0.4 * 0.9 * 2.585 + 0.6, abs=0.25)
    easy = chosen(600, 0.7)
    assert easy is not None
    assert easy.exact is not None
    assert easy.exact.value == 0.0, "three in four breeds are right as they are"


def test_what_no_share_reaches_is_refused_with_what_the_best_reaches() -> None:
    scores, truth = drawn(100)
    truth[:20] = 3  # tabbies that it takes for dogs
    found = choose_level(scores, truth, np.arange(100), BUNDLE, SmoothingSettings(), 0.95)
    assert found is not None
    assert found.exact is None
    assert found.best.value == pytest.approx(0.8)
    assert "95.0% of the labels told true, with the best 80.0%" in refusal(found)


def test_pictures_that_are_alike_count_once() -> None:
    assert "49 pictures that stand for themselves are too few" in refusal(chosen(100, 0.95, groups=49))
    few = chosen(100, 0.95, groups=50)
    assert refusal(few) == ""
    assert "50 pictures that stand for themselves are few" in doubt(few)
    assert doubt(chosen(300, 0.95)) == ""


def test_networks_that_tell_no_groups_have_nothing_to_choose() -> None:
    for bundle in (replace(BUNDLE, groups=Groups()), replace(BUNDLE, level="leaf")):
        assert chosen(60, 0.95, bundle) is None
    assert "tells no groups" in refusal(None)


def test_a_bundle_s_own_share_holds_in_place_of_that_of_the_settings() -> None:
    scores = BUNDLE.groups.extend(np.array([[0.7, 0.2, 0.05, 0.05, 0, 0]], np.float32))[0]
    for bundle, exact, told in (
        (BUNDLE, 0.85, DOG),
        (BUNDLE, 0.6, 0),
        (replace(BUNDLE, exact=0.6), 0.85, 0),
        (replace(BUNDLE, exact=0.85), 0.0, DOG),
        (replace(BUNDLE, exact=0.0), 0.85, 0),
    ):
        smoother = make_smoother(bundle, SmoothingSettings(exact=exact))
        smoother.update(0.0, scores)
        assert smoother.active == [told]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo network with two groups."""
    folder = Path(shutil.copytree(DEMO_BUNDLE, tmp_path / "bundle"))
    groups: dict[str, list[str | int]] = {"angular": ["square", "triangle", "star"], "round": ["circle"]}
    write_bundle_file(folder, read_bundle_file(folder).model_copy(update={"groups": groups}))
    return folder


def test_a_share_is_written_into_the_bundle_and_served(folder: Path, tmp_path: Path) -> None:
    written, found = Written(), chosen(400, 0.95)
    write_level(folder, found, written)
    assert found is not None
    assert found.exact is not None
    assert written.entries == {"exact": found.exact.value}
    assert read_bundle(folder).exact == resolve(ModelSettings(name=str(folder))).exact == found.exact.value
    assert resolve(ModelSettings(name=str(folder), groups="none")).exact is None, "it was chosen with other groups"
    others = tmp_path / "groups.json"
    others.write_text('{"both": ["square", "circle"]}')
    assert resolve(ModelSettings(name=str(folder), groups=str(others))).exact is None
    before = (folder / "bundle.json").read_bytes()
    write_level(folder, chosen(40, 0.95), written)
    assert "too few" in written.refused["level"]
    assert (folder / "bundle.json").read_bytes() == before
