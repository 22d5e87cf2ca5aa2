"""``submit`` and ``cancel``: jobs from the outside."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

from streamtag.cli import completion, submit_notes, views
from streamtag.cli.common import (
    FAILED,
    OUTPUT,
    SAMPLING,
    Config,
    Json,
    Model,
    Overrides,
    complain,
    err,
    out,
    print_json,
    settings_from,
)
from streamtag.cli.progress import progress_bar
from streamtag.cli.regions import Roi, regions_of
from streamtag.client import Client
from streamtag.core.records import JobStatus, JobView
from streamtag.errors import AccessDenied, ConfigError, QueueUnavailable, StreamtagError
from streamtag.redaction import printable

RETRY_S = 0.5

Credential = Annotated[
    str,
    typer.Option(
        "--credential", help="Name of the user and password that the workers have for it, in place of those in a URL."
    ),
]
Trace = Annotated[
    str,
    typer.Option(
        "--traceparent",
        help="W3C trace context of what it belongs to: its trace id is in the job's events, log lines and exemplars.",
    ),
]
Watch = Annotated[
    str | None,
    typer.Option("--watch", help="Labels and groups that may make events, with commas: dog,bottle. Default: all."),
]
MotionGate = Annotated[
    float | None,
    typer.Option(
        "--motion-gate",
        help="Where no part of the picture differs by more than this (0 to 1) from the last one classified, take that "
        "one's scores; 0 classifies each.",
        rich_help_panel=SAMPLING,
    ),
]
MotionGateMax = Annotated[
    float | None,
    typer.Option(
        "--motion-gate-max-s",
        help="Seconds after which a sample is classified, whatever it shows.",
        rich_help_panel=SAMPLING,
    ),
]


def submit(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders or globs of images, http(s) or rtsp(s) URLs, camera:0; - reads them from standard "
            "input, a line each, where no other user of this machine sees their passwords."
        ),
    ],
    fps: Annotated[float | None, typer.Option("--fps", help="Samples a second.", rich_help_panel=SAMPLING)] = None,
    every: Annotated[
        int | None, typer.Option("--every", help="Every n-th frame, instead of --fps.", rich_help_panel=SAMPLING)
    ] = None,
    keyframes: Annotated[
        bool,
        typer.Option(
            "--keyframes", help="Key frames only, instead of --fps: by far the cheapest.", rich_help_panel=SAMPLING
        ),
    ] = False,
    credential: Credential = "",
    watch: Watch = None,
    roi: Roi = None,
    motion_gate: MotionGate = None,
    motion_gate_max_s: MotionGateMax = None,
    traceparent: Trace = "",
    stream: Annotated[str, typer.Option("--stream", help="Name of the stream, carried by its events.")] = "",
    job_id: Annotated[str | None, typer.Option("--id", help="Job id, to submit safely again. For one source.")] = None,
    live: Annotated[
        bool | None, typer.Option("--live/--finite", help="Where the kind of source does not tell.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the jobs are over, with a progress bar.", rich_help_panel=OUTPUT)
    ] = False,
    json: Json = False,
    model: Model = None,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Queue sources for the workers of a model."""
    given, sources = sources, _sources(sources)
    if job_id and len(sources) > 1:
        raise ConfigError("--id names one job; give one source, or leave it out")
    regions, labels = regions_of(roi), _labels(watch)
    with Client(settings=settings_from(config, model, None, overrides)) as client:
        submitted = []
        queue = partial(client.submit, fps=fps, every=every, keyframes=keyframes, roi=regions, watch=labels)
        queue = partial(queue, motion_gate=motion_gate, motion_gate_max_s=motion_gate_max_s, credential=credential)
        for source in sources:
            view = queue(source, job_id=job_id, stream=stream, live=live, traceparent=traceparent)
            submitted.append(view.job_id)
            _say_submitted(view, wait, json)
        submit_notes.of_credentials(given, sources)
        submit_notes.of_files(sources)
        submit_notes.of_workers(client)
        if not wait:
            return
        ended = _wait(client, submitted, quiet=json)
    _tell_outcomes(ended, json)


def _tell_outcomes(ended: list[JobView], json: bool) -> None:
    for view in ended:
        if json:
            print_json(_outcome_json(view))
        else:
            out.print(views.outcome_line(view), soft_wrap=True)
    if any(view.status is not JobStatus.DONE for view in ended):
        raise typer.Exit(FAILED)


def _sources(given: list[str]) -> list[str]:
    """What was named, with the lines of standard input in the place of ``-``."""
    found: list[str] = []
    for source in given:
        found += [line.strip("\r\n") for line in sys.stdin if line.strip()] if source == "-" else [source]
    if not found:
        raise ConfigError("standard input names no source; write one a line")
    return found


def _labels(watch: str | None) -> list[str]:
    names = [name for part in (watch or "").split(",") if (name := part.strip())]
    if watch is not None and not names:
        raise ConfigError("--watch names no label: name some, with commas, or leave it out for all of them")
    return names


def _say_submitted(view: JobView, wait: bool, json: bool) -> None:
    """The id at once: whoever waits may want to look at the job, or cancel it, from elsewhere."""
    if not json or wait:  # with both, standard output belongs to the outcomes
        (err if json else out).print(f"{view.job_id}  {view.status}", highlight=False, markup=False, soft_wrap=True)
    else:
        print_json({"job_id": view.job_id, "status": view.status})


def _outcome_json(view: JobView) -> dict[str, Any]:
    counters = view.counters.to_dict()
    return {"job_id": view.job_id, "status": view.status, "reason": view.reason, "counters": counters}


def _wait(client: Client, job_ids: list[str], quiet: bool) -> list[JobView]:
    progress = progress_bar(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        quiet=quiet,
        transient=False,
    )
    try:
        with progress:
            bar = progress.add_task("jobs", total=len(job_ids))
            while True:
                jobs = _look_patiently(client, job_ids)
                published = sum(view.counters.published for view in jobs)
                done = round(sum(map(_done, jobs)), 2)
                progress.update(bar, completed=done, description=f"{published} samples")
                if all(view.status.is_terminal for view in jobs):
                    return jobs
                time.sleep(0.2)
    except KeyboardInterrupt:
        err.print(f"not cancelled; look with: streamtag status {' '.join(job_ids)}", markup=False, soft_wrap=True)
        raise


def _look_patiently(client: Client, job_ids: list[str]) -> list[JobView]:
    """The jobs, once Redis answers: the jobs wait for it too, and go on when it is back."""
    told = False
    while True:
        try:
            jobs = [client.status(job_id) for job_id in job_ids]
        except AccessDenied:
            raise
        except QueueUnavailable as error:
            if not told:
                err.print(printable(f"{error}; waiting for it"), markup=False, soft_wrap=True)
            told = True
            time.sleep(RETRY_S)
            continue
        if told:
            err.print("redis is there again", markup=False)
        return jobs


def _done(view: JobView) -> float:
    """The part of a job that is done, 0 to 1. A job that failed has got as far as it read."""
    if view.status is JobStatus.DONE:
        return 1.0
    return (view.progress or 0.0) if view.counters.decoded else 0.0


def cancel(
    job_ids: Annotated[list[str], typer.Argument(help="Jobs to cancel.", autocompletion=completion.jobs_to_cancel)],
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
                if len(job_ids) == 1 or isinstance(error, QueueUnavailable):
                    raise
                complain(error)
                missing = True
                continue
            if json:
                print_json({"job_id": job_id, "status": answer})
            else:
                out.print(f"{job_id}  {answer}", highlight=False, markup=False, soft_wrap=True)
    if missing:
        raise typer.Exit(FAILED)
