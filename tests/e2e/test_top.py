"""``streamtag top`` in a terminal, and for scripts."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.settings import Settings

from tests.support import RedisServer, json_lines, redis_binaries, run_cli, settings_for
from tests.support.stored_job import StoredJob, steps
from tests.support.terminal import Terminal

RESTORED = b"\x1b[?1049l"  # the screen that was there before
CURSOR = b"\x1b[?25h"


def cameras(settings: Settings) -> StoredJob:
    """One that sees a dog, taken by a worker that is silent; and one that waits."""
    job = StoredJob(settings, "gate", "rtsp://camera.lan/1")
    job.publish(steps(["dog"]), active=["dog"])
    with Client(settings=settings) as client:
        client.submit("rtsp://camera.lan/2", job_id="yard")
    return job


def test_it_shows_what_goes_on_heeds_keys_and_an_outage_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with RedisServer(redis_binaries()[0], tmp_path) as server:
        settings = settings_for(server)
        job = cameras(settings)
        with Terminal(settings, "top", columns=120, rows=20) as terminal:
            before = terminal.modes()
            terminal.see("2 of 2 streams")
            terminal.see("dog 0.90")
            terminal.see("its worker is silent")
            job.publish(steps([], [], ["cat"]), active=["cat"])
            terminal.see("cat 0.90")
            terminal.type("/yard")
            terminal.see("1 of 2 streams")
            terminal.type("\r")
            terminal.see("/ filter: yard")
            terminal.type("\x1bs")
            terminal.see("sort: name")
            terminal.resize(70, 12)
            server.kill()
            terminal.see("s old")
            server.start()
            job.publish(steps([], [], [], ["bird"]), active=["bird"])
            terminal.see("bird 0.90")
            assert not any("s old" in line for line in terminal.lines()[-12:])
            terminal.type("q")
            terminal.end()
            assert terminal.process.returncode == 0
            assert terminal.modes() == before
            assert terminal.written.count(RESTORED) == 1
            assert terminal.written.rindex(CURSOR) > terminal.written.index(b"bird")
            assert b"Traceback" not in terminal.written


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(settings: Settings, number: signal.Signals) -> None:
    cameras(settings)
    with Terminal(settings, "top") as terminal:
        before = terminal.modes()
        terminal.see("of 2 streams")
        os.kill(terminal.process.pid, number)
        terminal.end()
        assert terminal.process.returncode == 130
        assert terminal.modes() == before
        assert terminal.written.count(RESTORED) == 1


@pytest.mark.long
def test_ctrl_z_puts_it_aside_and_fg_brings_it_back(settings: Settings) -> None:
    cameras(settings)
    with Terminal(settings, columns=120) as terminal:
        terminal.type(f"set -m; {sys.executable} -m streamtag top\n")
        terminal.see("of 2 streams")
        terminal.type("\x1a")
        terminal.see("Stopped")
        terminal.type("echo back-in-the-shell; fg\n")
        terminal.see("back-in-the-shell")
        terminal.type("s")
        terminal.see("sort: name")
        terminal.type("q")
        terminal.type_until("echo it-is-$((40+2))\n", "it-is-42")


@pytest.mark.long
def test_scripts_get_one_look_or_one_each_second(settings: Settings) -> None:
    cameras(settings)
    ran = run_cli(settings, "top", "--once", "--json")
    assert ran.returncode == 0, ran.stderr
    (look,) = json_lines(ran.stdout)
    assert look["fleet"]["queued"] == 1
    streams = {stream["job_id"]: stream for stream in look["streams"]}
    assert streams["gate"]["active"] == [{"name": "dog", "score": 0.9}]
    assert streams["yard"]["state"] == "queued"
    table = run_cli(settings, "top", "--once", "--filter", "gate")
    assert table.returncode == 0
    assert "dog 0.90" in table.stdout
    assert "yard" not in table.stdout
    piped = run_cli(settings, "top")
    assert piped.returncode == 2
    assert "--once or --json" in piped.stderr.replace("\n", " ")
