"""``streamtag train``: your own classes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column as BarColumns

from streamtag.cli import evaluate_unknown
from streamtag.cli.common import Config, Json, Overrides, Weights, err, out, print_json, settings_from
from streamtag.cli.tables import Column, Grid
from streamtag.core.bundle import UNKNOWN
from streamtag.core.job import Sampling
from streamtag.errors import ConfigError, StreamtagError
from streamtag.extras import require
from streamtag.logs import quiet_stderr
from streamtag.networks.bundle_file import MOST_LAYERS
from streamtag.networks.loading import LoadStep, bundle_with_weights, import_keras
from streamtag.networks.registry import resolve
from streamtag.networks.weights.fetching import cache_folder
from streamtag.redaction import printable
from streamtag.settings import ModelSettings, Settings
from streamtag.tools.bundle_folder import BESIDE, held
from streamtag.tools.dataset import Dataset, other_pictures, read_folders, read_spans
from streamtag.tools.split_record import read_split

if TYPE_CHECKING:  # Keras is imported only once its backend is chosen
    from streamtag.tools.training.choosing import Choice
    from streamtag.tools.training.run import Outcome

FEW = 50


Head = Annotated[
    str, typer.Option("--head", help="auto: the best of several by cross-validation; widths such as 100-100; linear.")
]


Crops = Annotated[
    int, typer.Option("--crops", help="Random crops of each picture: helps where pictures are few.", min=0, max=64)
]
Others = Annotated[
    Path | None,
    typer.Option("--others", help="Folder of pictures of other things: the bundle then says `unknown` of such."),
]


def train(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder with a folder of pictures (or videos) for each class.")
    ] = None,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")] = Path("bundle"),
    spans: Annotated[
        Path | None, typer.Option("--spans", help="In place of a folder: CSV with video,start_s,end_s,label.")
    ] = None,
    backbone: Annotated[
        str, typer.Option("--backbone", help="A network of `streamtag models list`, or a bundle.")
    ] = "efficientnet-lite0",
    weights: Weights = None,
    head: Head = "auto",
    epochs: Annotated[
        int, typer.Option("--epochs", help="At most; training stops when it gets no better.", min=1)
    ] = 100,
    patience: Annotated[int, typer.Option("--patience", help="Epochs without a better held-out loss.", min=1)] = 10,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the pictures kept for measuring.", min=0.02, max=0.5)
    ] = 0.2,
    seed: Annotated[int, typer.Option("--seed", help="Of the split and the training.", min=0)] = 1,
    group_by: Annotated[
        str | None,
        typer.Option("--group-by", help="Regular expression on file names: what it captures stays on one side."),
    ] = None,
    fps: Annotated[float, typer.Option("--fps", help="Samples a second of videos.", min=0.01)] = 2.0,
    unfreeze: Annotated[
        int, typer.Option("--unfreeze", help="Train so many last blocks of the backbone too.", min=0)
    ] = 0,
    flip: Annotated[bool, typer.Option("--flip/--no-flip", help="Mirrored pictures are pictures too.")] = True,
    crops: Crops = 0,
    balance: Annotated[
        bool, typer.Option("--class-weights/--no-class-weights", help="Rare classes weigh more.")
    ] = True,
    others: Others = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Train a head for your own classes on a network that ImageNet has taught to see. Ctrl-C keeps the best so far."""
    settings = _able(settings_from(config, backbone, weights, overrides))
    dataset = _dataset(folder, spans, group_by)
    units, cache = _units(head), cache_folder(settings.model).parent / "features"
    _check(settings, dataset, others)
    with held(out_folder, force):
        _check_tables(out_folder, force)
        _print_dataset(dataset, crops, json)
        with _Bars(json) as bars:
            chosen = bundle_with_weights(settings.model, bars.on_step)
            import_keras(settings.engine, bars.on_step)
            with quiet_stderr():  # imports Keras, whose backend is chosen by now
                from streamtag.tools.training import fitting, run  # noqa: PLC0415 - Keras, whose backend comes first

            recipe = fitting.Recipe(units, epochs, patience, flip=flip, crops=crops, balance=balance)
            how = (held_out, seed, unfreeze, Sampling(fps=fps), _command(), head == "auto")
            plan = run.Plan(chosen, dataset, recipe, *how)
            outcome = run.train(plan, settings, cache, out_folder, bars)
        found = _with_unknown(settings, out_folder, others, fps, json)
    _tell(outcome, unfreeze, *found, json)


