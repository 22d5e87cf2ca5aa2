"""``streamtag demo`` as a newcomer runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from streamtag.settings import Settings

from tests.support import environment, json_lines, run_cli


def test_the_demo_gets_its_segments_right(settings: Settings) -> None:
    ran = run_cli(settings, "demo", "--seconds", "10", "--json")
    assert ran.returncode == 0, ran.stderr
    lines = json_lines(ran.stdout)
    assert lines[-1]["summary"] is True
    assert lines[-1]["status"] == "done"
    assert lines[-1]["segments_right"] >= lines[-1]["segments_total"] - 1
    assert lines[-1]["counters"]["published"] == 50 == sum("labels" in line and "index" in line for line in lines)


def test_the_demo_says_what_it_is(settings: Settings) -> None:
    ran = run_cli(settings, "demo", "--seconds", "3")
    assert ran.returncode == 0, ran.stderr
    assert "demo network" in ran.stdout
    assert "xception" in ran.stdout
    assert "segments right" in ran.stdout
    assert "/metrics" in ran.stderr


def test_the_demo_ends_on_ctrl_c_and_leaves_nothing_behind(settings: Settings) -> None:
    command = [sys.executable, "-m", "streamtag", "demo", "--seconds", "20", "--json"]
    process = subprocess.Popen(
        command, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not Path(started["source"]).exists()
    assert "Traceback" not in process.stderr.read()  # type: ignore[union-attr]
