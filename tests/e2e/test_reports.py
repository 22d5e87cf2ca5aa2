"""Reports of an evaluation, in a real browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from selenium.webdriver.common.by import By
from streamtag.networks.registry import DEMO_BUNDLE
from streamtag.settings import Settings
from streamtag.tools.demo.drawing import LABELS, Scene

from tests.support import json_lines, run_cli
from tests.support.browser import chromium, log


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of the demo's classes; some lie in the folder of another class, one of them red all over."""
    folder = tmp_path_factory.mktemp("drawn")
    for place, label in enumerate(LABELS):
        (folder / label).mkdir()
        for number in range(6):
            shown = LABELS[(place + 1) % len(LABELS)] if number == 0 else label
            cv2.imwrite(str(folder / label / f"{number}.png"), Scene(shown, 9000 + 10 * place + number).frame(0.4))
    red = np.zeros((200, 200, 3), np.uint8)
    red[..., 2] = 220
    cv2.imwrite(str(folder / "star" / "red.png"), red)
    return folder


@pytest.mark.long
def test_a_report_is_one_file_that_a_browser_shows_whole(drawn: Path, tmp_path: Path, settings: Settings) -> None:
    page = tmp_path / "report.html"
    ran = run_cli(settings, "evaluate", "demo", str(drawn), "--report", str(page), "--json")
    assert ran.returncode == 0, ran.stderr
    content = json_lines(ran.stdout)[0]
    wrong = sum(sum(row) for row in content["confusion"]["matrix"]) - round(content["accuracy"] * content["samples"])
    assert (content["samples"], len(content["mistakes"])) == (43, wrong)
    assert 7 <= wrong <= 10
    with chromium(tmp_path / "profile") as browser:
        browser.get(page.as_uri())
        assert browser.title == "demo: evaluation"
        assert browser.find_element(By.ID, "accuracy").text == f"{100 * content['accuracy']:.1f} %"
        assert len(browser.find_elements(By.CSS_SELECTOR, "#classes tr")) == 1 + len(LABELS)
        assert [plot.get_attribute("alt") for plot in browser.find_elements(By.CSS_SELECTOR, "img.plot")] == [
            "Confusion",
            "Reliability",
            "Scores by true class",
            "Thresholds",
        ]
        pictures = browser.execute_script(
            "return [...document.images].map(one => [one.alt, one.complete, one.naturalWidth, one.clientWidth])"
        )
        assert len(pictures) == 4 + wrong
        assert all(complete and natural > 90 and shown > 90 for _, complete, natural, shown in pictures), pictures
        colours = browser.execute_script(
            """
            const one = [...document.images].find(one => one.alt.endsWith('red.png'));
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 10;
            const context = canvas.getContext('2d');
            context.drawImage(one, 0, 0, 10, 10);
            return [...context.getImageData(5, 5, 1, 1).data];
            """
        )
        assert np.allclose(colours[:3], [220, 0, 0], atol=12), f"the colours of the gallery are off: {colours}"
        assert log(browser, "browser") == []
        asked = [json.loads(line["message"])["message"] for line in log(browser, "performance")]
        urls = [one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"]
        assert page.as_uri() in urls
        assert [url for url in urls if url.startswith(("http", "ws"))] == []
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.long
def test_evaluation_of_the_wrong_folder_is_named(drawn: Path, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "unicorn").mkdir()
    (tmp_path / "star").mkdir()
    for label in ("unicorn", "star"):
        (tmp_path / label / "1.png").write_bytes((drawn / "star" / "1.png").read_bytes())
    for arguments, says in (
        (["demo", str(tmp_path)], "unicorn: no label of this network, which has circle"),
        (["demo", str(tmp_path / "none")], "no such folder"),
        (["demo"], "name a folder to evaluate on"),
        (["demo", str(drawn), "--write", "temperature"], "is no bundle"),
        (["demo", str(drawn), "--write", "everything"], "--write everything"),
    ):
        ran = run_cli(settings, "evaluate", *arguments)
        assert ran.returncode == 2, ran.stderr
        assert says in ran.stderr.replace("\n", " ")


@pytest.mark.long
def test_networks_are_set_side_by_side_with_their_intervals(drawn: Path, tmp_path: Path, settings: Settings) -> None:
    """The demo network against one that takes two of its classes for each other."""
    other = Path(shutil.copytree(DEMO_BUNDLE, tmp_path / "swapped"))
    content = json.loads((other / "bundle.json").read_text())
    labels = content["labels"]
    labels[:2] = reversed(labels[:2])
    (other / "bundle.json").write_text(json.dumps(content))
    page = tmp_path / "both.html"
    ran = run_cli(settings, "evaluate", "demo", str(other), str(drawn), "--report", str(page), "--json")
    assert ran.returncode == 0, ran.stderr
    (found,) = json_lines(ran.stdout)
    good, bad = found["networks"]
    assert (good["model"], bad["model"]) == ("demo", "swapped")
    for one in found["networks"]:
        low, high = one["accuracy_95"]
        assert low < one["accuracy"] < high
    (pair,) = found["pairs"]
    only_good, only_bad = pair["only_right"]
    assert only_good - only_bad == round((good["accuracy"] - bad["accuracy"]) * good["samples"]) >= 8
    assert pair["p"] < 0.05
    text = page.read_text()
    assert "demo is better" in text
    assert text.count('<img class="plot"') == 2
    ran = run_cli(settings, "evaluate", "demo", str(other), str(drawn), "--write", "temperature")
    assert (ran.returncode, "of one network" in ran.stderr) == (2, True)


@pytest.mark.long
def test_a_bundle_learns_to_say_that_a_picture_is_none_of_its_classes(
    drawn: Path, clip: Path, tmp_path: Path, settings: Settings
) -> None:
    """Against textures, where nobody gives other things; then every command has one label more."""
    bundle = Path(shutil.copytree(DEMO_BUNDLE, tmp_path / "bundle"))
    command = ("evaluate", str(bundle), str(drawn), "--precision", "0.8", "--write", "unknown", "--without", str(clip))
    ran = run_cli(settings, *command, "--json")
    assert ran.returncode == 0, ran.stderr
    (found,) = json_lines(ran.stdout)
    unknown, alarms = found["unknown"], found["false_alarms"]
    assert (unknown["others"], unknown["pictures"], unknown["written"]) == ("drawn textures", 60, True)
    aurocs = [one["auroc"] for one in unknown["scores"]]
    assert aurocs == sorted(aurocs, reverse=True)
    assert aurocs[0] > 0.6
    assert unknown["found"] > unknown["lost"]
    assert alarms["count"] > 0, "the clip does show shapes"
    assert alarms["per_hour"] == pytest.approx(alarms["count"] / alarms["hours"])
    noise = tmp_path / "noise.png"
    cv2.imwrite(str(noise), np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))
    ran = run_cli(settings, "classify", str(noise), "--model", str(bundle), "--top", "8", "--json")
    (answer,) = json_lines(ran.stdout)
    names = {label["name"]: label["score"] for label in answer["labels"]}
    assert len(names) == 8
    assert names["unknown"] > 0.5, "noise is one of the textures"
    ran = run_cli(settings, "evaluate", "demo", "squeezenet", str(drawn), "--others", str(drawn))
    assert (ran.returncode, "of one network" in ran.stderr) == (2, True)


