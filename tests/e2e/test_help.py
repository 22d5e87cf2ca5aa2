"""Help, mistyped names and completion: what helps people to the right command."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from streamtag.cli import app
from streamtag.client import Client
from streamtag.settings import Settings
from typer.core import TyperGroup
from typer.main import get_command

from tests.support import environment, free_port, run_cli


def offered(settings: Settings, line: str, **more: str) -> list[str]:
    """What Bash offers at the end of a line, asked as the script of ``--install-completion`` asks."""
    ran = subprocess.run(
        [sys.executable, "-m", "streamtag"],
        env=environment(settings)
        | {"_STREAMTAG_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        | more,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.stderr == ""
    return ran.stdout.split()


@pytest.mark.long
def test_networks_and_job_ids_are_completed(settings: Settings, client: Client) -> None:
    for job_id in ("gate-1", "gate-2", "yard"):
        client.submit("a.mp4", job_id=job_id)
    client.cancel("gate-2")
    assert offered(settings, "streamtag run --model vgg") == ["vgg16", "vgg19", "vgg16-torch"]
    assert sorted(offered(settings, "streamtag status gate")) == ["gate-1", "gate-2"]
    assert offered(settings, "streamtag cancel gate") == ["gate-1"]
    assert offered(settings, "streamtag tail --model xception gate") == []
    assert "submit" in offered(settings, "streamtag s")


def test_completion_is_silent_where_redis_does_not_answer(settings: Settings) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    assert offered(settings, "streamtag status gate", STREAMTAG_REDIS__URL=nobody) == []
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
        assert offered(settings, "streamtag status gate", STREAMTAG_REDIS__URL=silent) == []


def test_completion_loads_no_framework() -> None:
    code = (
        "import sys; from streamtag.cli.app import commands; commands();"
        "print(sorted({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["satus"], "Did you mean 'status'"),
        (["status", "--modle", "x"], "--model"),
        (["run", "--model", "xcption"], "did you mean 'xception'"),
        (["models", "show", "vgg61"], "did you mean 'vgg1"),
        (["run", "--set", "lease.secnds=3"], "did you mean 'lease.seconds'"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_one_that_was_meant(
    settings: Settings, arguments: list[str], hint: str
) -> None:
    ran = run_cli(settings, *arguments)
    assert ran.returncode == (4 if "xcption" in arguments else 2)  # a worker's network has a code of its own
    assert hint in " ".join(ran.stderr.split())


def test_a_mistyped_variable_of_the_environment_too(settings: Settings) -> None:
    ran = run_cli(settings, "status", env={"STREAMTAG_LEASE__SECNDS": "3", "STREAMTAG_REDDIS__URL": "x"})
    assert ran.returncode == 2
    assert "did you mean" in ran.stderr


def commands() -> list[list[str]]:
    """Every command there is, as it is typed."""
    tree = get_command(app.commands())
    assert isinstance(tree, TyperGroup)
    paths = []
    for name, command in tree.commands.items():
        children = command.commands if isinstance(command, TyperGroup) else {}
        paths += [[name, child] for child in children] or [[name]]
    return paths


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_help_has_examples_and_no_types_beside_flags(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["streamtag", *command, "--help"])
        patch.setenv("COLUMNS", "80")
        assert app.main() == 0
    shown = capsys.readouterr().out
    assert "<bool>" not in shown
    assert f"streamtag {' '.join(command)}" in shown.split("Examples")[1]
    assert max(map(len, shown.splitlines())) <= 80
