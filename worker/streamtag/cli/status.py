"""``streamtag status``: the jobs of a queue and the workers that serve it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from streamtag.cli import completion, redis_memory, views
from streamtag.cli.common import (
    FAILED,
    OUTPUT,
    Config,
    Json,
    Model,
    Overrides,
    can_draw,
    complain,
    err,
    out,
    print_json,
    settings_from,
)
from streamtag.cli.tables import Column, Grid
from streamtag.cli.worker_table import print_workers
from streamtag.client import Client
from streamtag.core.records import SUSPECT_CRASHES, JobStatus, JobView, WorkerView
from streamtag.core.sharing import Load
from streamtag.errors import ConfigError, JobNotFound, QueueUnavailable
from streamtag.redaction import printable

PERIOD_S = 0.5
WHICH = "Which jobs"
_ORDER = {JobStatus.RUNNING: 0, JobStatus.QUEUED: 1}
_COLUMNS = (
    Column("job", gives=True),
    Column("status"),
    Column("stream", gives=True, rank=6),
    Column("state", rank=1),
    Column("done", right=True, rank=2),
    Column("frames", right=True, rank=9),
    Column("samples", right=True, rank=3),
    Column("drop", right=True, rank=8),
    Column("fail", right=True, rank=8),
    Column("active", gives=True, rank=4),
    Column("lag", right=True, rank=5),
    Column("last", right=True, rank=5),
    Column("age", right=True, rank=8),
    Column("worker", rank=10),
    Column("note", rank=11),
)


def status(
    job_ids: Annotated[
        list[str] | None, typer.Argument(help="Jobs; all when none is named.", autocompletion=completion.jobs)
    ] = None,
    only: Annotated[
        list[JobStatus] | None,
        typer.Option("--status", "-s", help="Jobs of this status only. May be given again.", rich_help_panel=WHICH),
    ] = None,
    stream: Annotated[
        str | None, typer.Option("--stream", help="Jobs of this stream only.", rich_help_panel=WHICH)
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", "-n", help="The first N of the list only.", min=1, rich_help_panel=WHICH)
    ] = None,
    config: Config = None,
    model: Model = None,
    workers: Annotated[
        bool, typer.Option("--workers", help="The workers in place of the jobs.", rich_help_panel=WHICH)
    ] = False,
    memory: Annotated[
        bool,
        typer.Option("--memory", help="Redis's memory in place of the jobs, and what takes it.", rich_help_panel=WHICH),
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Keep the table up to date until Ctrl-C.", rich_help_panel=OUTPUT)
    ] = False,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Show jobs, running and newest first: their status, progress, active labels and what they wait for.

    `last` is the age of the last sample, `lag` how long its result took from the camera, `age` that of the job.
    """
    _check(watch, {"--workers": workers, "--memory": memory, "jobs": bool(job_ids or only or stream or last)})
    if watch and not json and not can_draw(out):
        raise ConfigError("--watch draws on a terminal; into a pipe or file, or with TERM=dumb, use --watch --json")
    missing: list[str] = []
    with Client(settings=settings_from(config, model, None, overrides)) as client:

        def look() -> list[JobView]:
            views_ = _named(client, job_ids, missing, watch) if job_ids else client.jobs()
            return _chosen(views_, only, stream, last)

        if memory:
            redis_memory.print_memory(client, json)
        elif workers:
            print_workers(client.workers(), json)
        elif json:
            redis_memory.warn(client, client.memory())
            for view in _changes(look) if watch else look():
                print_json(_json_of(view, client.workers()))
        elif watch:
            _watch(look, client.workers)
        else:
            _print_all(client, look(), whole=not job_ids)
    if missing:
        raise typer.Exit(FAILED)


def _check(watch: bool, shown: dict[str, bool]) -> None:
    given = [name for name, is_given in shown.items() if is_given]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)}: one of them is shown at a time")
    if watch and given and given != ["jobs"]:
        raise ConfigError(f"--watch keeps the table of jobs up to date; {given[0]} is shown once")


def _named(client: Client, job_ids: list[str], missing: list[str], watch: bool) -> list[JobView]:
    """The jobs that are there. Of several those that are not are told and counted, unless all are watched."""
    found = []
    for job_id in job_ids:
        try:
            found.append(client.status(job_id))
        except JobNotFound as error:
            if watch or len(job_ids) == 1:
                raise
            complain(error)
            missing.append(job_id)
    return found


def _print_all(client: Client, jobs: list[JobView], whole: bool) -> None:
    """The jobs, and of the whole queue its workers and Redis, too."""
    serving = client.workers()
    _print(jobs, serving)
    if whole:
        if serving:
            print_workers(serving, json=False)
        used = client.memory()
        redis_memory.print_line(used)
        redis_memory.warn(client, used)


