"""All commands by where they are. The modules of all of them take more than a second to import, so each is where it is
named, and a list of commands imports none: it is wanted for help, and while somebody types."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Annotated, NamedTuple

import typer
from typer.core import TyperGroup

from streamtag import __version__
from streamtag.cli.common import EXIT_CODES, examples

_JOBS, _HERE, _NETWORKS, _LOOK = "Jobs of a queue", "Without a queue", "Networks", "This machine"


class _Command(NamedTuple):
    """A command by where it is: a function of a module, or a module's group of commands."""

    module: str
    panel: str
    says: str  # the first paragraph of its help, for a list that imports none
    examples: tuple[str, ...] = ()  # empty: a group, whose commands have their own


COMMANDS: dict[str, _Command] = {
    "demo": _Command(
        "demo",
        _HERE,
        "Start a Redis and a worker, tag a film of photographs, and show what comes out.",
        (
            "demo # a Redis, a worker and a film, for a minute",
            "demo --source film.mp4 # your own film in its place",
            "demo --json | tail -n 1 # how much of it was right",
        ),
    ),
    "run": _Command(
        "run",
        _LOOK,
        "Run a worker: take jobs, tag them, publish. SIGTERM or Ctrl-C hands live jobs back and drains.",
        (
            "run --model xception --slots 32 # a worker that takes up to 32 jobs",
            "run --config worker.yaml # settings from a file",
            "run --model demo --set engine.name=openvino # any setting for once",
        ),
    ),
    "submit": _Command(
        "jobs",
        _JOBS,
        "Queue sources for the workers of a model.",
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
        "Show jobs, running and newest first: their status, progress, active labels and what they wait for.",
        (
            "status # running jobs first, then the newest",
            "status --watch --last 20 # the same, kept up to date",
            "status --status failed --json # for scripts",
        ),
    ),
    "top": _Command(
        "top",
        _JOBS,
        "Watch the streams of a queue: state, labels, rate, lag and worker of each, those in trouble first.",
        (
            "top # the streams in a table that is kept up to date; q ends it",
            "top --sort lag --filter gate # those behind first, of some",
            "top --once --json | jq .fleet # for scripts",
        ),
    ),
    "tail": _Command(
        "tail",
        _JOBS,
        "Print the results or the events of a job, as they come with --follow.",
        (
            "tail film-1 --follow # results as they come",
            "tail --events --follow # events of all jobs",
            "tail film-1 -n 5 --json # the last five, for scripts",
        ),
    ),
    "export": _Command(
        "export",
        _JOBS,
        "Write the results of a job that Redis has now: as data, as subtitles, or as a list of cuts.",
        (
            "export film-1 -o film-1.vtt # subtitles of what is active, for a browser",
            "export film-1 -o film-1.parquet # a row for each label of each sample",
            "export film-1 --format csv | head # the same, into a pipe",
        ),
    ),
    "collect": _Command(
        "collect",
        _NETWORKS,
        "Save frames of a stream as a folder of pictures to train with, "
        "those first of which the network is least sure.",
        (
            "collect film-1 --label bottle --at 12.5-20 # frames of a job, those first of which it was least sure",
            "collect film-1 --label cat --from-events dog # what it called a dog and is a cat",
            "collect rtsp://camera.lan/1 --label nobody --for 60 # what a camera shows from now on",
        ),
    ),
    "cancel": _Command(
        "jobs",
        _JOBS,
        "Cancel jobs: waiting ones end at once, running ones within a renewal (lease.renew_s).",
        ("cancel film-1 film-2 # both end",),
    ),
    "gc": _Command(
        "gc",
        _JOBS,
        "List what was left behind in a queue and no job owns, and with --yes remove it.",
        (
            "gc # what was left behind",
            "gc --yes # and away with it",
            "gc --json | jq .bytes # for scripts",
        ),
    ),
    "replay": _Command(
        "replay",
        _JOBS,
        "Smooth the stored results of a job with other settings, and show what the labels would have been.",
        ("replay film-1 --set smoothing.tau_s=1 # stored results under another smoothing",),
    ),
    "classify": _Command(
        "classify",
        _HERE,
        "Classify pictures and videos here and now, without Redis.",
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
        "Export what Redis tells about queues at /metrics: jobs that wait, the oldest of them, dead letters, workers.",
        (
            "exporter --set http.port=9109 # what waits, for Prometheus, also where no worker runs",
            "exporter --model xception --model vgg16 --once # of two queues, printed",
        ),
    ),
    "view": _Command(
        "view",
        _JOBS,
        "Serve a page that shows the streams of a queue: what each sees now, its state, and the workers.",
        (
            "view # the page of a queue, at http://127.0.0.1:9180",
            "view --model xception --set view.port=9181 # of another queue",
        ),
    ),
    "notify": _Command(
        "notify",
        _JOBS,
        "Tell the events of a queue to the sinks of notify.sinks, each at least once, until SIGTERM or Ctrl-C.",
        (
            "notify --config notify.yaml # tell events to the sinks of notify.sinks",
            "notify --status --config notify.yaml # how far each has got",
            "notify --dead-letters --json | jq .event # what none took",
        ),
    ),
    "train": _Command(
        "train",
        _NETWORKS,
        "Train a head for your own classes on a network that ImageNet has taught to see. Ctrl-C keeps the best so far.",
        ("train photos/ --out my-bundle # a folder of pictures for each class",),
    ),
    "evaluate": _Command(
        "evaluate",
        _NETWORKS,
        "Accuracy, confusion, calibration and thresholds of networks on labelled pictures, with intervals of 95 %.",
        (
            "evaluate my-bundle photos/ --report report.html # figures, mistakes and calibration",
            "evaluate my-bundle other-bundle photos/ # side by side, and whether they differ by more than luck",
        ),
    ),
    "evaluate-stream": _Command(
        "evaluate_stream",
        _NETWORKS,
        "Measure how steady, how right and how prompt labels are, for each smoothing method and many settings of it.",
        ("evaluate-stream spans.csv # which smoothing serves best films of which the truth is known",),
    ),
    "doctor": _Command(
        "doctor",
        _LOOK,
        "Check Redis, decoders, memory, model, weights and device; say what to do about each fault.",
        ("doctor --model xception # Redis, codecs, devices, weights, each with its remedy",),
    ),
    "models": _Command("models", _NETWORKS, "Networks, their weights, and bundles."),
    "dlq": _Command("dlq", _JOBS, "Jobs that could not succeed: list them, try them again, drop them."),
    "config": _Command("config", _LOOK, "The settings: in force, as a schema, as a file to begin with."),
    "bench": _Command("bench", _LOOK, "Benchmarks of this machine."),
}


def command_line(named: Collection[str] = tuple(COMMANDS)) -> typer.Typer:
    """The command line with the commands of these names, and of all others what a list says of them.

    Only the modules of those that are named are imported.
    """
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
    for name, command in COMMANDS.items():
        if name not in named:
            app.command(name, rich_help_panel=command.panel, help=command.says)(_not_imported)
            continue
        module = import_module(f"streamtag.cli.{command.module}")
        if command.examples:
            function = getattr(module, name.replace("-", "_"))
            app.command(name, rich_help_panel=command.panel, epilog=examples(*command.examples))(function)
        else:
            app.add_typer(module.app, name=name, rich_help_panel=command.panel)
    return app


def _not_imported() -> None:
    """Stands in a list for a command that nobody named, so nothing calls it."""
    raise AssertionError("a command was called that was not imported")


def _options(version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
