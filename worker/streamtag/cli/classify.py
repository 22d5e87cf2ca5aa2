"""``streamtag classify``: pictures and videos without Redis."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from streamtag.cli import answers
from streamtag.cli.classify_drawing import annotated, copies, draw
from streamtag.cli.classify_outputs import (
    Annotate,
    Csv,
    DrawTimeline,
    Outputs,
    Plot,
    Show,
    check,
    table_file,
)
from streamtag.cli.common import (
    FAILED,
    NETWORK,
    OUTPUT,
    SAMPLING,
    Config,
    Json,
    Model,
    Overrides,
    Weights,
    err,
    out,
    print_json,
    settings_from,
)
from streamtag.cli.credentials import check_credential
from streamtag.cli.progress import progress_bar
from streamtag.cli.regions import Regions, Roi, named_regions
from streamtag.core.job import Sampling
from streamtag.errors import ConfigError
from streamtag.ingest.pictures import is_absent
from streamtag.networks import loading
from streamtag.redaction import printable
from streamtag.settings import Settings
from streamtag.tools.classify import Answer, Classifier, Moment, expand
from streamtag.tools.classify import Progress as Done
from streamtag.tools.drawing.timeline import Timeline
from streamtag.tools.sample_table import SampleTable

Compare = Annotated[
    str | None,
    typer.Option(
        "--compare",
        help="Several networks side by side: vgg16,resnet50=FILE,… (FILE: its weights).",
        rich_help_panel=NETWORK,
    ),
]


@dataclass(frozen=True, slots=True)
class _Look:
    """What is looked at, and how."""

    top: int
    fps: float | None
    regions: Regions
    credential: str


def classify(
    sources: Annotated[list[str], typer.Argument(help="Pictures, folders or globs of pictures, videos, URLs.")],
    fps: Annotated[
        float | None, typer.Option("--fps", help="Samples a second of a video.", rich_help_panel=SAMPLING)
    ] = None,
    roi: Roi = None,
    credential: Annotated[
        str,
        typer.Option(
            "--credential", help="Name of the user and password in source.credentials for what is on the network."
        ),
    ] = "",
    top: Annotated[int, typer.Option("--top", "-k", help="Labels to show.", min=1, rich_help_panel=OUTPUT)] = 5,
    json: Json = False,
    csv: Csv = None,
    annotate: Annotate = None,
    timeline: DrawTimeline = None,
    plot: Plot = None,
    show: Show = False,
    compare: Compare = None,
    model: Model = None,
    weights: Weights = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Classify pictures and videos here and now, without Redis."""
    settings = settings_from(config, model, weights, overrides)
    outputs = Outputs(json, annotate, csv, timeline)
    chosen = list(expand(sources))
    check(chosen, outputs, plot, show, compare)
    if credential:
        check_credential(credential, chosen, settings, drawn=bool(annotate or plot))
    look = _Look(top, fps, named_regions(roi), credential)
    regions = look.regions
    if len(regions) > 1 and (plot or show or compare or timeline):
        raise ConfigError("--plot, --show, --compare and --timeline are of one region; give one --roi")
    networks = {} if compare is None else _networks(compare, settings)
    if absent := [source for source in chosen if is_absent(source)]:
        _tell_absent(absent, networks, look, outputs)
        chosen = [source for source in chosen if source not in absent]
    if not chosen:
        raise typer.Exit(FAILED)
    if not networks:
        found = {settings.model.name: _classified(settings, chosen, look, outputs)}
    else:
        found = {name: _answers(one, chosen, look, json) for name, one in networks.items()}
        answers.print_side_by_side(chosen, found, json)
    draw(chosen, found, settings, plot, show, quiet=json or outputs.silent)
    if absent or any(answer.error for given in found.values() for answer in given):
        raise typer.Exit(FAILED)


def _networks(compare: str, settings: Settings) -> dict[str, Settings]:
    """Settings of each network named, under its name."""
    given = [part.strip().partition("=") for part in compare.split(",") if part.strip()]
    short = [Path(name).name for name, _, _ in given]
    networks = {}
    for (name, _, file), shown in zip(given, short, strict=True):
        network = settings.model.model_copy(update={"name": name, "weights": file})
        networks[shown if short.count(shown) == 1 else name] = settings.model_copy(update={"model": network})
    if len(networks) < 2:
        raise ConfigError(f"--compare {compare}: name two networks or more, with commas between them")
    return networks


