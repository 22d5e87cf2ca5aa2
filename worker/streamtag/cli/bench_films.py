"""``streamtag bench peers`` and ``pipeline``: films through a worker, beside what their parts and other loops take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

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
from streamtag.errors import StreamtagError
from streamtag.tools.bench import film as bench_film
from streamtag.tools.bench import peers as bench_peers
from streamtag.tools.bench import pipeline as bench_pipeline
from streamtag.tools.bench.turns import machine

Films = Annotated[
    list[Path] | None, typer.Argument(help="Video files. Default: one is drawn, 1080p H.264 at 25 frames a second.")
]
Copies = Annotated[int, typer.Option("--files", help="Times the drawn film is read at once.", min=1, max=16)]
Seconds = Annotated[float, typer.Option("--seconds", help="Length of the drawn film.", min=1, max=120)]
Every = Annotated[int, typer.Option("--every", help="How many-th frame is a sample.", min=1)]
Rounds = Annotated[int, typer.Option("--rounds", help="Rounds, in which all take turns.", min=1, max=20)]


@contextmanager
def chosen_films(films: list[Path] | None, copies: int, seconds: float) -> Iterator[list[Path]]:
    """The films that are named, or the drawn one so many times.

    Raises:
        StreamtagError: one that is named is not there.
    """
    if films:
        for film in films:
            if not film.is_file():
                raise StreamtagError(f"{film}: no such file")
        yield films
        return
    with bench_film.given_or_drawn(None, seconds) as drawn:
        yield [drawn] * copies


def peers(
    films: Films = None,
    copies: Copies = 4,
    seconds: Seconds = 10.0,
    every: Every = 5,
    batch: Annotated[int, typer.Option("--batch", help="Frames that Keras is given at once.", min=1)] = 8,
    rounds: Rounds = 3,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """The same films through a worker, OpenCV with Keras's predict, and OpenCV with OpenVINO's asynchronous queue."""
    end_on_sigterm()
    settings = worker_settings(config, model, weights, overrides)
    with telling(json) as tell:
        tell("preparing the films")
        with chosen_films(films, copies, seconds) as chosen:
            rows = bench_peers.compare(settings, chosen, every, batch, rounds, tell)
    here = machine()
    if json:
        for row in rows:
            print_json(asdict(row) | {"model": settings.model.name, "machine": here})
        return
    figures = (Column(name, right=True) for name in ("samples", "samples/s", "spread", "ours to it", "goal"))
    grid = Grid("way", Column("how", wraps=True), *figures, title=settings.model.name)
    for row in rows:
        if row.samples_per_s is None:
            grid.row(row.way, row.error, "", "", "", "", "")
            continue
        rate = row.samples_per_s
        compared = (f"{row.ratio:.2f}", f"≥ {row.goal:g}") if row.goal else ("", "")
        grid.row(row.way, row.how, str(row.samples), f"{rate.median:g}", f"{rate.least:g}–{rate.most:g}", *compared)
    grid.print()
    say(
        f"Medians of {rounds} rounds in turns. A worker's way is whole: jobs through Redis, decoder processes, batches "
        "across films, smoothing, results in Redis. By hand one film is read after the other.",
        f"{here}.",
    )


def pipeline(
    films: Films = None,
    copies: Copies = 8,
    seconds: Seconds = 10.0,
    every: Every = 5,
    rounds: Rounds = 3,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Films through a worker, by what decoding and inference alone would allow."""
    end_on_sigterm()
    settings = worker_settings(config, model, weights, overrides)
    with telling(json) as tell:
        tell("preparing the films")
        with chosen_films(films, copies, seconds) as chosen:
            row = bench_pipeline.measure(settings, chosen, every, rounds, tell)
    here = machine()
    if json:
        print_json(asdict(row) | {"model": settings.model.name, "machine": here})
        return
    grid = Grid("of a sample", Column("", right=True), title=f"{settings.model.name}, {row.engine}")
    grid.row("decoding alone, CPU", f"{row.decode_ms:g} ms")
    grid.row("inference alone in full batches, CPU", f"{row.inference_ms:g} ms")
    grid.row("all of the worker, CPU", f"{row.worker_ms:g} ms")
    grid.print()
    say(
        f"{row.films} films at once gave {row.samples_per_s} samples/s of the {row.possible_per_s:g} that decoding and "
        f"inference alone would allow: {row.ratio:.2f} (goal {row.goal:g}). By CPU, which others on the machine do not "
        f"take away: {row.cpu_ratio:.2f}.",
        f"Medians of {rounds} rounds in turns. {here}.",
    )
