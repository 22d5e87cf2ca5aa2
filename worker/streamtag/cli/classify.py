"""``streamtag classify``: pictures and videos without Redis."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from streamtag import networks
from streamtag.cli import views
from streamtag.cli.common import FAILED, Config, Json, Model, Overrides, Weights, err, out, print_json, settings_from
from streamtag.core.job import Sampling
from streamtag.core.source import is_picture
from streamtag.errors import ConfigError, StreamtagError
from streamtag.extras import require
from streamtag.ingest.session import forkserver
from streamtag.settings import Settings
from streamtag.tools.classify import Answer, Classifier, expand
from streamtag.tools.drawing import charts
from streamtag.tools.drawing.thumbnails import thumbnails

PLOT_ROWS = 24
PLOT_PIXELS = 480


def classify(
    sources: Annotated[list[str], typer.Argument(help="Pictures, folders or globs of pictures, videos, URLs.")],
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    top: Annotated[int, typer.Option("--top", "-k", help="Labels to show.", min=1)] = 5,
    fps: Annotated[float | None, typer.Option("--fps", help="Samples a second of a video.")] = None,
    annotate: Annotated[
        Path | None,
        typer.Option("--annotate", help="Write a copy with the label drawn on it: a file, or a folder for several."),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option("--compare", help="Several networks side by side: vgg16,resnet50=FILE,… (FILE: its weights)."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw each picture with its labels as bars: .png, .svg, .pdf.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Open what was drawn, where a display exists.")] = False,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Classify pictures and videos here and now, without Redis."""
    settings = settings_from(config, model, weights, overrides)
    if show and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError("--show: there is no display here; write files with --plot FILE.png or --annotate FOLDER")
    require(*(["--plot"] if plot is not None else []), *(["--show"] if show else []))
    chosen = list(expand(sources))
    if plot is not None and len(chosen) > PLOT_ROWS:
        raise ConfigError(f"--plot: {len(chosen)} pictures do not fit one plot; give at most {PLOT_ROWS}")
    if annotate is not None and len(chosen) > 1:
        annotate.mkdir(parents=True, exist_ok=True)
    if compare is None:
        found = {settings.model.name: _classified(settings, chosen, top, fps, annotate, json)}
    else:
        if annotate is not None:
            raise ConfigError("--annotate draws the labels of one network; leave out --compare")
        found = {name: _answers(one, chosen, top, fps, json) for name, one in _networks(compare, settings).items()}
        _print_side_by_side(chosen, found, json)
    drawn = plot
    if show and plot is None:
        drawn = Path(tempfile.mkdtemp(prefix="streamtag-")) / "labels.png"
        chosen = chosen[:PLOT_ROWS]
    if drawn is not None:
        _plot(chosen, found, settings, drawn)
        if plot is not None and not json:
            out.print(f"drawn on {escape(str(plot))}", highlight=False, soft_wrap=True)
    if show and typer.launch(str(drawn)) != 0:
        raise StreamtagError(f"--show: no program of this machine opens {drawn}; install xdg-utils and a viewer")
    if any(answer.error for answers in found.values() for answer in answers):
        raise typer.Exit(FAILED)


def _networks(compare: str, settings: Settings) -> dict[str, Settings]:
    """Settings of each network named, under its name."""
    networks = {}
    for part in compare.split(","):
        name, _, file = part.strip().partition("=")
        if name:
            network = settings.model.model_copy(update={"name": name, "weights": file})
            networks[Path(name).name] = settings.model_copy(update={"model": network})
    if len(networks) < 2:
        raise ConfigError(f"--compare {compare}: name two networks or more, with commas between them")
    return networks


def _classified(
    settings: Settings, chosen: list[str], top: int, fps: float | None, annotate: Path | None, json: bool
) -> list[Answer]:
    """Classify, print each answer as it comes, and draw it if asked to."""
    answers = []
    with _spinner(json) as spinner:
        task = spinner.add_task("", total=None)
        classifier = Classifier(settings, networks.load(settings, _shown(spinner, task)))
        spinner.update(task, description="classifying")

        def progress(samples: int) -> None:
            spinner.update(task, description=f"classifying: {samples} samples")

        for answer in classifier.classify(chosen, top, Sampling(fps=fps), progress):
            content = _json_of(answer)
            if annotate is not None and answer.labels:
                target = _target(answer.path, annotate)
                try:
                    classifier.draw(answer, target)
                    content["annotated"] = str(target)
                except StreamtagError as error:
                    content["error"] = str(error)
                    answer = Answer(answer.path, answer.labels, str(error))
            if json:
                print_json(content)
            else:
                _show(answer, content)
            answers.append(answer)
    return answers


