"""What the commands share: options, settings, output and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, TextIO, cast

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from streamtag import logs
from streamtag.cli import completion
from streamtag.cli.terminal_log import TerminalLog
from streamtag.configuration import forget_secrets, load, parse_override
from streamtag.errors import (
    AccessDenied,
    ConfigError,
    DeviceMissing,
    MachineTooSmall,
    NetworkUnusable,
    QueueUnavailable,
    StreamtagError,
)
from streamtag.redaction import printable
from streamtag.settings import Settings

FAILED = 1  # a job or picture failed, or what was asked for is not there
USAGE = 2  # wrong options or settings
UNAVAILABLE = 3  # Redis cannot be reached
NETWORK_UNUSABLE = 4  # a worker's network, weights or engine
DEVICE_MISSING = 5  # a GPU that a worker is asked to have
MACHINE_TOO_SMALL = 6  # for as many jobs as a worker is asked to run
CRASHED = 70  # a bug
INTERRUPTED = 130

EXIT_CODES = (
    "Exit codes: 0 done; 1 a job or picture failed, or is not there; 2 wrong options or settings; "
    "3 Redis cannot be reached; 4, 5, 6 a worker's network, GPU or memory does not do; 70 a bug; 130 interrupted."
)
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


def code_of(error: StreamtagError) -> int:
    """The exit code of a command that ends with this."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def _is_same_terminal() -> bool:
    try:
        return os.isatty(1) and os.isatty(2) and os.path.samestat(os.fstat(1), os.fstat(2))
    except OSError:
        return False


out = Console(emoji=False)  # of a job's id ":x:" is a part, and no picture
# One console where both streams are the same terminal: lines are then printed above a progress bar and not into it.
err = out if _is_same_terminal() else Console(file=logs.own_stderr(), emoji=False)


def can_draw(console: Console) -> bool:
    """Whether it is a terminal whose lines can be drawn over, which one with ``TERM=dumb`` is not."""
    return console.is_terminal and not console.is_dumb_terminal


# Headings of the help, in its order.
SAMPLING = "Which frames"
NETWORK = "Network"
OUTPUT = "Output"
SETTINGS = "Settings"

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Settings file (YAML). Default: STREAMTAG_CONFIG, or none.", rich_help_panel=SETTINGS
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Network (`streamtag models list`), demo, or the folder of a bundle.",
        autocompletion=completion.networks,
        rich_help_panel=NETWORK,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option("--weights", help="imagenet, a weights file, or random (benchmarks).", rich_help_panel=NETWORK),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any setting, as group.name=value (`streamtag config show`). May be given again.",
        rich_help_panel=SETTINGS,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="One JSON object a line on standard output, nothing else there.", rich_help_panel=OUTPUT
    ),
]


def examples(*lines: str) -> str:
    """The end of a command's help: what people type, each as ``command # what it does``."""
    parted = [line.partition(" # ") for line in lines]
    shown = [f"[dim]# {escape(purpose)}[/]\nstreamtag {escape(command)}" for command, _, purpose in parted]
    return "\n".join(["[bold]Examples[/]", *shown])


def settings_from(
    config: Path | None = None,
    model: str | None = None,
    weights: str | None = None,
    overrides: list[str] | None = None,
    **more: Any,
) -> Settings:
    """The settings with the command line on top, and logging set up by them.

    Raises:
        ConfigError: one of them is wrong.
    """
    settings, _origins = settings_and_origins(config, model, weights, overrides, **more)
    return settings


def settings_and_origins(
    config: Path | None, model: str | None, weights: str | None, overrides: list[str] | None, **more: Any
) -> tuple[Settings, dict[str, str]]:
    """The settings under the options every command has, and where each value came from."""
    values = dict(parse_override(text) for text in overrides or [])
    values |= {name: value for name, value in (("model.name", model), ("model.weights", weights)) if value is not None}
    values |= {name.replace("__", "."): value for name, value in more.items() if value is not None}
    settings, origins = load(config, values)
    forget_secrets()
    logs.configure(settings.log, cast(TextIO, TerminalLog(err)) if err.is_terminal else None)
    return settings, origins


def print_json(content: dict[str, Any]) -> None:
    """One object, one line, at once: a reader of a pipe waits for it."""
    try:
        line = orjson.dumps(content)
    except TypeError:  # a name of bytes that are no text, which JSON cannot hold
        line = orjson.dumps(_as_text(content))
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def _as_text(content: Any) -> Any:
    r"""The same with bytes that are no text as ``\xff``, so that names that differ still do."""
    if isinstance(content, str):
        return content.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if isinstance(content, dict):
        return {_as_text(name): _as_text(value) for name, value in content.items()}
    return [_as_text(value) for value in content] if isinstance(content, list | tuple) else content


def complain(problem: object) -> None:
    """Say on standard error what went wrong, each line by itself."""
    for line in str(problem).splitlines():
        err.print(Text.assemble(("error: ", "bold red"), printable(line)), soft_wrap=True)


def end_on_sigterm() -> None:
    """Let SIGTERM end a command as Ctrl-C does, so that what it started and wrote is cleared away."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
