"""``streamtag classify``: pictures and videos without Redis."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from worker.classify import Answer, Classifier, expand
from worker.cli import views
from worker.cli.common import FAILED, Config, Json, Model, Overrides, Weights, err, out, print_json, settings_from
from worker.engines.base import warm_up
from worker.errors import ConfigError, StreamtagError
from worker.logs import quiet_stderr
from worker.records import IMAGE_SUFFIXES, Sampling
from worker.service import load_engine


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
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Classify pictures and videos here and now, without Redis."""
    settings = settings_from(config, model, weights, overrides)
    chosen = list(expand(sources))
    if annotate is not None and len(chosen) > 1:
        annotate.mkdir(parents=True, exist_ok=True)
    bundle, engine = load_engine(settings)
    failed = False
    with _spinner(json) as spinner:
        task = spinner.add_task(f"compiling {bundle.name} for {engine.device}", total=None)
        with quiet_stderr():
            warm_up(engine, bundle)
        classifier = Classifier(settings, bundle, engine)
        spinner.update(task, description="classifying")

        def progress(samples: int) -> None:
            spinner.update(task, description=f"classifying: {samples} samples")

        for answer in classifier.classify(chosen, top, Sampling(fps=fps), progress):
            failed = failed or bool(answer.error)
            content = _json_of(answer)
            if annotate is not None and answer.labels:
                target = _target(answer.path, annotate)
                try:
                    classifier.draw(answer, target)
                    content["annotated"] = str(target)
                except StreamtagError as error:
                    content["error"] = str(error)
                    failed = True
            if json:
                print_json(content)
            else:
                _show(answer, content)
    if failed:
        raise typer.Exit(FAILED)


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
    picture = Path(name).suffix.lower() in IMAGE_SUFFIXES
    if annotate.is_dir() or not annotate.suffix:
        annotate.mkdir(parents=True, exist_ok=True)
        target = annotate / (name if picture else f"{Path(name).stem}.mp4")
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
            f"  {views.clock(segment.start_s)} to {views.clock(segment.end_s)}  {escape(segment.name)}", highlight=False
        )
    if "error" in content:
        err.print(f"  [red]{escape(content['error'])}[/]", soft_wrap=True)
    if "annotated" in content:
        out.print(f"  drawn on {escape(content['annotated'])}", highlight=False, soft_wrap=True)
