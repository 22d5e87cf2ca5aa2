"""Reports of an evaluation, in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from selenium.webdriver.common.by import By
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
