"""The commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from streamtag import __version__
from streamtag.cli import (
    bench,
    classify,
    config,
    demo,
    dlq,
    doctor,
    evaluate,
    evaluate_stream,
    jobs,
    models,
    replay,
    run,
    status,
    train,
)
from streamtag.cli.common import CRASHED, EXIT_CODES, FAILED, INTERRUPTED, UNAVAILABLE, USAGE, complain, err
from streamtag.errors import ConfigError, QueueUnavailable, StreamtagError

app = typer.Typer(
    name="streamtag",
    cls=TyperGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    help="Streaming video recognition: jobs from Redis Streams in, steady labels out.",
    epilog=EXIT_CODES,
)
app.command()(demo.demo)
app.command()(run.run)
app.command()(jobs.submit)
app.command()(status.status)
app.command()(jobs.tail)
app.command()(jobs.cancel)
app.command()(replay.replay)
app.command()(classify.classify)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command("evaluate-stream")(evaluate_stream.evaluate_stream)
app.command()(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(dlq.app, name="dlq")
app.add_typer(config.app, name="config")
app.add_typer(bench.app, name="bench")


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> int:
    """Run a command; failures become one clear line on standard error and an exit code."""
    try:
        code = app(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except typer.Exit as error:
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our pipe has had enough (`| head`): that is no failure of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # what Rich makes of the same
            return 0
        raise
    except QueueUnavailable as error:
        return _say(error, UNAVAILABLE)
    except ConfigError as error:
        return _say(error, USAGE)
    except StreamtagError as error:
        return _say(error, FAILED)
    except Exception as error:
        if hasattr(error, "format_message"):  # click's own: wrong options
            error.show()  # type: ignore[attr-defined]
            return USAGE
        err.print_exception()
        return CRASHED


def _say(error: Exception, code: int) -> int:
    complain(error)
    return code
