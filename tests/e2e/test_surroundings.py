"""Commands started where something is missing: a standard stream, letters, the folder, a home."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from streamtag.settings import Settings

from tests.support import environment, run_cli


def shell(settings: Settings, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of the shell, in which ``streamtag`` is this one."""
    line = line.replace("streamtag", f"{sys.executable} -m streamtag")
    return subprocess.run(
        ["bash", "-c", line], env=environment(settings), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("streamtag status >&-", 0),
        ("streamtag status nobody 2>&-", 1),
        ("streamtag status <&- >&- 2>&-", 0),
        ("streamtag submit - <&-", 2),
    ],
)
def test_a_closed_stream_leads_nowhere_and_is_no_bug(settings: Settings, line: str, code: int) -> None:
    ran = shell(settings, line)
    assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), ran.stderr


def test_letters_that_the_locale_does_not_know_are_question_marks(settings: Settings) -> None:
    ran = run_cli(settings, "models", "list", env={"PYTHONIOENCODING": "ascii"})
    assert ran.returncode == 0, ran.stderr
    assert "224?" in ran.stdout


@pytest.mark.parametrize("source", ["film.mp4", "~nobody-of-that-name/film.mp4"])
def test_a_film_of_a_folder_that_is_not_there_is_asked_for_whole(
    settings: Settings, tmp_path: Path, source: str
) -> None:
    ran = shell(settings, f"cd {tmp_path} && rmdir {tmp_path} && streamtag submit '{source}'")
    assert ran.returncode == 2, ran.stderr
    assert f"{source}: the folder that it is in is not there; give the whole path" in ran.stderr
