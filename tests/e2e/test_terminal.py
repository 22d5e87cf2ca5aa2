"""The command line on a terminal: bars, lines and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from streamtag.client import Client
from streamtag.settings import Settings

from tests.support import RedisServer, environment, eventually, redis_binaries, run_cli, settings_for
from tests.support.terminal import Terminal


@pytest.mark.parametrize(
    ("command", "loaded"), [("status --watch --json", "pydantic_core"), ("run", "numpy"), ("run", "cv2")]
)
def test_ctrl_c_while_the_modules_load_is_quiet(settings: Settings, command: str, loaded: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "streamtag", *command.split()],
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    maps = Path(f"/proc/{process.pid}/maps")
    eventually(lambda: loaded in maps.read_text(), f"{loaded} is loaded", 60)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "")


def test_waiting_names_the_job_at_once_and_a_failure_fills_no_bar(served_settings: Settings, tmp_path: Path) -> None:
    with Terminal(served_settings, "submit", str(tmp_path / "gone.mp4"), "--wait", "--id", "gone") as terminal:
        lines = terminal.end()
    assert terminal.process.returncode == 1
    assert lines[0].split()[0] == "gone"
    bar = next(line for line in lines if "━" in line)
    assert "0%" in bar
    assert "100%" not in bar
    assert "0 frames" not in "".join(lines)


def test_ctrl_c_while_waiting_says_that_the_job_goes_on(settings: Settings, client: Client) -> None:
    with Terminal(settings, "submit", "a.mp4", "--wait", "--id", "patient") as terminal:
        terminal.see("no worker serves")
        terminal.see("━")
        terminal.type("\x03")
        lines = terminal.end()
    assert terminal.process.returncode == 130
    assert any("streamtag status patient" in line for line in lines)
    assert not client.status("patient").status.is_terminal


def test_waiting_outlives_an_outage(tmp_path: Path) -> None:
    """Once it ended with exit code 3 when Redis was away for a moment, and the job went on unseen."""
    with RedisServer(redis_binaries()[0], tmp_path) as server:
        own = settings_for(server)
        with Terminal(own, "submit", "a.mp4", "--id", "waits", "--wait", columns=200) as terminal:
            terminal.see("waits  queued")
            terminal.see("0/1")
            server.kill()
            terminal.see("cannot be reached")
            server.start()
            terminal.see("redis is there again")
            with Client(settings=own) as client:
                client.cancel("waits")
            lines = terminal.end()
        assert terminal.process.returncode == 1
    assert sum("cannot be reached" in line for line in lines) == 1
    assert any("cancelled before it ran" in line for line in lines)


@pytest.mark.parametrize("command", [["status", "--watch"], ["top"]])
def test_a_terminal_that_cannot_be_drawn_on_is_no_silence(
    settings: Settings, client: Client, command: list[str]
) -> None:
    """As of an editor or a serial line: Rich would show nothing there until the end, which never comes."""
    with Terminal(settings, *command, term="dumb") as terminal:
        terminal.see("TERM=dumb, use")
        terminal.process.wait(30)
        assert terminal.process.returncode == 2


def test_a_narrow_terminal_does_without_some_columns_of_networks(settings: Settings) -> None:
    with Terminal(settings, "models", "list", columns=64) as terminal:
        lines = terminal.end()
    (line,) = (line for line in lines if "inceptionresnetv2" in line)
    assert line.split() == ["inceptionresnetv2", "299²", "215", "MB", "80.3", "/", "95.3", "%", "to", "fetch"]


def test_head_of_a_long_list_is_no_failure(settings: Settings, client: Client) -> None:
    for number in range(200):
        client.submit("a.mp4", job_id=f"job{number}")
    for command in ("status", "status --json", "config template", "--help"):
        piped = subprocess.run(
            ["/bin/bash", "-c", f"set -o pipefail; {sys.executable} -m streamtag {command} | head -n 1"],
            env=environment(settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (piped.returncode, piped.stderr) == (0, ""), command


def test_a_full_disk_behind_standard_output_is_told_and_is_no_bug(settings: Settings, client: Client) -> None:
    client.submit("a.mp4", job_id="job")
    for command in ("status", "status --json", "export job --format vtt", "config template"):
        full = subprocess.run(
            ["/bin/bash", "-c", f"{sys.executable} -m streamtag {command} > /dev/full"],
            env=environment(settings),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = "error: standard output cannot be written: No space left on device; make room, or write elsewhere\n"
        assert (full.returncode, full.stderr) == (1, said), command


def test_an_empty_source_is_refused(settings: Settings, client: Client) -> None:
    for empty in ("", "  "):
        ran = run_cli(settings, "submit", empty)
        assert ran.returncode == 2
        assert "the source is empty" in ran.stderr
    assert client.jobs() == []


@pytest.mark.long
def test_a_bar_and_the_log_of_a_worker_beside_it_do_not_run_into_each_other(
    settings: Settings, long_clip: Path
) -> None:
    streamtag = f"{sys.executable} -m streamtag"
    with Terminal(settings, columns=80) as terminal:  # a shell
        terminal.type(f"{streamtag} run --model demo --set engine.name=null &\n")
        terminal.see("ready")
        terminal.type(f"{streamtag} submit {long_clip} --model demo --every 1 --wait --id filmed\n")
        terminal.see("filmed  done")
        terminal.type("kill %1; wait; exit\n")
        lines = terminal.end()
    logged = [line for line in lines if "job started" in line or "job done" in line]
    assert len(logged) == 2
    assert not any("━" in line for line in logged)
    assert sum("━" in line for line in lines) <= 2