def _answers(settings: Settings, chosen: list[str], top: int, fps: float | None, quiet: bool) -> list[Answer]:
    with _spinner(quiet) as spinner:
        task = spinner.add_task("", total=None)
        network = networks.load(settings, _shown(spinner, task))
        spinner.update(task, description=f"classifying with {network.bundle.name}")
        return list(Classifier(settings, network).classify(chosen, top, Sampling(fps=fps)))


def _shown(spinner: Progress, task: TaskID) -> networks.OnStep:
    return lambda step: spinner.update(task, description=escape(str(step)))


def _print_side_by_side(chosen: list[str], found: dict[str, list[Answer]], json: bool) -> None:
    for row, source in enumerate(chosen):
        answers = {name: answers[row] for name, answers in found.items()}
        if json:
            print_json({"path": source, "networks": {name: _json_of(answer) for name, answer in answers.items()}})
            continue
        out.print(f"[bold]{escape(source)}[/]", highlight=False, soft_wrap=True)
        grid = Table("rank", box=None, padding=(0, 2))
        for name in answers:
            grid.add_column(escape(name), overflow="fold")
        for rank in range(max(len(answer.labels) for answer in answers.values())):
            labels = [answer.labels[rank] if rank < len(answer.labels) else None for answer in answers.values()]
            grid.add_row(
                str(rank + 1), *(f"{escape(label.name)} {label.score:.4f}" if label else "" for label in labels)
            )
        out.print(grid)
        for name, answer in answers.items():
            if answer.error:
                err.print(f"  [red]{escape(name)}: {escape(answer.error)}[/]", soft_wrap=True)


def _plot(chosen: list[str], found: dict[str, list[Answer]], settings: Settings, path: Path) -> None:
    pictures = thumbnails(chosen, PLOT_PIXELS, settings.source, forkserver())
    rows = []
    for row, (source, picture) in enumerate(zip(chosen, pictures, strict=True)):
        bars = {
            name: [(label.name, label.score) for label in answers[row].labels[:10]] for name, answers in found.items()
        }
        rows.append((Path(source.split("?")[0]).name, picture, bars))
    charts.bars_beside_pictures(rows, path)


def _spinner(quiet: bool) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return Progress(*columns, console=err, transient=True, disable=quiet)


def _json_of(answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = {"path": answer.path}
    if answer.labels:
        content["labels"] = [asdict(label) for label in answer.labels]
    if answer.error:
        content["error"] = answer.error
    if answer.captions:
        content["samples"] = answer.samples
        content["segments"] = [asdict(segment) for segment in answer.segments]
    return content


def _target(source: str, annotate: Path) -> Path:
    """Where the copy goes: into the folder under the source's name, or to the file that was named."""
    name = Path(source.split("?")[0]).name
    if annotate.is_dir() or not annotate.suffix:
        annotate.mkdir(parents=True, exist_ok=True)
        target = annotate / (name if is_picture(source) else f"{Path(name).stem}.mp4")
    else:
        target = annotate
    if target.exists() and Path(source).exists() and target.samefile(source):
        raise ConfigError(f"--annotate {annotate}: would overwrite {source} itself; name another file or folder")
    return target


def _show(answer: Answer, content: dict[str, Any]) -> None:
    out.print(f"[bold]{escape(answer.path)}[/]", highlight=False, soft_wrap=True)
    if answer.labels:
        grid = Table("rank", "label", "probability", box=None, padding=(0, 2))
        for row in views.label_rows(list(answer.labels)):
            grid.add_row(*map(escape, row))
        out.print(grid)
    for segment in answer.segments:
        out.print(
            f"  {views.clock(segment.start_s)} to {views.clock(segment.end_s)}  {escape(segment.label)}",
            highlight=False,
        )
    if "error" in content:
        err.print(f"  [red]{escape(content['error'])}[/]", soft_wrap=True)
    if "annotated" in content:
        out.print(f"  drawn on {escape(content['annotated'])}", highlight=False, soft_wrap=True)