def _check(settings: Settings, dataset: Dataset, others: Path | None) -> None:
    """See before the work that its end will not fail."""
    resolve(settings.model)  # a wrong name is told before anything else
    if others is None:
        return
    if UNKNOWN in dataset.classes:
        raise ConfigError(f"--others: {UNKNOWN} is a class of the pictures already; name one of them differently")
    other_pictures(others)


def _check_tables(out_folder: Path, force: bool) -> None:
    """See that what is written beside the bundle is written over nothing of somebody else's."""
    there = [name for name in BESIDE if (out_folder / name).exists()]
    if there and not force and not (out_folder / "bundle.json").exists():
        raise ConfigError(
            f"{out_folder / there[0]}: is there, without a bundle; name another --out, or give --force to replace it"
        )


def _command() -> tuple[str, ...]:
    """The options, for the record, which holds text alone."""
    return tuple(printable(argument) for argument in sys.argv[1:]) or ("train",)


def _with_unknown(
    settings: Settings, bundle: Path, others: Path | None, fps: float, quiet: bool
) -> tuple[dict[str, Any] | None, StreamtagError | None]:
    """Fit the outcome of none of the classes, where it is wanted, on what training held out; or why there is none."""
    if others is None:
        return None, None
    made = settings.model_copy(update={"model": ModelSettings(name=str(bundle), cache=settings.model.cache)})
    split = read_split(bundle)
    held_out = split.held_out if split else ()
    try:
        return evaluate_unknown.fitted(made, held_out, others, fps, evaluate_unknown.PRECISION, True, quiet), None
    except (
        StreamtagError
    ) as error:  # the bundle is there without it, and whoever trained it wants to see how good it is
        return None, error


def _print_dataset(dataset: Dataset, crops: int, quiet: bool) -> None:
    if dataset.empty:
        none = escape(", ".join(map(printable, dataset.empty)))
        err.print(f"[yellow]left out[/] {none}: no picture or video in it", highlight=False, soft_wrap=True)
    if quiet:
        return
    counts = dataset.counts()
    if not crops and min(counts.values()) < FEW:
        out.print(f"fewer than {FEW} items of a class: --crops 8 may help")
    text = ", ".join(f"{escape(printable(name))} {count}" for name, count in counts.items())
    out.print(f"{len(dataset.items)} items of {len(dataset.classes)} classes: {text}", highlight=False)


def _json_of(outcome: Outcome) -> dict[str, Any]:
    return {
        "bundle": str(outcome.bundle),
        "held_out_accuracy": round(outcome.accuracy, 6),
        "train_samples": outcome.train_samples,
        "held_out_samples": outcome.held_samples,
        "epochs": len(outcome.history.loss),
        "fine_tuned": outcome.history.fine_tuned,
        "interrupted": outcome.history.interrupted,
        "heads": outcome.choice.table() if outcome.choice else [],
        "learning_curve": [list(point) for point in outcome.choice.curve] if outcome.choice else [],
        "notes": list(outcome.choice.notes) if outcome.choice else [],
        "unreadable": [{"path": path, "reason": reason} for path, reason in outcome.unreadable],
    }


def _tell(
    outcome: Outcome, unfreeze: int, unknown: dict[str, Any] | None, trouble: StreamtagError | None, json: bool
) -> None:
    _print_outcome(outcome, unfreeze, unknown, json)
    if trouble is not None:
        raise trouble


