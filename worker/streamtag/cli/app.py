"""The commands, and what becomes of their errors."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from streamtag.cli.catalogue import command_line
from streamtag.cli.common import (
    CRASHED,
    FAILED,
    INTERRUPTED,
    USAGE,
    code_of,
    complain,
    err,
)
from streamtag.errors import NoTemporaryFolder, StreamtagError, is_want_of_temporary_folder
from streamtag.logs import traceback_text

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


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
        return code_of(error)
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
    command = typer.main.get_command(command_line(_named()))
    assert isinstance(command, TyperGroup)
    _without_types_of_flags(command)
    return command


def _named() -> list[str]:
    """The command that is typed, or that is being typed where a shell asks what may follow; none where none is yet."""
    words = sys.argv[1:]
    if "_STREAMTAG_COMPLETE" in os.environ:
        # Bash hands over the whole line in one variable, the other shells in Typer's own.
        words = (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")).split()[1:]
    return [word for word in words if not word.startswith("-")][:1]


def _without_types_of_flags(command: Any) -> None:
    """A flag takes no value, so its help names no type: Typer would write ``<bool>`` beside each."""
    for parameter in (*command.params, command.get_help_option(command.context_class(command))):
        if getattr(parameter, "is_bool_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    for child in getattr(command, "commands", {}).values():
        _without_types_of_flags(child)
