"""The commands, and what becomes of their errors."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Collection
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from streamtag import __version__
from streamtag.cli.common import (
    CRASHED,
    DEVICE_MISSING,
    EXIT_CODES,
    FAILED,
    INTERRUPTED,
    MACHINE_TOO_SMALL,
    NETWORK_UNUSABLE,
    UNAVAILABLE,
    USAGE,
    complain,
    err,
    examples,
)
from streamtag.errors import (
    AccessDenied,
    ConfigError,
    DeviceMissing,
    MachineTooSmall,
    NetworkUnusable,
    NoTemporaryFolder,
    QueueUnavailable,
    StreamtagError,
    is_want_of_temporary_folder,
)
from streamtag.logs import traceback_text

_JOBS, _HERE, _NETWORKS, _LOOK = "Jobs of a queue", "Without a queue", "Networks", "This machine"


# The first that fits, so the narrower kinds come first.
_CODES: tuple[tuple[type[StreamtagError], int], ...] = (
    (ConfigError, USAGE),
    (AccessDenied, USAGE),
    (QueueUnavailable, UNAVAILABLE),
    (NetworkUnusable, NETWORK_UNUSABLE),
    (DeviceMissing, DEVICE_MISSING),
    (MachineTooSmall, MACHINE_TOO_SMALL),
    (StreamtagError, FAILED),
)


_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _Command(NamedTuple):
    """A command by where it is: a function of a module, or a module's group of commands."""

    module: str
    panel: str
    examples: tuple[str, ...] = ()  # empty: a group, whose commands have their own


_COMMANDS: dict[str, _Command] = {
    "demo": _Command(
        "demo",
        _HERE,
        (
            "demo # a Redis, a worker and a film, for a minute",
            "demo --source film.mp4 # your own film in its place",
            "demo --json | tail -n 1 # how much of it was right",
        ),
    ),
    "run": _Command(
        "run",
        _LOOK,
        (
            "run --model xception --slots 32 # a worker that takes up to 32 jobs",
            "run --config worker.yaml # settings from a file",
            "run --model demo --set engine.name=openvino # any setting for once",
        ),
    ),
    "submit": _Command(
        "jobs",
        _JOBS,
        (
            "submit film.mp4 --wait # one file, and how it ends",
            "submit rtsp://camera.lan/1 --stream gate --fps 2 # a camera under a name",
            "submit photos/ --model xception # all pictures of a folder",
            "submit film.mp4 --id film-1 # again with the same id: still one job",
        ),
    ),
    "status": _Command(
        "status",
        _JOBS,
        (
            "status # running jobs first, then the newest",
            "status --watch --last 20 # the same, kept up to date",
            "status --status failed --json # for scripts",
        ),
    ),
    "top": _Command(
        "top",
        _JOBS,
        (
            "top # the streams in a table that is kept up to date; q ends it",
            "top --sort lag --filter gate # those behind first, of some",
            "top --once --json | jq .fleet # for scripts",
        ),
    ),
    "tail": _Command(
        "jobs",
        _JOBS,
        (
            "tail film-1 --follow # results as they come",
            "tail --events --follow # events of all jobs",
            "tail film-1 -n 5 --json # the last five, for scripts",
        ),
    ),
    "export": _Command(
        "export",
        _JOBS,
        (
            "export film-1 -o film-1.vtt # subtitles of what is active, for a browser",
            "export film-1 -o film-1.parquet # a row for each label of each sample",
            "export film-1 --format csv | head # the same, into a pipe",
        ),
    ),
    "collect": _Command(
        "collect",
        _NETWORKS,
        (
            "collect film-1 --label bottle --at 12.5-20 # frames of a job, those first of which it was least sure",
            "collect film-1 --label cat --from-events dog # what it called a dog and is a cat",
            "collect rtsp://camera.lan/1 --label nobody --for 60 # what a camera shows from now on",
        ),
    ),
    "cancel": _Command("jobs", _JOBS, ("cancel film-1 film-2 # both end",)),
    "gc": _Command(
        "gc",
        _JOBS,
        (
            "gc # what was left behind",
            "gc --yes # and away with it",
            "gc --json | jq .bytes # for scripts",
        ),
    ),
    "replay": _Command(
        "replay", _JOBS, ("replay film-1 --set smoothing.tau_s=1 # stored results under another smoothing",)
    ),
    "classify": _Command(
        "classify",
        _HERE,
        (
            "classify photo.jpg # its five best labels",
            "classify film.mp4 --annotate out/ # a copy with the labels drawn on it",
            "classify film.mp4 --csv film.csv --timeline film.png # every sample, and a picture of them",
            "classify photos/ --compare vgg16,xception # two networks side by side",
        ),
    ),
    "exporter": _Command(
        "exporter",
        _JOBS,
        (
            "exporter --set http.port=9109 # what waits, for Prometheus, also where no worker runs",
            "exporter --model xception --model vgg16 --once # of two queues, printed",
        ),
    ),
    "view": _Command(
        "view",
        _JOBS,
        (
            "view # the page of a queue, at http://127.0.0.1:9180",
            "view --model xception --set view.port=9181 # of another queue",
        ),
    ),
    "notify": _Command(
        "notify",
        _JOBS,
        (
            "notify --config notify.yaml # tell events to the sinks of notify.sinks",
            "notify --status --config notify.yaml # how far each has got",
            "notify --dead-letters --json | jq .event # what none took",
        ),
    ),
    "train": _Command("train", _NETWORKS, ("train photos/ --out my-bundle # a folder of pictures for each class",)),
    "evaluate": _Command(
        "evaluate",
        _NETWORKS,
        (
            "evaluate my-bundle photos/ --report report.html # figures, mistakes and calibration",
            "evaluate my-bundle other-bundle photos/ # side by side, and whether they differ by more than luck",
        ),
    ),
    "evaluate-stream": _Command(
        "evaluate_stream",
        _NETWORKS,
        ("evaluate-stream spans.csv # which smoothing serves best films of which the truth is known",),
    ),
    "doctor": _Command(
        "doctor", _LOOK, ("doctor --model xception # Redis, codecs, devices, weights, each with its remedy",)
    ),
    "models": _Command("models", _NETWORKS),
    "dlq": _Command("dlq", _JOBS),
    "config": _Command("config", _LOOK),
    "bench": _Command("bench", _LOOK),
}


