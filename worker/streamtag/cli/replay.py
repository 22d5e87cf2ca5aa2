"""``streamtag replay``: other smoothing of a job that is done, without the network."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from streamtag.cli import views
from streamtag.cli.common import Config, Json, Model, Overrides, out, print_json, settings_from
from streamtag.cli.tables import Column, Grid
from streamtag.client import Client
from streamtag.errors import StreamtagError
from streamtag.networks.registry import resolve
from streamtag.tools.replay import replay as smooth_again


def replay(
    job_id: Annotated[str, typer.Argument(help="Job whose stored results are smoothed again.")],
    smoothing: Annotated[
        list[str] | None,
        typer.Option("--smoothing", "-s", help="Settings, such as method=majority,window_s=2. May be given again."),
    ] = None,
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Smooth the stored results of a job with other settings, and show what the labels would have been."""
    parts = [part.strip() for text in smoothing or [] for part in text.split(",") if part.strip()]
    named = [part if "=" in part else f"method={part}" for part in parts]
    settings = settings_from(config, model, None, [*(overrides or []), *(f"smoothing.{part}" for part in named)])
    bundle = resolve(settings.model)
    with Client(settings=settings) as client:
        job = client.job(job_id)  # raises where there is none
        step_s = settings.sampling.step_s(job.sampling, job.is_live)
        replayed = smooth_again(client.results(job_id), settings.smoothing, bundle, job.watch, step_s)
    if not replayed.samples:
        raise StreamtagError(f"{job_id}: no result of it is stored; they go redis.expire_s after its end")
    if json:
        for region, segments in replayed.by_region.items():
            for segment in segments:
                print_json(({"region": region} if region else {}) | asdict(segment))
        summary = {name: getattr(replayed, name) for name in ("samples", "known", "enters_stored", "enters")}
        print_json({"job_id": job_id, "smoothing": settings.smoothing.model_dump()} | summary)
        return
    named = ["region"] if any(replayed.by_region) else []
    grid = Grid(*named, "from", "to", "label", Column("noticed after", right=True))
    for region, segments in replayed.by_region.items():
        for segment in segments:
            noticed = "" if segment.entered_s is None else f"{segment.entered_s - segment.start_s:.2f} s"
            where = [region] if named else []
            grid.row(*where, views.clock(segment.start_s), views.clock(segment.end_s), segment.label, noticed)
    grid.print()
    out.print(
        f"{replayed.samples} samples; {replayed.enters_stored} times a label became active as it ran, "
        f"{replayed.enters} with {settings.smoothing.method}",
        highlight=False,
        soft_wrap=True,
    )
    if replayed.known < 0.99:
        out.print(
            f"the stored labels hold as little as {replayed.known:.0%} of a sample's probability: a replay is near, "
            "not exact (worker.top_k stores more)",
            highlight=False,
            soft_wrap=True,
        )
