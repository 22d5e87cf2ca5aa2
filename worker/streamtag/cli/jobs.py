"""``submit``, ``status``, ``tail`` and ``cancel``: jobs from the outside."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from streamtag.cli import views
from streamtag.cli.common import FAILED, Config, Json, Model, Overrides, err, out, print_json, settings_from
from streamtag.client import Client
from streamtag.core.records import JobStatus, JobView
from streamtag.errors import ConfigError, StreamtagError


def submit(
    sources: Annotated[
        list[str], typer.Argument(help="Files, folders or globs of images, http(s) or rtsp(s) URLs, camera:0.")
    ],
    config: Config = None,
    model: Model = None,
    fps: Annotated[float | None, typer.Option("--fps", help="Samples a second.")] = None,
    every: Annotated[int | None, typer.Option("--every", help="Every n-th frame, instead of --fps.")] = None,
    keyframes: Annotated[
        bool, typer.Option("--keyframes", help="Key frames only, instead of --fps: by far the cheapest.")
    ] = False,
    stream: Annotated[str, typer.Option("--stream", help="Name of the stream, carried by its events.")] = "",
    job_id: Annotated[str | None, typer.Option("--id", help="Job id, to submit safely again. For one source.")] = None,
    live: Annotated[
        bool | None, typer.Option("--live/--finite", help="Where the kind of source does not tell.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the jobs are over, with a progress bar.")] = False,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Queue sources for the workers of a model."""
    if job_id and len(sources) > 1:
        raise ConfigError("--id names one job; give one source, or leave it out")
    with Client(settings=settings_from(config, model, None, overrides)) as client:
        found = [
            client.submit(source, job_id=job_id, stream=stream, fps=fps, every=every, keyframes=keyframes, live=live)
            for source in sources
        ]
        if not wait:
            _print_submitted(client, found, json)
            return
        found = _wait(client, [view.job_id for view in found], quiet=json)
        for view in found:
            if json:
                print_json(
                    {
                        "job_id": view.job_id,
                        "status": view.status,
                        "reason": view.reason,
                        "counters": view.counters.to_dict(),
                    }
                )
            else:
                out.print(views.outcome_line(view))
    if any(view.status is not JobStatus.DONE for view in found):
        raise typer.Exit(FAILED)


def _print_submitted(client: Client, found: list[JobView], json: bool) -> None:
    for view in found:
        if json:
            print_json({"job_id": view.job_id, "status": view.status})
        else:
            out.print(f"{view.job_id}  {view.status}", highlight=False)
    if not client.workers():
        model = client.settings.model.name
        remedy = f"start one with: streamtag run --model {model}"
        err.print(f"[yellow]note:[/] no worker serves {escape(model)!r} now; {escape(remedy)}", soft_wrap=True)


def _wait(client: Client, job_ids: list[str], quiet: bool) -> list[JobView]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=quiet,
    )
    with progress:
        bar = progress.add_task("jobs", total=len(job_ids))
        while True:
            found = [client.status(job_id) for job_id in job_ids]
            done = sum(1.0 if view.status.is_terminal else (view.progress or 0.0) for view in found)
            published = sum(view.counters.published for view in found)
            progress.update(bar, completed=round(done, 2), description=f"{published} samples")
            if all(view.status.is_terminal for view in found):
                return found
            time.sleep(0.2)


def status(
    job_ids: Annotated[list[str] | None, typer.Argument(help="Jobs; all when none is named.")] = None,
    config: Config = None,
    model: Model = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the table up to date until Ctrl-C.")] = False,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Show jobs: their status, progress and account."""
    with Client(settings=settings_from(config, model, None, overrides)) as client:

        def look() -> list[JobView]:
            return [client.status(job_id) for job_id in job_ids] if job_ids else client.jobs()

        if json:
            for view in _watched(look) if watch else look():
                print_json(_status_json(view))
        elif watch:
            with Live(views.table(look(), client.workers()), console=out, refresh_per_second=4) as live:
                while True:
                    time.sleep(0.5)
                    live.update(views.table(look(), client.workers()))
        else:
            found = look()
            out.print(views.table(found, client.workers()))
            for view in found:
                if view.reason:
                    out.print(views.reason_line(view), soft_wrap=True)


def _watched(look: Any) -> Any:
    """Each job again whenever it has changed."""
    seen: dict[str, float] = {}
    while True:
        for view in look():
            if seen.get(view.job_id) != view.updated_unix_s:
                seen[view.job_id] = view.updated_unix_s
                yield view
        time.sleep(0.5)


def _status_json(view: JobView) -> dict[str, Any]:
    content = view.to_dict()
    first = ("job_id", "status", "reason", "counters")
    return {name: content[name] for name in first} | {
        name: value for name, value in content.items() if name not in first
    }


def tail(
    job_id: Annotated[str | None, typer.Argument(help="Job; with --events it may be left out for all jobs.")] = None,
    config: Config = None,
    model: Model = None,
    events: Annotated[bool, typer.Option("--events", "-e", help="Events instead of results.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", help="Begin with the last N results; default all.", min=0)
    ] = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Print the results or the events of a job, as they come with --follow."""
    if job_id is None and not events:
        raise ConfigError("name a job, or give --events for the events of all jobs; `streamtag status` lists the jobs")
    with Client(settings=settings_from(config, model, None, overrides)) as client:
        if job_id is not None and not events:
            client.status(job_id)  # raises where there is no such job
            after = "0-0"
            if lines is not None:
                newest = client.newest_results(job_id, lines) if lines else client.newest_results(job_id, 1)
                for result in newest if lines else []:
                    _print_record(result.to_dict(), views.result_line(result), json)
                after = newest[-1].id if newest else "0-0"
                if not follow:
                    return
            for result in client.results(job_id, follow=follow, after=after):
                _print_record(result.to_dict(), views.result_line(result), json)
            return
        for event in client.events(job_id, follow=follow):
            _print_record(event.to_dict(), views.event_line(event), json)


def _print_record(content: dict[str, Any], line: Any, json: bool) -> None:
    if json:
        print_json(content)
    else:
        out.print(line, soft_wrap=True)


def cancel(
    job_ids: Annotated[list[str], typer.Argument(help="Jobs to cancel.")],
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Cancel jobs: waiting ones end at once, running ones within a renewal (lease.renew_s)."""
    missing = False
    with Client(settings=settings_from(config, model, None, overrides)) as client:
        for job_id in job_ids:
            try:
                answer = client.cancel(job_id)
            except StreamtagError as error:
                if len(job_ids) == 1:
                    raise
                err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
                missing = True
                continue
            if json:
                print_json({"job_id": job_id, "status": answer})
            else:
                out.print(f"{job_id}  {answer}", highlight=False)
    if missing:
        raise typer.Exit(FAILED)
