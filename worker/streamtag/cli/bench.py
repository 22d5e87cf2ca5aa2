"""``streamtag bench``: figures, each against a peer in the same run or per sample."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from streamtag.cli.common import (
    Config,
    Json,
    Model,
    Overrides,
    Weights,
    end_on_sigterm,
    err,
    examples,
    out,
    print_json,
    settings_from,
)
from streamtag.tools.bench import engines as bench_engines
from streamtag.tools.bench import plumbing as bench_plumbing

app = typer.Typer(no_args_is_help=True, help="Benchmarks of this machine.")


@app.command(epilog=examples("bench plumbing --streams 16 # everything but decoding and the network"))
def plumbing(
    streams: Annotated[int, typer.Option("--streams", help="Jobs at once.", min=1, max=64)] = 8,
    samples: Annotated[int, typer.Option("--samples", help="Samples of each.", min=100)] = 3000,
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """What a sample costs the parent process apart from decoding and inference."""
    end_on_sigterm()
    quiet = ["log.level=error", "engine.buckets=[1,2,4,8]", *(overrides or [])]
    settings = settings_from(config, model or "xception", "random", quiet)
    with Progress(
        TextColumn("samples"), BarColumn(), MofNCompleteColumn(), console=err, transient=True, disable=json
    ) as progress:
        task = progress.add_task("samples", total=streams * samples)
        found = bench_plumbing.measure(settings, streams, samples, lambda done: progress.update(task, completed=done))
    if json:
        print_json(found)
        return
    out.print(
        f"[bold]{found['cpu_us_per_sample']} µs[/] of CPU a sample in the parent "
        f"({found['samples']} samples of {found['streams']} streams, {found['classes']} classes, "
        f"{found['samples_per_s']} samples/s, mean batch {found['mean_batch_size']})",
        highlight=False,
    )


@app.command(epilog=examples("bench engines --model xception --batch 8 # which engine is fastest here"))
def engines(
    batch: Annotated[int, typer.Option("--batch", help="Images in a batch.", min=1)] = 8,
    seconds: Annotated[float, typer.Option("--seconds", help="How long each engine is timed.", min=0.1)] = 5.0,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Images a second of each engine, as a ratio to plain Keras in the same run."""
    settings = settings_from(config, model or "inceptionv3", weights or "random", overrides)
    grid = Table("engine", "precision", "images/s", "ratio", "largest difference", title=settings.model.name)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), console=err, transient=True, disable=json
    ) as progress:
        task = progress.add_task("building", total=None)
        for row in bench_engines.compare(
            settings, batch, seconds, lambda name: progress.update(task, description=name)
        ):
            if json:
                print_json(row)
            elif "error" in row:
                grid.add_row(row["engine"], row["precision"], "", "", row["error"])
            else:
                figures = (f"{row['images_per_s']}", f"{row['ratio']:.2f}", f"{row['largest_difference']:.1e}")
                grid.add_row(row["engine"], row["precision"], *figures)
    if not json:
        out.print(grid)