def _classified(settings: Settings, chosen: list[str], look: _Look, outputs: Outputs) -> list[Answer]:
    """Classify, print each answer as it comes, and write what else is asked for."""
    given: list[Answer] = []
    targets = copies(chosen, outputs.annotate) if outputs.annotate is not None else {}
    with table_file(outputs.csv) as file, _bar(outputs.json or outputs.silent) as bar:
        task = bar.add_task("", total=None)
        network = _loaded(settings, bar, task)
        classifier = Classifier(settings, network, look.regions, look.credential)
        labels = network.bundle.outputs
        table = SampleTable(file, labels, network.bundle.classes, look.top, any(look.regions)) if file else None
        timeline = Timeline(labels) if outputs.timeline else None

        def on_moment(moment: Moment) -> None:
            if table:
                scores = (moment.scores, moment.smoothed, moment.active)
                table.add(moment.source, moment.pts_s, *scores, moment.region)
            if timeline:
                timeline.add(moment.pts_s, moment.scores, moment.smoothed)

        bar.update(task, description="classifying")
        answered = classifier.classify(chosen, look.top, Sampling(fps=look.fps), _told(bar, task), on_moment)
        while found := list(islice(answered, len(look.regions))):  # of one source
            copy = targets.get(found[0].path)
            if copy is not None and any(answer.labels for answer in found):
                bar.update(task, description=f"drawing {escape(printable(found[0].path))}")
                found = annotated(classifier, found, copy)
            for answer in found:
                _tell(answer, copy, timeline, outputs)
            given += found
    return given


def _tell(answer: Answer, copy: Path | None, timeline: Timeline | None, outputs: Outputs) -> None:
    """Print an answer, after its timeline is drawn."""
    content = answers.json_of(answer)
    if copy is not None and not answer.error:
        content["annotated"] = str(copy)
    if timeline and outputs.timeline and answer.samples and not answer.error:
        timeline.draw(answer.segments, printable(Path(answer.path).name), outputs.timeline)
        content["timeline"] = str(outputs.timeline)
    if outputs.json:
        print_json(content)
    elif outputs.silent:
        answers.show_trouble(content)
    else:
        answers.show(answer, content)


def _tell_absent(chosen: list[str], networks: Collection[str], look: _Look, outputs: Outputs) -> None:
    """Say of each source that it is not there, before a network is loaded for nothing."""
    gone = [Answer(source, error="no such file", region=region) for source in chosen for region in look.regions]
    if networks:
        answers.print_side_by_side(chosen, dict.fromkeys(networks, gone), outputs.json)
        return
    for answer in gone:
        _tell(answer, None, None, outputs)


def _told(bar: Progress, task: TaskID) -> Callable[[Done], None]:
    def on_progress(done: Done) -> None:
        text = f"classifying: {done.samples} samples"
        bar.update(task, description=text, completed=done.done, total=done.total)

    return on_progress


def _answers(settings: Settings, chosen: list[str], look: _Look, quiet: bool) -> list[Answer]:
    with _bar(quiet) as bar:
        task = bar.add_task("", total=None)
        network = _loaded(settings, bar, task)
        classifier = Classifier(settings, network, look.regions, look.credential)
        return list(classifier.classify(chosen, look.top, Sampling(fps=look.fps), _told(bar, task)))


def _loaded(settings: Settings, bar: Progress, task: TaskID) -> loading.LoadedNetwork:
    """The network, shown as it is loaded; what its bundle wants to be known is said before its answers."""

    def on_step(step: loading.LoadStep) -> None:
        # Of a download and of compilation the end is known; otherwise the bar only moves.
        bar.update(task, description=escape(str(step)), completed=step.done, total=step.total or None)

    network = loading.load(settings, on_step)
    if network.bundle.note:
        text = f"[yellow]note:[/] {escape(printable(network.bundle.name))}: {escape(printable(network.bundle.note))}"
        err.print(text, highlight=False, soft_wrap=True)
    return network


def _bar(quiet: bool) -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    # What fills a pipe leaves the terminal to the bar; beside lines for programs on a terminal it would be in the way.
    return progress_bar(*columns, quiet=quiet and out.is_terminal)
