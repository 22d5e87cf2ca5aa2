"""``streamtag bench``: figures, each against a peer in the same run or per sample."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from streamtag.cli import bench_films, bench_live, bench_processes
from streamtag.cli.bench_printing import counting, say, telling
from streamtag.cli.common import (
    Config,
    Json,
    Model,
    Overrides,
    Weights,
    end_on_sigterm,
    examples,
    out,
    print_json,
    settings_from,
)
from streamtag.cli.tables import Column, Grid
from streamtag.networks.registry import resolve
from streamtag.networks.specs import SPECS
from streamtag.tools.bench import decoding as bench_decoding
from streamtag.tools.bench import engines as bench_engines
from streamtag.tools.bench import memory as bench_memory
from streamtag.tools.bench import plumbing as bench_plumbing
from streamtag.tools.bench.turns import machine
from streamtag.tools.own_pictures import read_pictures

PICTURES_MOST = 256  # compared, of a folder

app = typer.Typer(no_args_is_help=True, help="Benchmarks of this machine.")
app.command(
    epilog=examples(
        "bench peers # a worker beside OpenCV with Keras and with OpenVINO",
        "bench peers film.mp4 --model mobilenetv2 --every 1 # every frame of a film of yours",
    )
)(bench_films.peers)
app.command(epilog=examples("bench pipeline --files 8 # what a worker loses between decoding and Redis"))(
    bench_films.pipeline
)
app.command(
    epilog=examples(
        "bench latency --load 0.7 # how old results are",
        "bench latency rtsp://camera.lan/main --streams 4 # of a camera of yours, four times",
    )
)(bench_live.latency)
app.command(
    epilog=examples(
        "bench capacity --rate 1 --limit 0.5 # streams that one worker holds here",
        "bench capacity rtsp://camera.lan/main --cameras 200 --price 0.2 # workers and cost for 200 of them",
    )
)(bench_live.capacity)


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
    with counting("samples", json) as progress:
        task = progress.add_task("samples", total=streams * samples)
        figures = bench_plumbing.measure(
            settings, streams, samples, rate, lambda done: progress.update(task, completed=done)
        )
    if json:
        print_json(figures | {"machine": machine()})
        return
    out.print(
        f"[bold]{figures['cpu_us_per_sample']} µs[/] of CPU per sample in the parent "
        f"({figures['samples']} samples of {figures['streams']} streams, {figures['classes']} classes, "
        f"{figures['samples_per_s']} samples/s, mean batch {figures['mean_batch_size']}, results after "
        f"{figures['latency_ms']} ms). {machine()}.",
        highlight=False,
    )


app.command(epilog=examples("bench start --model inceptionv3 # from the start of a worker until it is ready"))(
    bench_processes.start
)
app.command(epilog=examples("bench scale --workers 8 # whether twice as many workers give twice as much"))(
    bench_processes.scale
)


@app.command(
    epilog=examples(
        "bench memory --samples 5000 # what jobs and results cost Redis",
        "bench memory --streams 64 # what live streams cost the machine",
    )
)
def memory(
    jobs: Annotated[int, typer.Option("--jobs", help="Jobs to write.", min=2, max=1000)] = 20,
    samples: Annotated[int, typer.Option("--samples", help="Results of each.", min=100)] = 2000,
    streams: Annotated[
        int | None, typer.Option("--streams", help="Of a worker with so many live streams instead.", min=1, max=256)
    ] = None,
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """What a job, a result and an event take of Redis's memory, in a Redis of the command's own; or what streams take.

    With --streams: private memory of the processes of a worker with so many drawn cameras, 720p at 5 frames a second.
    """
    end_on_sigterm()
    if streams is not None:
        bench_processes.memory(streams, config, model, json, overrides)
        return
    settings = settings_from(config, model, "random", overrides)
    with counting("results", json) as progress:
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
        (f"a picture of {settings.view.thumbnail_px} pixels, a file of {costs.picture_file:,}", costs.picture),
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


@app.command(
    epilog=examples(
        "bench engines --model xception --batch 8 # which engine is fastest here",
        "bench engines --model my-bundle --pictures frames/ --keep # judged by real pictures, and taken from now on",
    )
)
def engines(
    batch: Annotated[int, typer.Option("--batch", help="Images in a batch.", min=1)] = 8,
    seconds: Annotated[float, typer.Option("--seconds", help="How long each engine is timed.", min=0.1)] = 5.0,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="Folder or video whose labels must agree with float32's; else drawn ones."),
    ] = None,
    peers: Annotated[
        bool,
        typer.Option(
            "--peers", help="Also what one would write by hand: XLA, OpenVINO, its 8-bit integers, ONNX Runtime."
        ),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Take what is found here as the choice of engine.name auto from now on.")
    ] = False,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Images a second of each engine, as a ratio to Keras's predict in the same run, and which one auto takes.

    Networks of the registry have random weights unless --weights names others; a bundle has its own. With --keep they
    have those that a worker would serve.
    """
    end_on_sigterm()
    name = model or ("inceptionv3" if not keep else None)
    at_random = "random" if name and name.lower() in SPECS and not keep else None
    settings = settings_from(config, name, weights or at_random, overrides)
    with telling(json) as tell:
        real = None
        if pictures is not None:
            tell(f"reading {pictures}")
            frames = read_pictures(pictures, settings, resolve(settings.model).preprocessing, PICTURES_MOST)
            real = np.stack([frame.picture for frame in frames])
        found = bench_engines.compare(settings, batch, seconds, tell, real, peers, keep)
    if json:
        here = machine()
        for row in found.rows:
            told = {name: value for name, value in asdict(row).items() if name != "error" or value}
            print_json(told | {"machine": here})
        return
    _print_engines(found, settings.model.name)


