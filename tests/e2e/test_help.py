"""Help, mistyped names and completion: what helps people to the right command."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from typing import Any

import pytest
from rich.markup import render
from streamtag.cli import app
from streamtag.cli.catalogue import COMMANDS, command_line
from streamtag.client import Client
from streamtag.settings import Settings
from typer.core import TyperGroup
from typer.main import get_command

from tests.support import environment, free_port, run_cli
from tests.support.stored_job import StoredJob


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
        "import sys; from streamtag.cli.catalogue import command_line; command_line();"
        "print(sorted({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_list_of_commands_says_what_each_says_of_itself() -> None:
    def listed(named: list[str]) -> dict[str, list[str]]:
        tree = get_command(command_line(named))
        assert isinstance(tree, TyperGroup)
        return {name: (command.help or "").split("\n\n")[0].split() for name, command in tree.commands.items()}

    assert listed([]) == listed(list(COMMANDS))


def test_a_list_of_commands_imports_none_of_them(settings: Settings) -> None:
    heavy = ("streamtag.pipeline", "streamtag.tools", "cv2")
    code = (
        "import atexit, sys; from streamtag.cli.app import main\n"
        f"atexit.register(lambda: print([name for name in sys.modules if name.startswith({heavy})]))\n"
        "main()"
    )
    for arguments, line in ((["--help"], ""), (["satus"], ""), ([], "streamtag s"), ([], "streamtag status --l")):
        completed = {"_STREAMTAG_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        ran = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=environment(settings) | (completed if line else {}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.stdout.splitlines()[-1] == "[]", (arguments, line, ran.stderr)


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


def test_a_mistyped_job_model_or_file_is_answered_with_what_may_be_meant(settings: Settings) -> None:
    StoredJob(settings, "film-1").publish(events=[{"kind": "state", "state": "live", "stream": "gate"}])
    for command, hint in (
        (("tail", "flim-1"), "no job 'flim-1' in the queue of model 'demo'; did you mean 'film-1'?"),
        (("cancel", "gate"), "; the stream of that name is of film-1"),
        (("status", "nothing-like-it"), "`streamtag status` lists them"),
    ):
        ran = run_cli(settings, *command)
        assert (ran.returncode, hint in ran.stderr) == (1, True), ran.stderr
    here, elsewhere = "here.mp4", "/films/elsewhere.mp4"
    ran = run_cli(settings, "submit", here, elsewhere, "--model", "xcption")
    assert ran.returncode == 0, "workers may be elsewhere, and come later"
    assert "note: here.mp4: no such file here; workers look for it at the same place of theirs" in ran.stderr
    assert "elsewhere" not in ran.stderr
    assert "note: no worker serves 'xcption' now; did you mean 'xception'?" in ran.stderr


def test_a_mistyped_variable_of_the_environment_too(settings: Settings) -> None:
    ran = run_cli(settings, "status", env={"STREAMTAG_LEASE__SECNDS": "3", "STREAMTAG_REDDIS__URL": "x"})
    assert ran.returncode == 2
    assert "did you mean" in ran.stderr


def commands() -> list[list[str]]:
    """Every command there is, as it is typed."""
    tree = get_command(command_line())
    assert isinstance(tree, TyperGroup)
    paths = []
    for name, command in tree.commands.items():
        children = command.commands if isinstance(command, TyperGroup) else {}
        paths += [[name, child] for child in children] or [[name]]
    return paths


def examples() -> list[str]:
    """What the help of all commands says that people type, as far as it is Streamtag's."""
    tree = get_command(command_line())
    assert isinstance(tree, TyperGroup)
    leaves = [tree.commands[path[0]] for path in commands() if len(path) == 1]
    for group in tree.commands.values():
        leaves += group.commands.values() if isinstance(group, TyperGroup) else []
    shown = "\n".join(render(leaf.epilog or "").plain for leaf in leaves).splitlines()
    return [re.split(r" [|>] ", line)[0] for line in shown if line.startswith("streamtag ")]


@pytest.mark.parametrize("line", examples())
def test_an_example_of_the_help_can_be_typed(line: str) -> None:
    """``evaluate-stream film.mp4 truth.csv`` was one, and had an argument too many."""
    tree: Any = get_command(command_line())
    arguments = shlex.split(line)[1:]
    with tree.make_context("streamtag", arguments, resilient_parsing=False) as outer:
        while isinstance(tree, TyperGroup):
            name, tree, arguments = tree.resolve_command(outer, arguments)
        tree.make_context(name, arguments, parent=outer)


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
