"""``streamtag demo``: everything at once, without a network or a camera."""

from __future__ import annotations

import multiprocessing.util
import os
import shutil
import sys
import tempfile
import time
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from streamtag.cli import views
from streamtag.cli.common import (
    FAILED,
    INTERRUPTED,
    Config,
    Json,
    Model,
    Overrides,
    Weights,
    end_on_sigterm,
    err,
    out,
    print_json,
    settings_and_origins,
)
from streamtag.cli.view import page_beside
from streamtag.client import located
from streamtag.core.records import Event, JobStatus, JobView, Result
from streamtag.core.source import SourceKind, path_of, source_kind
from streamtag.errors import ConfigError, RejectJob
from streamtag.extras import NEEDS, install_hint
from streamtag.tools.demo.choosing import Choice, choose
from streamtag.tools.demo.clips import Verdict
from streamtag.tools.demo.contact_sheet import words
from streamtag.tools.demo.show import Demo, Outcome, Started

SHEET_NAME = "streamtag-demo.png"


def demo(
    seconds: Annotated[float, typer.Option("--seconds", help="Length of the clip.", min=1, max=3600)] = 22.0,
    source: Annotated[str | None, typer.Option("--source", help="Your own video, in place of the demo's clip.")] = None,
    drawn: Annotated[
        bool, typer.Option("--drawn", help="Drawn shapes and the small network that is shipped: needs no photographs.")
    ] = False,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help=f"Where the contact sheet goes. Default: {SHEET_NAME} here.")
    ] = None,
    open_: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open",
            help="Open the page in a browser, and keep it there until Ctrl-C. Default: on a terminal with a display.",
        ),
    ] = None,
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Start a Redis and a worker, tag a film of photographs, and show what comes out."""
    end_on_sigterm()
    # A newcomer need not wait for engines to be measured; what was measured before is taken. The photographs in
    # the film stay for three seconds each and are told more exactly than by default, where an espresso is food.
    exact = [] if source else ["smoothing.exact=0.6"]
    quiet = [
        "log.level=warning",
        "http.port=0",
        "view.port=0",
        "worker.drain_s=1",
        "engine.measure_s=0",
        "view.thumbnails=true",
        *exact,
        *(overrides or []),
    ]
    settings, origins = settings_and_origins(config, model, weights, quiet)
    if drawn and source:
        raise ConfigError("--drawn and --source: give one of them")
    if json and open_:
        raise ConfigError("--json and --open: what scripts read ends by itself; give one of them")
    target = _sheet(sheet)
    if source:
        show, choice = Demo(settings, _present(source), seconds, target, page_beside), None
    else:
        choice = choose(settings, drawn, "model.name" in origins)
        show = Demo(choice.settings, choice.clip, seconds, target, page_beside)
    if not json and choice is not None:
        _introduce(choice)
    try:
        outcome = _play_json(show) if json else _play(show, choice is None, _is_opened(open_))
    except KeyboardInterrupt:
        if show.is_worker_running:
            _leave_at_once()
        raise
    if json:
        print_json(_summary_json(outcome))
    if outcome.job.status is not JobStatus.DONE:
        raise typer.Exit(FAILED)


def _present(source: str) -> str:
    """A source of one's own; nothing is started for a name that is mistyped."""
    found = located(source)
    if source_kind(found) in (SourceKind.VIDEO, SourceKind.IMAGE) and not Path(path_of(found)).exists():
        raise RejectJob(f"{found}: no such file")
    return found


def _sheet(wanted: Path | None) -> Path:
    """Where the contact sheet goes; known to be writable before the work."""
    if wanted is None:
        folder = Path.cwd()
        return (folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())) / SHEET_NAME
    if wanted.is_dir() or not os.access(wanted.absolute().parent, os.W_OK):
        raise ConfigError(f"--sheet {wanted}: name a file in a folder that can be written")
    return wanted


def _introduce(choice: Choice) -> None:
    if choice.reason:
        out.print("[yellow]The real world is not at hand, so this is the drawn clip:[/]", highlight=False)
        out.print(f"  {escape(choice.reason)}", highlight=False, soft_wrap=True)
    name = choice.settings.model.name
    network = "The demo network" if name == "demo" else name
    out.print(f"[bold]{escape(network)}[/] tags {escape(choice.clip.title)}.", highlight=False)
    if name == "demo":
        out.print("It knows six drawn shapes and nothing else; it says nothing about photographs.", highlight=False)
    out.print()


def _leave_at_once() -> NoReturn:
    """Leave beside a thread that imports TensorFlow, when all else is cleared away.

    Left to itself the interpreter did not come to its end within 90 s: it waits for what that thread was in.
    """
    shutil.rmtree(multiprocessing.util.get_temp_dir(), ignore_errors=True)  # with the fork server's socket
    sys.stdout.flush()
    os._exit(INTERRUPTED)


def _play_json(show: Demo) -> Outcome:
    return show.play(
        lambda started: print_json(_started_json(started)),
        lambda news, view: print_json(news.to_dict()),
        lambda outcome: None,
    )