@pytest.mark.long
def test_how_sure_a_label_must_be_is_chosen_written_and_served(drawn: Path, tmp_path: Path, settings: Settings) -> None:
    """By the demo network with a group of all its shapes, and pictures some of which lie in a wrong folder."""
    bundle = Path(shutil.copytree(DEMO_BUNDLE, tmp_path / "bundle"))
    content = json.loads((bundle / "bundle.json").read_text())
    groups = {"drawn": [label for label in content["labels"] if label != "nothing"]}
    (bundle / "bundle.json").write_text(json.dumps(content | {"groups": groups}))
    ran = run_cli(settings, "evaluate", str(bundle), str(drawn), "--write", "level", "--json")
    (few,) = json_lines(ran.stdout)
    assert (ran.returncode, list(few["refused"])) == (1, ["level"])
    assert "43 pictures that stand for themselves are too few" in few["refused"]["level"]
    more = tmp_path / "more"
    for place, label in enumerate(LABELS):
        (more / label).mkdir(parents=True)
        for number in range(10):
            shown = LABELS[(place + 1) % len(LABELS)] if number == 0 else label
            cv2.imwrite(str(more / label / f"{number}.png"), Scene(shown, 40 * place + number).frame(0.4))
    ran = run_cli(settings, "evaluate", str(bundle), str(more), "--write", "level", "--precision", "0.8")
    assert ran.returncode == 0, ran.stderr
    exact = json.loads((bundle / "bundle.json").read_text())["exact"]
    assert f"written into the bundle: exact {exact:g}" in ran.stdout
    (about,) = json_lines(run_cli(settings, "models", "show", str(bundle), "--json").stdout)
    assert about["exact"] == exact
    (now,) = json_lines(run_cli(settings, "evaluate", str(bundle), str(more), "--json").stdout)
    assert now["level"]["exact"] == exact
    assert now["level"]["choice"]["wanted"] == 0.95
    for wrong, says in (
        (["--write", "level,unknown"], "write unknown first, then level in a second call"),
        (["--without", "/none.mp4"], "--without /none.mp4: no such file"),
        (["--write", "thresholds,unknown"], "write unknown first, then thresholds in a second call"),
        (["--write", "level", "--set", "model.groups=wordnet"], "the bundle's own groups"),
    ):
        ran = run_cli(settings, "evaluate", str(bundle), str(more), *wrong)
        assert (ran.returncode, says in ran.stderr.replace("\n", " ")) == (2, True), ran.stderr
