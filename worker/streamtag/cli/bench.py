"""``streamtag bench``: figures, each against a peer in the same run or per sample."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

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
from streamtag.cli.tables import Column, Grid
from streamtag.networks.registry import SPECS
from streamtag.tools.bench import engines as bench_engines
from streamtag.tools.bench import memory as bench_memory
from streamtag.tools.bench import plumbing as bench_plumbing

app = typer.Typer(no_args_is_help=True, help="Benchmarks of this machine.")


@app.command(
    epilog=examples(
        "bench plumbing --streams 16 # everything but decoding and the network",
        "bench plumbing --streams 48 --rate 1 --samples 12 # the same of slow cameras",
    )
)
def plumbing(
    streams: Annotated[int, typer.Option("--streams", help="Jobs at once.", min=1, max=64)] = 8,
    samples: Annotated[int, typer.Option("--samples", help="Samples of each.", min=10)] = 3000,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", help="Samples a second of each job, as live ones; else as fast as it goes.", min=0.1, max=100
        ),
    ] = None,
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """What each sample costs the parent process apart from decoding and inference."""
    end_on_sigterm()
    quiet = ["log.level=error", "engine.buckets=[1,2,4,8]", *(overrides or [])]
    settings = settings_from(config, model or "xception", "random", quiet)
    with _counting("samples", json) as progress:
        task = progress.add_task("samples", total=streams * samples)
        figures = bench_plumbing.measure(
            settings, streams, samples, rate, lambda done: progress.update(task, completed=done)
        )
    if json:
        print_json(figures)
        return
    out.print(
        f"[bold]{figures['cpu_us_per_sample']} µs[/] of CPU per sample in the parent "
        f"({figures['samples']} samples of {figures['streams']} streams, {figures['classes']} classes, "
        f"{figures['samples_per_s']} samples/s, mean batch {figures['mean_batch_size']}, results after "
        f"{figures['latency_ms']} ms)",
        highlight=False,
    )


@app.command(epilog=examples("bench memory --samples 5000 # what jobs and results cost Redis"))
def memory(
    jobs: Annotated[int, typer.Option("--jobs", help="Jobs to write.", min=2, max=1000)] = 20,
    samples: Annotated[int, typer.Option("--samples", help="Results of each.", min=100)] = 2000,
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """What a job, a result and an event take of Redis's memory, in a Redis of the command's own."""
    end_on_sigterm()
    settings = settings_from(config, model, "random", overrides)
    with _counting("results", json) as progress:
        task = progress.add_task("results", total=jobs * samples)
        costs = bench_memory.measure(settings, jobs, samples, lambda done: progress.update(task, advance=done))
    if json:
        print_json(asdict(costs))
        return
    grid = Grid("in Redis", Column("bytes", right=True), title=f"{settings.model.name}, Redis {costs.redis}")
    for what, size in (
        ("a job that waits", costs.job_waiting),
        ("a job that runs, with its checkpoint", costs.job_running),
        ("a job that is over", costs.job_over),
        (f"a result of {costs.labels} labels", costs.result),
        ("an event", costs.event),
    ):
        grid.row(what, f"{size:,}")
    grid.print()
    out.print(
        f"Means of {costs.jobs} jobs of {costs.samples} results. An hour of film at {settings.sampling.finite_fps:g} "
        f"samples a second: {costs.per_hour(settings.sampling.finite_fps) / 1e6:.1f} MB, for redis.expire_s after its "
        f"end. A camera: at most {costs.camera(settings.redis.results_maxlen) / 1e6:.1f} MB (redis.results_maxlen).",
        highlight=False,
        soft_wrap=True,
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
    """Images a second of each engine, as a ratio to plain Keras in the same run.

    Networks of the registry have random weights unless --weights names others; a bundle has its own.
    """
    name = model or "inceptionv3"
    settings = settings_from(config, name, weights or ("random" if name.lower() in SPECS else None), overrides)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), console=err, transient=True, disable=json
    ) as progress:
        task = progress.add_task("", total=None)
        rows = bench_engines.compare(
            settings, batch, seconds, lambda text: progress.update(task, description=escape(text))
        )
    if json:
        for row in rows:
            print_json({name: value for name, value in asdict(row).items() if name != "error" or value})
        return
    figures = (Column(name, right=True) for name in ("images/s", "spread", "ratio", "same label", "difference"))
    grid = Grid("engine", "precision", *figures, Column("", wraps=True), title=settings.model.name)
    for row in rows:
        if row.error:
            grid.row(row.engine, row.precision, "", "", "", "", "", row.error)
            continue
        grid.row(
            row.engine,
            row.precision,
            f"{row.images_per_s:g}",
            f"{row.images_per_s_least:g}–{row.images_per_s_most:g}",
            f"{row.ratio:.2f}",
            f"{row.same_label:.0%}",
            f"{row.largest_difference:.1e}",
            "",
        )
    grid.print()
    out.print(
        f"Medians of {bench_engines.ROUNDS} rounds in turns, and their spread. Difference: the largest of any score, "
        "as a share of the picture's best score.",
        highlight=False,
        soft_wrap=True,
    )


def _counting(what: str, json: bool) -> Progress:
    """A bar of so many of so many."""
    return Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), console=err, transient=True, disable=json)