def _print_engines(found: bench_engines.Comparison, model: str) -> None:
    figures = (Column(name, right=True) for name in ("images/s", "spread", "ratio", "agreement", "difference"))
    grid = Grid("engine", "precision", *figures, Column("", wraps=True), title=model)
    for row in found.rows:
        if row.error:
            grid.row(row.engine, row.precision, "", "", "", "", "", row.error)
            continue
        grid.row(
            row.engine,
            row.precision,
            f"{row.images_per_s:g}",
            f"{row.images_per_s_least:g}–{row.images_per_s_most:g}",
            f"{row.ratio:.2f}",
            f"{row.agreement:.1%}",
            f"{row.largest_difference:.1e}",
            "chosen" if row.chosen else "",
        )
    grid.print()
    lines = [
        f"Medians of {bench_engines.ROUNDS} rounds in turns, and their spread. Agreement: pictures whose best class is "
        "that of Keras. Difference: the largest of any score, as a share of the picture's best score."
    ]
    if found.choice is not None:
        how = "kept" if found.choice.origin == "kept" else "by these figures; --keep keeps it"
        lines.append(
            f"engine.name auto takes {found.choice.engine} {found.choice.precision} ({how}): {found.choice.why}"
        )
    if found.to_peers is not None:
        lines.append(f"The best of ours that agrees as well, by the best written by hand: {found.to_peers:g}.")
    lines.append(f"{machine()}.")
    say(*lines)


@app.command(epilog=examples("bench decode # what a sample of a film costs its decoder"))
def decode(
    film: Annotated[Path | None, typer.Argument(help="A video file. Default: 1080p H.264 is drawn.")] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Length of the drawn film.", min=1, max=120)] = 10.0,
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """CPU of a decoder for a sample, as a ratio to OpenCV's read and resize by hand in the same run."""
    end_on_sigterm()
    settings = settings_from(config, overrides=overrides)
    with telling(json) as tell:
        rows = bench_decoding.measure(settings, film, seconds, tell)
    here = machine()
    if json:
        for row in rows:
            print_json(asdict(row) | {"machine": here})
        return
    grid = Grid("sampled", *(Column(name, right=True) for name in ("samples", "CPU", "spread", "by hand", "ratio")))
    for row in rows:
        spread = f"{row.cpu_ms_least:g}–{row.cpu_ms_most:g} ms"
        grid.row(
            row.sampled, str(row.samples), f"{row.cpu_ms:g} ms", spread, f"{row.by_hand_ms:g} ms", f"{row.ratio:.2f}"
        )
    grid.print()
    say(
        f"CPU of a sample, medians of {bench_decoding.ROUNDS} rounds in turns. By hand: each frame read, those that "
        "are wanted resized with INTER_AREA.",
        f"{here}.",
    )