def _print_outcome(outcome: Outcome, unfreeze: int, unknown: dict[str, Any] | None, json: bool) -> None:
    if json:
        print_json(_json_of(outcome) | ({"unknown": unknown} if unknown else {}))
        return
    for path, reason in outcome.unreadable:
        left_out = escape(printable(f"{path}: {reason}"))
        err.print(f"[yellow]left out[/] {left_out}", highlight=False, soft_wrap=True)
    if outcome.choice is not None:
        _print_choice(outcome.choice)
    if outcome.history.interrupted:
        out.print("interrupted: the best weights so far were kept")
    if unfreeze and not outcome.history.fine_tuned:
        out.print("fine-tuning made the held-out loss no better: the weights from before it were kept")
    out.print(
        f"[bold]{outcome.accuracy:.1%}[/] of {outcome.held_samples} held-out samples right, trained on "
        f"{outcome.train_samples}" + (f", {len(outcome.history.loss)} epochs" if outcome.history.loss else ""),
        highlight=False,
    )
    evaluate_unknown.show({"unknown": unknown})
    where = escape(printable(str(outcome.bundle)))
    text = f"{where}: see history.png; then  streamtag evaluate {where}   and  --model {where}"
    out.print(text, highlight=False, soft_wrap=True)


def _print_choice(choice: Choice) -> None:
    grid = Grid("head", *(Column(name, right=True) for name in ("strength", "accuracy", "spread", "log loss")))
    for row in choice.table():
        strength = f"{row['strength']:g}" if row["strength"] else ""
        figures = (f"{row['accuracy']:.1%}", f"±{row['spread']:.1%}", f"{row['log_loss']:.3f}")
        grid.row(row["head"], strength, *figures)
    if choice.trials:
        out.print("Heads, by cross-validation on the training pictures; the first is taken:", highlight=False)
        grid.print()
    for note in choice.notes:
        err.print(f"[yellow]note:[/] {escape(note)}", highlight=False, soft_wrap=True)


def _able(settings: Settings) -> Settings:
    """The settings, where they and this machine can train.

    Raises:
        ConfigError: an engine that does not train, or a package is missing.
    """
    if settings.engine.name in ("jax", "null"):
        raise ConfigError(f"train: engine {settings.engine.name} does not train; leave engine.name out")
    require("train")
    return settings


def _dataset(folder: Path | None, spans: Path | None, group_by: str | None) -> Dataset:
    if (folder is None) == (spans is None):
        raise ConfigError("train: give either a folder of classes, or --spans FILE.csv")
    return read_spans(spans, group_by) if spans is not None else read_folders(folder or Path(), group_by)


def _units(head: str) -> tuple[int, ...]:
    if head in ("linear", "auto"):
        return ()
    if not re.fullmatch(r"[1-9]\d{0,3}(-[1-9]\d{0,3})*", head, re.ASCII):
        raise ConfigError(f"--head {head!r}: auto, widths such as 100-100-100, or linear")
    units = tuple(int(width) for width in head.split("-"))
    if len(units) > MOST_LAYERS:
        raise ConfigError(f"--head: {len(units)} layers; at most {MOST_LAYERS} can be")
    return units


class _Bars:
    """Progress on standard error."""

    def __init__(self, quiet: bool) -> None:
        columns = (
            TextColumn("{task.description}"),
            # The bar has what the figures leave, so that a line of 80 columns cuts none of them.
            BarColumn(bar_width=None, table_column=BarColumns(ratio=1, min_width=8)),
            MofNCompleteColumn(table_column=BarColumns(no_wrap=True)),
            TimeElapsedColumn(table_column=BarColumns(no_wrap=True)),
            TextColumn("{task.fields[figures]}"),
        )
        self._progress = Progress(*columns, console=err, disable=quiet, expand=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def on_step(self, step: LoadStep) -> None:
        self._progress.update(self._task("loading", None), description=str(step))

    def on_pictures(self, phase: str, total: int, done: int) -> None:
        self._end("loading")
        self._progress.update(self._task(phase, total), completed=done)

    def on_epoch(self, phase: str, epoch: int, total: int, figures: dict[str, float]) -> None:
        text = (
            f"{figures.get('accuracy', 0):.1%}, held out {figures.get('val_accuracy', 0):.1%}, "
            f"loss {figures.get('val_loss', 0):.3f}"
        )
        self._progress.update(self._task(phase, total), completed=epoch, figures=text)

    def _end(self, phase: str) -> None:
        if phase in self._tasks:
            self._progress.remove_task(self._tasks.pop(phase))

    def _task(self, phase: str, total: int | None) -> TaskID:
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=total, figures="")
        return self._tasks[phase]
