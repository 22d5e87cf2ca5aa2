"""The commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

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
    gc,
    jobs,
    models,
    replay,
    run,
    status,
    train,
)
from streamtag.cli.common import CRASHED, EXIT_CODES, FAILED, INTERRUPTED, UNAVAILABLE, USAGE, complain, err, examples
from streamtag.errors import AccessDenied, ConfigError, QueueUnavailable, StreamtagError
from streamtag.logs import traceback_text

app = typer.Typer(
    name="streamtag",
    cls=TyperGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    help="Streaming video recognition: jobs from Redis Streams in, steady labels out.",
    epilog=EXIT_CODES,
)
_JOBS, _HERE, _NETWORKS, _LOOK = "Jobs of a queue", "Without a queue", "Networks", "This machine"

app.command(
    rich_help_panel=_HERE,
    epilog=examples(
        "demo # a Redis, a worker and a film, for a minute",
        "demo --source film.mp4 # your own film in its place",
        "demo --json | tail -n 1 # how much of it was right",
    ),
)(demo.demo)
app.command(
    rich_help_panel=_LOOK,
    epilog=examples(
        "run --model xception --slots 32 # a worker that takes up to 32 jobs",
        "run --config worker.yaml # settings from a file",
        "run --model demo --set engine.name=openvino # any setting for once",
    ),
)(run.run)
app.command(
    rich_help_panel=_JOBS,
    epilog=examples(
        "submit film.mp4 --wait # one file, and how it ends",
        "submit rtsp://camera.lan/1 --stream gate --fps 2 # a camera under a name",
        "submit photos/ --model xception # all pictures of a folder",
        "submit film.mp4 --id film-1 # again with the same id: still one job",
    ),
)(jobs.submit)
app.command(
    rich_help_panel=_JOBS,
    epilog=examples(
        "status # running jobs first, then the newest",
        "status --watch --last 20 # the same, kept up to date",
        "status --status failed --json # for scripts",
    ),
)(status.status)
app.command(
    rich_help_panel=_JOBS,
    epilog=examples(
        "tail film-1 --follow # results as they come",
        "tail --events --follow # events of all jobs",
        "tail film-1 -n 5 --json # the last five, for scripts",
    ),
)(jobs.tail)
app.command(rich_help_panel=_JOBS, epilog=examples("cancel film-1 film-2 # both end"))(jobs.cancel)
app.command(
    rich_help_panel=_JOBS,
    epilog=examples("gc # what was left behind", "gc --yes # and away with it", "gc --json | jq .bytes # for scripts"),
)(gc.gc)
app.command(
    rich_help_panel=_JOBS,
    epilog=examples("replay film-1 --set smoothing.tau_s=1 # stored results under another smoothing"),
)(replay.replay)
app.command(
    rich_help_panel=_HERE,
    epilog=examples(
        "classify photo.jpg # its five best labels",
        "classify film.mp4 --annotate out/ # a copy with the labels drawn on it",
        "classify film.mp4 --csv film.csv --timeline film.png # every sample, and a picture of them",
        "classify photos/ --compare vgg16,xception # two networks side by side",
    ),
)(classify.classify)
app.command(
    rich_help_panel=_NETWORKS,
    epilog=examples("train photos/ --out my-bundle # a folder of pictures for each class"),
)(train.train)
app.command(
    rich_help_panel=_NETWORKS,
    epilog=examples("evaluate my-bundle photos/ --report report.html # figures, mistakes and calibration"),
)(evaluate.evaluate)
app.command(
    "evaluate-stream",
    rich_help_panel=_NETWORKS,
    epilog=examples("evaluate-stream film.mp4 truth.csv # which smoothing serves a film best"),
)(evaluate_stream.evaluate_stream)
app.command(
    rich_help_panel=_LOOK,
    epilog=examples("doctor --model xception # Redis, codecs, devices, weights, each with its remedy"),
)(doctor.doctor)
app.add_typer(models.app, name="models", rich_help_panel=_NETWORKS)
app.add_typer(dlq.app, name="dlq", rich_help_panel=_JOBS)
app.add_typer(config.app, name="config", rich_help_panel=_LOOK)
app.add_typer(bench.app, name="bench", rich_help_panel=_LOOK)


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> int:
    """Run a command; failures become one clear line on standard error and an exit code."""
    try:
        code = _command()(prog_name="streamtag", standalone_mode=False)
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
    except (ConfigError, AccessDenied) as error:
        return _say(error, USAGE)
    except QueueUnavailable as error:
        return _say(error, UNAVAILABLE)
    except StreamtagError as error:
        return _say(error, FAILED)
    except Exception as error:
        if hasattr(error, "format_message"):  # click's own: wrong options
            error.show()  # type: ignore[attr-defined]
            return USAGE
        err.print(traceback_text(error), style="red", markup=False, highlight=False, soft_wrap=True)
        return CRASHED


def _command() -> TyperGroup:
    command = typer.main.get_command(app)
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


def _say(error: Exception, code: int) -> int:
    complain(error)
    return code
