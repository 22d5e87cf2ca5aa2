"""``streamtag bench start``, ``memory --streams`` and ``scale``: workers as processes, seen from outside."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from streamtag.cli.bench_printing import say, telling
from streamtag.cli.common import (
    Config,
    Json,
    Model,
    Overrides,
    Weights,
    end_on_sigterm,
    print_json,
    settings_from,
)
from streamtag.cli.tables import Column, Grid
from streamtag.settings import Settings
from streamtag.tools.bench import processes as bench_processes
from streamtag.tools.bench import scale as bench_scale
from streamtag.tools.bench import start as bench_start
from streamtag.tools.bench.film import given_or_drawn
from streamtag.tools.bench.turns import machine

FILM_S = 2.0


def start(
    rounds: Annotated[int, typer.Option("--rounds", help="Starts.", min=1, max=20)] = 3,
    film: Annotated[
        Path | None, typer.Option("--film", help="Read at the end, in several ways at once. Default: one is drawn.")
    ] = None,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """From the start of a worker's process until it is ready, all caches warm, and what it compiles after that."""
    end_on_sigterm()
    settings, arguments = _settings_and_arguments(config, model, weights, overrides)
    with telling(json) as tell:
        tell("preparing a film")
        with given_or_drawn(film, FILM_S) as path:
            row = bench_start.measure(settings, arguments, path.absolute(), rounds, tell)
    here = machine()
    if json:
        print_json(asdict(row) | {"machine": here})
        return
    grid = Grid("until ready", Column("s", right=True), title=row.model)
    grid.row("wall clock", str(row.ready_s))
    grid.row("processor time", str(row.cpu_s))
    grid.row("the first start, which warms the caches", f"{row.first_s:g}")
    grid.print()
    goal = f"Goal: {row.goal_s:g} s by the clock. " if row.goal_s else ""
    say(
        f"{goal}Compiled after that, over {row.samples} samples in batches of every size: {row.compiled_later}.",
        f"Medians of {rounds} starts, least and most. {here}.",
    )


def memory(streams: int, config: Path | None, model: str | None, json: bool, overrides: list[str] | None) -> None:
    """What live streams take of the machine's memory."""
    settings, arguments = _settings_and_arguments(config, model, None, overrides)
    with telling(json) as tell:
        found = bench_processes.measure(settings, arguments, streams, tell)
    here = machine()
    if json:
        print_json(asdict(found) | {"machine": here})
        return
    grid = Grid("", Column("MB", right=True), Column("goal", right=True), title=f"{found.model}, {streams} streams")
    grid.row("a stream, private", f"{found.stream_mb:g}", f"≤ {found.goal_stream_mb:g}")
    grid.row("the largest of its processes, private", f"{found.stream_most_mb:g}", "")
    grid.row("the worker's own process, resident", f"{found.parent_mb:g}", f"≤ {found.goal_parent_mb:g}")
    grid.row("the same, private", f"{found.parent_private_mb:g}", "")
    grid.row("the same before the first stream, resident", f"{found.parent_idle_mb:g}", "")
    grid.print()
    say(
        f"Of {found.processes} processes beside the worker's own, shared among the streams: decoders, the gates of "
        "sources on the network, and the server that they are forked from. Drawn cameras over HTTP, 720p at 5 frames "
        "a second.",
        f"{here}.",
    )


def scale(
    workers: Annotated[int, typer.Option("--workers", help="Workers in the end.", min=1, max=64)] = 8,
    streams: Annotated[int, typer.Option("--streams", help="Jobs of each.", min=1, max=16)] = 4,
    batch_ms: Annotated[
        float, typer.Option("--batch-ms", help="Milliseconds that a device takes over 8 samples.", min=1)
    ] = 40.0,
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds of each number of workers.", min=1, max=20)] = 3,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of a round.", min=1)] = 5.0,
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """One, two, four and more workers on one Redis, with devices that only take their time and decoders that do not."""
    end_on_sigterm()
    settings, arguments = _settings_and_arguments(config, model, None, overrides)
    with telling(json) as tell:
        rows = bench_scale.measure(settings, arguments, workers, streams, batch_ms, rounds, seconds, tell)
    here = machine()
    if json:
        for row in rows:
            print_json(asdict(row) | {"model": settings.model.name, "machine": here})
        return
    names = ("workers", "jobs", "samples/s", "spread", "their devices", "of linear", "goal", "worker", "Redis")
    grid = Grid(*(Column(name, right=True) for name in names))
    for row in rows:
        rate = row.samples_per_s
        grid.row(
            str(row.workers),
            str(row.streams),
            f"{rate.median:g}",
            f"{rate.least:g}–{rate.most:g}",
            f"{row.possible_per_s:g}",
            f"{row.linear:.2f}",
            f"≥ {row.goal:g}" if row.goal else "",
            f"{row.worker_us:g} µs",
            f"{row.redis_us:g} µs",
        )
    grid.print()
    say(
        f"Medians of {rounds} rounds. The last two: processor time of a sample, in the workers' own processes and in "
        "Redis. Beyond as many workers as there are cores there is no goal.",
        f"{here}.",
    )


def _settings_and_arguments(
    config: Path | None, model: str | None, weights: str | None, overrides: list[str] | None
) -> tuple[Settings, list[str]]:
    """The settings of this command, and the arguments by which ``streamtag run`` has the same."""
    model, weights = model or "mobilenetv2", weights or "random"
    line = ["--model", model, "--weights", weights]
    if config is not None:
        line += ["--config", str(config)]
    for override in overrides or ():
        line += ["--set", override]
    return settings_from(config, model, weights, overrides), line