def _is_opened(asked: bool | None) -> bool:
    """Whether the page is opened: if nobody says so, where somebody can see it."""
    has_display = sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return err.is_terminal and out.is_terminal and has_display if asked is None else asked


def _play(show: Demo, with_results: bool, is_opened: bool) -> Outcome:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("making the clip, compiling the network", total=None)

        def on_start(started: Started) -> None:
            addresses = {"redis": started.redis, "metrics": started.metrics_url, "page": started.page_url}
            for name, value in {**addresses, "job": started.job_id}.items():
                if not value:
                    continue
                progress.console.print(f"{name:<8} {escape(value)}", highlight=False, soft_wrap=True)
            progress.console.print()
            progress.update(task, description="tagging", total=1.0)
            if is_opened and not (started.page_url and webbrowser.open(started.page_url)):
                why = "no browser was found" if started.page_url else install_hint(NEEDS["view"])
                progress.console.print(f"[yellow]the page is not opened:[/] {escape(why)}", soft_wrap=True)

        def on_news(news: Event | Result, view: JobView) -> None:
            progress.update(task, completed=view.progress or 0.0, description=f"{view.counters.published} samples")
            if isinstance(news, Event):
                out.print(_event_line(news, view), soft_wrap=True)
            elif with_results:
                out.print(views.result_line(news), soft_wrap=True)

        def on_end(outcome: Outcome) -> None:
            progress.stop()
            _print_summary(outcome)
            if is_opened and outcome.started.page_url:
                _keep(outcome.started.page_url)

        return show.play(on_start, on_news, on_end)


def _keep(page_url: str) -> None:
    """Let people look at the page for as long as they like."""
    err.print(f"The page stays at {page_url} until you press Ctrl-C.", highlight=False)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(1.0)


def _event_line(event: Event, view: JobView) -> Text:
    """An event without the job's id: there is only one."""
    label = event.content.get("label")
    if event.kind in ("state", "status"):
        what = view.told(event.content[event.kind])
        return Text(f"{views.clock(event.pts_s)}  {event.kind:<6}  {what}", style="cyan")
    if event.kind not in ("enter", "exit") or not isinstance(label, dict):
        return views.event_line(event)
    line = Text.assemble(
        views.clock(event.pts_s), "  ", (f"{event.kind:<6}", "green" if event.kind == "enter" else "yellow")
    )
    line.append(f"  {label['name']:<24}", style="bold" if event.kind == "enter" else "")
    return line.append(f"  {event.content['score']:.2f}" if "score" in event.content else "", style="dim")


def _started_json(started: Started) -> dict[str, Any]:
    return {
        "job_id": started.job_id,
        "source": started.source,
        "metrics": started.metrics_url,
        "page": started.page_url,
    }


def _summary_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "summary": True,
        "job_id": outcome.job.job_id,
        "status": outcome.job.status,
        "reason": outcome.job.reason,
        "model": outcome.model,
        "source": outcome.title,
        "counters": outcome.job.counters.to_dict(),
        "labels": outcome.labels,
        "samples_per_s": outcome.samples_per_s,
        "seconds": round(outcome.seconds, 1),
        "metrics": outcome.started.metrics_url,
        "segments": len(outcome.verdicts),
        "segments_right": outcome.right,
        "verdicts": [_verdict_json(verdict) for verdict in outcome.verdicts],
        "sheet": str(outcome.sheet.absolute()) if outcome.sheet else None,
    }


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    segment = verdict.segment
    return {
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "truth": segment.name,
        "accepted": sorted(segment.accepted),
        "label": verdict.label,
        "score": round(verdict.score, 4),
        "right": verdict.is_right,
    }


def _print_summary(outcome: Outcome) -> None:
    counters = outcome.job.counters
    out.print()
    out.print(
        f"[bold]{outcome.job.status}[/]: {counters.published} samples of {counters.decoded} frames, "
        f"{outcome.samples_per_s} samples/s, {outcome.seconds:.1f} s in all",
        highlight=False,
    )
    if outcome.job.reason:
        out.print(f"  {escape(outcome.job.reason)}", highlight=False, soft_wrap=True)
    seen = ", ".join(f"{escape(name)} {count}" for name, count in list(outcome.labels.items())[:8])
    out.print(f"steady labels, in samples: {seen or 'none'}", highlight=False, soft_wrap=True)
    for verdict in outcome.verdicts:
        mark = "[green]right[/]" if verdict.is_right else "[red]wrong[/]"
        span = f"{verdict.segment.start_s:5.1f} to {verdict.segment.end_s:4.1f} s"
        out.print(f"  {mark}  {span}  {verdict.segment.name:<22} {escape(words(verdict))}", highlight=False)
    if outcome.verdicts:
        out.print(f"[bold]{outcome.right} of {len(outcome.verdicts)} segments right[/]", highlight=False)
    if outcome.sheet:
        out.print(f"what was seen, as a picture: {escape(str(outcome.sheet))}", highlight=False, soft_wrap=True)