def commands(names: Collection[str] = tuple(_COMMANDS)) -> typer.Typer:
    """The command line with the commands of these names. Only their modules are imported."""
    app = typer.Typer(
        name="streamtag",
        cls=TyperGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=True,
        help="Streaming video recognition: jobs from Redis Streams in, steady labels out.",
        epilog=EXIT_CODES,
    )
    app.callback(invoke_without_command=True)(_options)
    for name in names:
        command = _COMMANDS[name]
        module = import_module(f"streamtag.cli.{command.module}")
        if command.examples:
            function = getattr(module, name.replace("-", "_"))
            app.command(name, rich_help_panel=command.panel, epilog=examples(*command.examples))(function)
        else:
            app.add_typer(module.app, name=name, rich_help_panel=command.panel)
    return app


def _named(arguments: list[str]) -> Collection[str]:
    """The command that a line names; all of them for help, for the shell's completion and for a mistyped name.

    All of them take a second to import, one about half of that.
    """
    first = arguments[0] if arguments else ""
    if first in _COMMANDS:
        return [first]
    return [] if first == "--version" else tuple(_COMMANDS)


def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> int:
    """Run a command; failures become one clear line on standard error and an exit code."""
    try:
        code = _command()(prog_name="streamtag", standalone_mode=False)
        sys.stdout.flush()  # so that what does not fit is told, and not by Python when it ends
        return code if isinstance(code, int) else 0
    except typer.Exit as error:
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our pipe has had enough (`| head`): that is no failure of ours.
        _let_go_of_stdout()
        return 0
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # what Rich makes of the same
            return 0
        raise
    except StreamtagError as error:
        complain(error)
        return next(code for kind, code in _CODES if isinstance(error, kind))
    except Exception as error:
        if hasattr(error, "format_message"):  # click's own: wrong options
            error.show()  # type: ignore[attr-defined]
            return USAGE
        if is_want_of_temporary_folder(error):
            complain(NoTemporaryFolder())
            return USAGE
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            _let_go_of_stdout()
            place = error.filename or "standard output"
            complain(StreamtagError(f"{place} cannot be written: {error.strerror}; make room, or write elsewhere"))
            return FAILED
        err.print(traceback_text(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return CRASHED


def _let_go_of_stdout() -> None:
    """What still waits for it would fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _command() -> TyperGroup:
    command = typer.main.get_command(commands(_named(sys.argv[1:])))
    assert isinstance(command, TyperGroup)
    _without_types_of_flags(command)
    return command


def _without_types_of_flags(command: Any) -> None:
    """A flag takes no value, so its help names no type: Typer would write ``<bool>`` beside each."""
    for parameter in (*command.params, command.get_help_option(command.context_class(command))):
        if getattr(parameter, "is_bool_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    for child in getattr(command, "commands", {}).values():
        _without_types_of_flags(child)
