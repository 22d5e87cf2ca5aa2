"""``train`` without a word of the head: the best of several is taken, and served as it was measured."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import Scene

from tests.support import json_lines, run_cli


@pytest.mark.long
def test_the_best_head_is_chosen_and_served_as_it_was_measured(tmp_path: Path, settings: Settings) -> None:
    for name, shapes in {"round": ("circle", "ring"), "angular": ("square", "star")}.items():
        for number in range(6):
            group = tmp_path / "pictures" / name / f"scene {number}"
            group.mkdir(parents=True)
            for view in range(2):
                picture = Scene(shapes[number % 2], 7000 + number, (320, 180)).frame(view * 0.7)
                cv2.imwrite(str(group / f"{view}.jpg"), picture)
    bundle = tmp_path / "bundle"
    place = ("--set", f"model.cache={tmp_path / 'models'}", "--held-out", "0.34", "--json", "--backbone", "demo")
    ran = run_cli(settings, "train", str(tmp_path / "pictures"), "--out", str(bundle), *place)
    assert ran.returncode == 0, ran.stderr
    (content,) = json_lines(ran.stdout)
    assert len(content["heads"]) == 5
    assert content["heads"][0]["accuracy"] >= 0.8
    assert "fewer than 10" in " ".join(content["notes"])
    assert cv2.imread(str(bundle / "history.png")) is not None
    ran = run_cli(settings, "evaluate", str(bundle), "--json")
    assert ran.returncode == 0, ran.stderr
    assert json_lines(ran.stdout)[0]["accuracy"] == content["held_out_accuracy"]
