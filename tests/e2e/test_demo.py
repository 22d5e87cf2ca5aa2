"""The demo as a newcomer meets it: on a terminal, in a pipe, interrupted, and twice at once."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from streamtag.settings import Settings

from tests.support import RedisServer, environment, eventually, json_lines, run_cli, settings_for
from tests.support.browser import chromium
from tests.support.terminal import Terminal


@pytest.mark.long
def test_the_demo_tags_the_real_world(redis_server: RedisServer, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    settings = settings_for(redis_server, model__name="efficientnet-lite0")
    ran = run_cli(settings, "demo", "--json", "--sheet", str(sheet))
    assert ran.returncode == 0, ran.stderr
    *news, summary = json_lines(ran.stdout)
    assert (summary["summary"], summary["status"], summary["model"]) == (True, "done", "efficientnet-lite0")
    assert summary["segments"] == len(summary["verdicts"]) == 8
    assert summary["segments_right"] >= 0.8 * summary["segments"]
    assert summary["segments_right"] == sum(verdict["right"] for verdict in summary["verdicts"])
    told = {verdict["truth"]: verdict["label"] for verdict in summary["verdicts"]}
    assert (told["an espresso"], told["a camera on a tripod"]) == ("espresso", "tripod"), "and not food"
    assert summary["counters"]["published"] == sum("labels" in line for line in news) == 110
    assert (news[-1]["kind"], news[-1]["status"]) == ("status", "done"), "the end is told last"
    with Image.open(sheet) as picture:
        assert picture.size[0] > 1000


def test_a_source_of_ones_own_has_no_truth_and_no_sheet(settings: Settings, clip: Path, tmp_path: Path) -> None:
    command = ["demo", "--source", str(clip), "--json", "--set", "engine.name=null"]
    ran = run_cli(settings, *command, "--sheet", str(tmp_path / "sheet.png"))
    assert ran.returncode == 0, ran.stderr
    started, *_, summary = json_lines(ran.stdout)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", started["page"])
    assert (summary["segments"], summary["sheet"], summary["source"]) == (0, None, str(clip))
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_that_cannot_be_written_is_told_before_the_work(settings: Settings, tmp_path: Path) -> None:
    ran = run_cli(settings, "demo", "--drawn", "--sheet", str(tmp_path / "none" / "sheet.png"))
    assert ran.returncode == 2
    assert "name a file in a folder that can be written" in ran.stderr


@pytest.mark.long
def test_on_a_terminal_the_bar_and_the_lines_do_not_cut_each_other(settings: Settings, tmp_path: Path) -> None:
    command = ["demo", "--drawn", "--seconds", "10", "--sheet", str(tmp_path / "sheet.png")]
    with Terminal(settings, *command) as terminal:
        terminal.see("━")
        lines = terminal.end()
        assert terminal.process.returncode == 0, lines
    assert not any("━" in line for line in lines), "the bar is gone"
    events = [line for line in lines if re.match(r"\d:\d\d:\d\d\.\d{3}", line)]
    whole = r"\d:\d\d:\d\d\.\d{3}  (enter |exit  |state |status)\s+[A-Za-z_]+(\s+\d\.\d\d)?"
    assert len(events) >= 6
    assert [line for line in events if not re.fullmatch(whole, line)] == []
    assert re.fullmatch(r".*  status  done", events[-1])
    assert any("segments right" in line for line in lines)


@pytest.mark.long
def test_the_page_is_opened_in_a_browser_and_stays_until_ctrl_c(settings: Settings, tmp_path: Path) -> None:
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o700)
    command = [sys.executable, "-m", "streamtag", "demo", "--drawn", "--seconds", "5", "--open", "--sheet", "sheet.png"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(settings) | {"BROWSER": f"{browser} %s"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    errors_ready = partial(select.select, [process.stderr], [], [], 0)
    try:
        eventually((tmp_path / "sheet.png").exists, "all of it is tagged", 120)
        url = opened.read_text().strip()
        with chromium(tmp_path / "profile") as page:
            page.get(url)
            tile = "return document.querySelector('.tile')?.innerText || ''"
            eventually(lambda: "done" in page.execute_script(tile), "the film's tile, and that it is done")
            picture = "return document.querySelector('.tile img').naturalWidth"
            eventually(lambda: page.execute_script(picture) > 30, "its picture")
        eventually(lambda: errors_ready()[0], "it says that the page stays")
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "segments right" in said
        assert f"The page stays at {url} until you press Ctrl-C." in errors
    finally:
        process.kill()


@pytest.mark.parametrize("after_s", [0.0, 1.5, 6.0])
def test_ctrl_c_at_an_odd_moment_leaves_nothing_behind(settings: Settings, tmp_path: Path, after_s: float) -> None:
    """From the first line of our own on: in the choosing, the drawing, the compiling, the tagging."""
    command = [sys.executable, "-m", "streamtag", "demo", "--drawn", "--seconds", "60", "--sheet", "sheet.png"]
    left, cwd = tmp_path / "tmp", tmp_path / "here"
    left.mkdir()
    cwd.mkdir()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(settings) | {"TMPDIR": str(left)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to every process in the foreground
    said = process.communicate(timeout=90)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert [*left.iterdir(), *cwd.iterdir()] == []
    # The fork server sees that we are gone and goes too.
    eventually(lambda: not group_lives(process.pid), "every process of it has ended", 20)


@pytest.mark.long
def test_two_demos_at_once_do_not_meet(settings: Settings, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "streamtag", "demo", "--drawn", "--seconds", "5", "--json", "--sheet", "sheet.png"]
    both = [
        subprocess.Popen(command, cwd=tmp_path, env=environment(settings), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        summary = json_lines(process.communicate(timeout=280)[0])[-1]
        assert (process.returncode, summary["status"], summary["model"]) == (0, "done", "demo")
        assert (summary["segments_right"], summary["segments"], summary["counters"]["published"]) == (2, 2, 25)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def group_lives(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
