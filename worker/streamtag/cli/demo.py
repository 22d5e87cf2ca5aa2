"""``streamtag demo``: everything at once, without a network or a camera."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from streamtag.cli import views
from streamtag.cli.common import (
    FAILED,
    Config,
    Json,
    Model,
    Overrides,
    Weights,
    end_on_sigterm,
    err,
    out,
    print_json,
    settings_from,
)
from streamtag.client import located
from streamtag.core.records import Event, JobStatus, JobView, Result
from streamtag.tools.demo.show import Demo, Started

_REAL_NETWORKS = "streamtag demo --source FILE --model xception --weights imagenet   (or inceptionv3, mobilenetv2)"


def demo(
    seconds: Annotated[float, typer.Option("--seconds", help="Length of the drawn clip.", min=1, max=3600)] = 20.0,
    source: Annotated[str | None, typer.Option("--source", help="Your own video, in place of the drawn clip.")] = None,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Start a Redis and a worker, tag a clip, and show what comes out."""
    end_on_sigterm()
    quiet = ["log.level=warning", "http.port=0", "worker.drain_s=1", *(overrides or [])]
    settings = settings_from(config, model, weights, quiet)
    show = Demo(settings, located(source) if source else None, seconds)
    is_demo_network = settings.model.name == "demo"
    if json:
        summary = show.play(
            lambda started: print_json(_started_json(started)), lambda news, view: print_json(news.to_dict())
        )
        print_json(summary)
    else:
        if is_demo_network:
            out.print(
                "This is the [bold]demo network[/]: it knows six drawn shapes and nothing else. For real pictures:"
            )
            out.print(f"  {_REAL_NETWORKS}\n", highlight=False, soft_wrap=True)
        summary = _play(show, seconds if source is None else None)
        _print_summary(summary)
    if summary["status"] != JobStatus.DONE:
        raise typer.Exit(FAILED)


def _play(show: Demo, seconds: float | None) -> dict[str, Any]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task: TaskID = progress.add_task("drawing a clip, compiling the network", total=None)

        def on_start(started: Started) -> None:
            progress.console.print(f"redis    {escape(started.redis)}", highlight=False, soft_wrap=True)
            progress.console.print(f"metrics  {started.metrics_url}", highlight=False, soft_wrap=True)
            progress.console.print(f"job      {started.job_id}\n", highlight=False, soft_wrap=True)
            progress.update(task, description="tagging", total=1.0)

        def on_news(news: Event | Result, view: JobView) -> None:
            progress.update(task, completed=view.progress or 0.0, description=f"{view.counters.published} samples")
            if isinstance(news, Event):
                out.print(views.event_line(news), soft_wrap=True)
            elif not seconds:
                out.print(views.result_line(news), soft_wrap=True)

        return show.play(on_start, on_news)


def _started_json(started: Started) -> dict[str, Any]:
    return {"job_id": started.job_id, "source": started.source, "metrics": started.metrics_url}


def _print_summary(summary: dict[str, Any]) -> None:
    counters = summary["counters"]
    out.print()
    out.print(
        f"[bold]{summary['status']}[/]: {counters['published']} samples of {counters['decoded']} frames, "
        f"{summary['samples_per_s']} samples/s, {summary['seconds']} s in all",
        highlight=False,
    )
    if summary["reason"]:
        out.print(f"  {escape(summary['reason'])}", highlight=False, soft_wrap=True)
    seen = ", ".join(f"{escape(name)} {count}" for name, count in list(summary["labels"].items())[:8])
    out.print(f"steady labels, in samples: {seen}", highlight=False, soft_wrap=True)
    if "segments" in summary:
        for segment in summary["segments"]:
            mark = "[green]right[/]" if segment["truth"] == segment["seen"] else "[red]wrong[/]"
            span = f"{segment['start_s']:6.2f} to {segment['end_s']:6.2f} s"
            out.print(f"  {mark}  {span}  {segment['truth']:<9} seen as {segment['seen']}", highlight=False)
        out.print(
            f"[bold]{summary['segments_right']} of {summary['segments_total']} segments right[/] (by the demo network)"
        )
