"""``streamtag bench latency`` and ``capacity``: live streams through a worker."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from streamtag.cli.bench_printing import say, telling, worker_settings
from streamtag.cli.common import (
    Config,
    Json,
    Model,
    Overrides,
    Weights,
    end_on_sigterm,
    print_json,
)
from streamtag.cli.tables import Column, Grid
from streamtag.redaction import shown_source
from streamtag.tools.bench import live as bench_live
from streamtag.tools.bench.turns import machine


def latency(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Live sources, taken in turns. Default: cameras whose pictures need no decoding."),
    ] = None,
    streams: Annotated[int, typer.Option("--streams", help="Streams at once.", min=1, max=64)] = 8,
    load: Annotated[
        float, typer.Option("--load", help="Share of what the device alone can do.", min=0.01, max=1.0)
    ] = 0.7,
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds.", min=1, max=20)] = 3,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of a round.", min=1)] = 10.0,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """How old results of live streams are when somebody can read them, at a given load of the device."""
    end_on_sigterm()
    settings = worker_settings(config, model, weights, overrides)
    with telling(json) as tell:
        row = bench_live.latency(settings, sources or [], streams, load, rounds, seconds, tell)
    here = machine()
    if json:
        print_json(asdict(row) | {"model": settings.model.name, "machine": here})
        return
    grid = Grid("capture to a reader", Column("ms", right=True), title=f"{settings.model.name}, {row.engine}")
    for name, age in (("median", row.p50_ms), ("95 %", row.p95_ms), ("99 %", row.p99_ms)):
        grid.row(name, str(age))
    grid.print()
    say(
        f"{row.results} results of {row.streams} streams at {row.rate:g} samples/s each, {row.load:.0%} of what the "
        f"device alone can do; {row.delivered:.0%} of what was asked for came.",
        f"Goal of the 99 %: {row.goal_ms:g} ms, twice the {row.batch_ms:g} ms of a full batch and 60. Samples also "
        "wait for those of other streams, until a batch is full: worker.commit_s at most.",
        f"Medians of {rounds} rounds, least and most. {here}.",
    )


def capacity(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Live sources, taken in turns. Default: cameras are drawn, 720p at 25 frames a second."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", help="Samples a second of each; default sampling.live_fps.", min=0.05)
    ] = None,
    limit: Annotated[
        float, typer.Option("--limit", help="Seconds that 95 % of the results may be old.", min=0.01)
    ] = 1.0,
    cameras: Annotated[int, typer.Option("--cameras", help="Cameras that are to be served.", min=1)] = 100,
    most: Annotated[int, typer.Option("--most", help="Streams that are tried at most.", min=1, max=256)] = 64,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of each try.", min=2)] = 10.0,
    price: Annotated[
        float | None, typer.Option("--price", help="Of an hour of such a machine; tells the cost of a camera.", min=0)
    ] = None,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """How many live streams a worker of this machine holds, and how many such workers some cameras need."""
    end_on_sigterm()
    settings = worker_settings(config, model, weights, overrides)
    asked = rate or settings.sampling.live_fps
    with telling(json) as tell:
        found = bench_live.capacity(settings, sources or [], asked, limit, cameras, most, seconds, tell)
    here = machine()
    cost = price * found.replicas / cameras if price is not None and found.slots else None
    if json:
        content: dict[str, Any] = asdict(found) | {"model": settings.model.name, "machine": here}
        print_json(content | ({"cost_per_camera_hour": round(cost, 6)} if cost is not None else {}))
        return
    _print_steps(found, settings.model.name)
    what = ", ".join(map(shown_source, sources or [])) or "drawn cameras, 720p at 25 frames a second over HTTP"
    lines = [f"{found.slots} streams at {found.rate:g} samples/s hold 95 % within {limit:g} s ({what}); {found.ended}."]
    if found.slots:
        lines.append(f"worker.slots={found.slots}; {found.replicas} such workers for {cameras} cameras.")
    if cost is not None:
        lines.append(f"A camera costs {cost:.4g} an hour at {price:g} for each worker.")
    say(*lines, f"{here}.")


def _print_steps(found: bench_live.Capacity, model: str) -> None:
    figures = (Column(name, right=True) for name in ("median", "95 %", "99 %", "of samples asked"))
    grid = Grid(Column("streams", right=True), *figures, "", title=f"{model}, {found.engine}")
    for step in found.steps:
        verdict = "holds" if step.holds else "too many"
        if step.ages is None:
            grid.row(str(step.streams), "", "", "", "", f"{verdict}: not all gave results in time")
            continue
        ages = step.ages
        told = (f"{age:g} ms" for age in (ages.p50_ms, ages.p95_ms, ages.p99_ms))
        grid.row(str(step.streams), *told, f"{ages.delivered:.0%}", verdict)
    grid.print()
