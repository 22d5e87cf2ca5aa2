"""``streamtag evaluate-stream``: which smoothing is best, on clips whose truth is known."""

from __future__ import annotations

import math
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from streamtag.cli.common import FAILED, Config, Json, Model, Overrides, Weights, out, print_json, settings_from
from streamtag.cli.progress import progress_bar
from streamtag.cli.tables import Column, Grid
from streamtag.core.job import Sampling
from streamtag.errors import ConfigError
from streamtag.extras import require
from streamtag.networks import loading
from streamtag.settings import Settings
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import LabelledItem, read_spans
from streamtag.tools.demo import flicker
from streamtag.tools.evaluation import streams

RAW_NAME = "raw argmax"


def evaluate_stream(
    spans: Annotated[
        Path | None,
        typer.Argument(help="CSV with video,start_s,end_s,label. Default: clips drawn here, for the demo network."),
    ] = None,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    fps: Annotated[float, typer.Option("--fps", help="Samples a second.", min=0.1)] = 5.0,
    onset: Annotated[
        float, typer.Option("--onset", help="Median onset delay that is still good, seconds.", min=0)
    ] = 0.6,
    fewer: Annotated[
        float, typer.Option("--fewer", help="Share of the raw label changes that must be gone.", min=0, max=1)
    ] = 0.9,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw all settings: .png, .svg, .pdf.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every setting, not the best of each method only.")] = False,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Measure how steady, how right and how prompt labels are, for each smoothing method and many settings of it."""
    settings = settings_from(config, model or ("demo" if spans is None else None), weights, overrides)
    if spans is None and settings.model.name != "demo":
        raise ConfigError("evaluate-stream: the drawn clips are for the demo network; give a CSV of spans for another")
    if plot is not None:
        require("--plot")
    clips, rows, truth = _compared(settings, spans, fps, json)
    best = streams.recommended(rows, onset, fewer)
    if plot is not None:
        streams.draw(rows, best, plot)
    content: dict[str, Any] = {
        "clips": len(clips),
        "samples": sum(len(clip.pts_s) for clip in clips),
        "segments": sum(len(clip.segments) for clip in clips),
        "truth_flips_per_min": truth.flips_per_min,
        "raw": _plain(rows[0]),
        "in_force": _plain(rows[1]),
        "best": _plain(best) if best else None,
        "rows": [_plain(row) for row in rows[2:]],
    }
    if json:
        print_json(content)
    else:
        _print(content, every, onset, fewer)
        if plot is not None:
            out.print(f"drawn on {plot}", highlight=False, soft_wrap=True)
    if best is None:
        raise typer.Exit(FAILED)


def _compared(
    settings: Settings, spans: Path | None, fps: float, quiet: bool
) -> tuple[list[streams.Clip], list[streams.Row], streams.Row]:
    """The clips, what each setting does on them, and what the truth itself would."""
    named = read_spans(spans).items if spans is not None else None  # before the network, which takes long to load
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with (
        progress_bar(*columns, quiet=quiet) as bar,
        tempfile.TemporaryDirectory() as folder,
    ):
        task = bar.add_task("", total=None)
        network = loading.load(settings, lambda step: bar.update(task, description=str(step)))
        clips = streams.read_clips(
            Classifier(settings, network),
            network.bundle,
            named if named is not None else _drawn(Path(folder), bar, task),
            Sampling(fps=fps),
            lambda done: bar.update(task, description=f"classifying: {done} samples", total=None),
        )
        rows = streams.compare(
            clips,
            network.bundle,
            settings.smoothing,
            lambda done, total: bar.update(task, description="smoothing", completed=done, total=total),
        )
    return clips, rows, streams.measure(clips, [clip.truth() for clip in clips], "truth", {}, network.bundle)


def _drawn(folder: Path, bar: Progress, task: Any) -> list[LabelledItem]:
    items = []
    bar.update(task, description="drawing clips", total=flicker.CLIPS)
    for number, (path, segments) in enumerate(flicker.write_set(folder), start=1):
        items += [LabelledItem(path, one.label, str(path), one.start_s, one.end_s) for one in segments]
        bar.update(task, completed=number)
    return items


def _plain(row: Any) -> dict[str, Any]:
    """JSON knows no infinity: a delay that never ends is null."""
    content = asdict(row)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in content.items()
    }


def _print(content: dict[str, Any], every: bool, onset: float, fewer: float) -> None:
    out.print(
        f"{content['clips']} clips, {content['samples']} samples, {content['segments']} segments; the truth itself "
        f"changes {content['truth_flips_per_min']:.1f} times a minute. Settings: the method's own time, enter/exit, "
        "least seconds +on −off",
        highlight=False,
    )
    figures = ("accuracy", "flips/min", "F1", "onset p50 / p95")
    grid = Grid("", "settings", *(Column(name, right=True) for name in figures))
    raw = content["raw"]
    shown = [(RAW_NAME, raw), (f"in force: {content['in_force']['method']}", content["in_force"])]
    for method in ("none", "ema", "majority", "sticky"):
        rows = [row for row in content["rows"] if row["method"] == method]
        rows.sort(key=lambda row: (-row["f1"], row["onset_p50_s"] or math.inf))
        shown += [(method, row) for row in (rows if every else rows[:2])]
    if content["best"]:
        shown.append((f"best: {content['best']['method']}", content["best"]))
    for mark, row in shown:
        onset_text = f"{_seconds(row['onset_p50_s'])} / {_seconds(row['onset_p95_s'])}"
        accuracy, flips, f1 = f"{row['accuracy']:.1%}", f"{row['flips_per_min']:.1f}", f"{row['f1']:.3f}"
        grid.row(mark, _short(row["settings"]), accuracy, flips, f1, onset_text)
    grid.print()
    best = content["best"]
    if best is None:
        out.print(f"no setting has {fewer:.0%} fewer changes than raw, a better F1 and a median onset of {onset:g} s")
        return
    gone = 1 - best["flips_per_min"] / max(raw["flips_per_min"], 1e-9)
    options = " ".join(f"--set smoothing.{name}={value:g}" for name, value in best["settings"].items())
    out.print(f"best: {gone:.0%} fewer changes than raw. Use it with", highlight=False)
    out.print(f"  --set smoothing.method={best['method']} {options}", highlight=False, soft_wrap=True)


def _short(settings: dict[str, float]) -> str:
    """``0.5 s, 0.7/0.3, +0 −1``: the method's own time, enter and exit, least times on and off."""
    if not settings:
        return ""
    own = next((f"{value:g} s, " for name, value in settings.items() if name in ("tau_s", "window_s", "stay_s")), "")
    times = f"+{settings['min_on_s']:g} −{settings['min_off_s']:g}"
    return f"{own}{settings['enter']:g}/{settings['exit']:g}, {times}"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"
