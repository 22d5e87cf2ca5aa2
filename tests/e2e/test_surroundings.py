"""Commands started where something is missing: a standard stream, letters, the folder, a home."""

from __future__ import annotations

import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from streamtag.errors import ConfigError
from streamtag.networks.weights.fetching import cache_folder, keras_folder
from streamtag.settings import ModelSettings, Settings

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


def test_without_a_home_it_is_said_which_setting_names_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a user that a container was given by number alone."""

    def unknown(number: int) -> object:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"model\.cache: .*; set it to a folder for weights"):
        cache_folder(ModelSettings())
    assert cache_folder(ModelSettings(cache=Path("/weights"))) == Path("/weights")
    assert not keras_folder().exists()


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (["--version"], ("numpy", "requests", "cv2")),
        (["status"], ("numpy", "requests", "cv2")),
        (["evaluate-stream", "/none.csv"], ("tensorflow", "keras", "openvino")),
    ],
)
def test_a_quick_answer_waits_for_nothing_that_it_does_not_need(
    settings: Settings, arguments: list[str], unneeded: tuple[str, ...]
) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "streamtag", *arguments],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    imported = {line.rsplit("|", 1)[1].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert imported & set(unneeded) == set()


def test_no_bar_is_left_in_a_log(settings: Settings, tmp_path: Path) -> None:
    mirror = ("--set", "model.mirror=http://127.0.0.1:9", "--set", f"model.cache={tmp_path}")
    ran = run_cli(settings, "models", "fetch", "vgg16", *mirror)
    assert ran.returncode == 1
    assert [line[:6] for line in ran.stderr.splitlines()] == ["error:"]
    ran = run_cli(settings, "bench", "peers", "none.mp4")
    assert ran.stderr == "error: none.mp4: no such file\n"