def _chosen(jobs: list[JobView], only: list[JobStatus] | None, stream: str | None, last: int | None) -> list[JobView]:
    """The jobs asked for: running ones first, then those that wait, the newest of each first."""
    jobs = [view for view in jobs if (not only or view.status in only) and stream in (None, view.stream)]
    jobs.sort(key=lambda view: (_ORDER.get(view.status, 2), -view.submitted_unix_s, view.job_id))
    return jobs[:last]


def _print(jobs: list[JobView], workers: list[WorkerView]) -> None:
    omitted = _grid(jobs, workers).print()
    if "note" in omitted:
        for view in jobs:
            if note := _note(view, workers):
                out.print(Text.assemble((printable(view.job_id), "bold"), ": ", printable(note)), soft_wrap=True)


def _watch(look: Callable[[], list[JobView]], workers: Callable[[], list[WorkerView]]) -> None:
    jobs, serving = look(), workers()
    trouble = ""
    with Live(console=out, auto_refresh=False) as live:
        while True:
            screen = _grid(jobs, serving).screen(out, out.height - bool(trouble))
            live.update(Group(screen, Text(printable(trouble), style="bold red")) if trouble else screen, refresh=True)
            time.sleep(PERIOD_S)
            try:
                jobs, serving = look(), workers()
                trouble = ""
            except QueueUnavailable as error:
                trouble = str(error)


def _grid(jobs: list[JobView], workers: list[WorkerView]) -> Grid:
    grid = Grid(*_COLUMNS, title=f"{views.counted(len(jobs), 'job')}, {views.counted(len(workers), 'worker')}")
    now_unix_s = time.time()
    for view in jobs:
        counters = view.counters
        running = view.status is JobStatus.RUNNING
        grid.row(
            view.job_id,
            Text(view.status, style=views.COLOURS[view.status]),
            view.stream,
            view.told_state,
            f"{view.progress:.0%}" if view.progress is not None and counters.decoded else "",
            str(counters.decoded),
            str(counters.published),
            str(sum(counters.dropped.values())),
            str(sum(counters.failed.values())),
            Text(", ".join(view.active), style="bold green"),
            f"{view.lag_s:.1f} s" if view.lag_s is not None else "",
            views.age(view.last_sample_unix_s, now_unix_s) if running else "",
            views.age(view.submitted_unix_s, now_unix_s),
            view.worker if running else "",
            _note(view, workers),
        )
    return grid


def _note(view: JobView, workers: list[WorkerView]) -> str:
    """Why a job waits, why its stream is in that state, or how it ended."""
    return "; ".join(part for part in (waits_for(view, workers), view.reason) if part)


def waits_for(view: JobView, workers: list[WorkerView]) -> str:
    """What a job is waiting for, where that is known."""
    if view.status is JobStatus.QUEUED:
        staying = [worker for worker in workers if not worker.draining]
        if not workers:
            return "waits: no worker serves this model"
        if not staying:
            return "waits: its workers are all leaving"
        if all(worker.short_of_memory for worker in staying):
            return "waits: Redis is short of memory, so no new jobs are taken (redis.memory_share)"
        if all(worker.running >= worker.slots for worker in staying):
            return f"waits: all {sum(worker.slots for worker in staying)} slots are taken (worker.slots)"
        if all(Load.of(worker).is_full for worker in staying):
            asked, supply = (sum(getattr(worker, name) for worker in staying) for name in ("asked", "supply"))
            return f"waits: {asked:.0f} samples/s are asked of the {supply:.0f} that its workers can give"
    silent = view.status is JobStatus.RUNNING and view.worker not in {worker.worker for worker in workers}
    if silent and view.crashes >= SUSPECT_CRASHES:
        return f"waits: {view.crashes} workers vanished while decoding it; it runs alone next"
    if silent:
        return "waits: its worker is silent; another takes over (lease.seconds)"
    return ""


def _changes(look: Callable[[], list[JobView]]) -> Iterator[JobView]:
    """Each job again whenever it has changed."""
    seen: dict[str, float] = {}
    while True:
        try:
            jobs = look()
        except QueueUnavailable as error:
            if not seen:
                raise
            err.print(printable(str(error)), markup=False, soft_wrap=True)
            jobs = []
        for view in jobs:
            if seen.get(view.job_id) != view.updated_unix_s:
                seen[view.job_id] = view.updated_unix_s
                yield view
        time.sleep(PERIOD_S)


def _json_of(view: JobView, workers: list[WorkerView]) -> dict[str, Any]:
    content = view.to_dict()
    first = ("job_id", "status", "reason", "counters")
    head = {name: content.pop(name) for name in first}
    return head | content | {"waits_for": waits_for(view, workers).removeprefix("waits: ")}
