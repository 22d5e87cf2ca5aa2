"""``streamtag collect``: frames of a stream as pictures to train with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from streamtag.cli import completion
from streamtag.cli.common import (
    SAMPLING,
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
from streamtag.cli.progress import progress_bar
from streamtag.cli.regions import check_region
from streamtag.client import Client, located
from streamtag.core.job import Sampling
from streamtag.core.source import SourceKind, path_of, source_kind
from streamtag.errors import ConfigError, JobNotFound, StreamtagError
from streamtag.ingest.session import forkserver
from streamtag.networks import loading
from streamtag.redaction import holds_secret, printable, shown_source
from streamtag.settings import Settings
from streamtag.tools import collecting
from streamtag.tools.certainty import Certainty, by_network, by_results
from streamtag.tools.collecting import (
    Folder,
    Saved,
    active_spans,
    checked_label,
    folder_name,
    parse_span,
)
from streamtag.tools.whole_frames import Span, Wanted, at_rate_of, is_live

SPANS = "Which part"

At = Annotated[
    list[str] | None,
    typer.Option("--at", metavar="FROM-TO", help="Seconds, as 12.5-20. May be given again.", rich_help_panel=SPANS),
]
FromEvents = Annotated[
    str | None,
    typer.Option(
        "--from-events", metavar="LABEL", help="Where the job says that LABEL was active.", rich_help_panel=SPANS
    ),
]
For = Annotated[
    float | None,
    typer.Option(
        "--for", metavar="SECONDS", help="Of a live source: how long to look at it.", min=1, rich_help_panel=SPANS
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the classes' folders.")]
Count = Annotated[int, typer.Option("--count", "-n", help="Files at most.", min=1, max=2000)]
Apart = Annotated[float, typer.Option("--apart", help="Seconds of which one frame at most is taken.", min=0.001)]
LongerPx = Annotated[int, typer.Option("--px", help="Longer side of a file at most.", min=32, max=4096)]
Fps = Annotated[
    float | None,
    typer.Option("--fps", help="Frames a second to look at.", min=0.001, max=1000, rich_help_panel=SAMPLING),
]
InRegion = Annotated[str, typer.Option("--region", help="Of a job with named regions: which.", rich_help_panel=SPANS)]
Credential = Annotated[str, typer.Option("--credential", help="Name of the user and password in source.credentials.")]


def collect(
    stream: Annotated[
        str,
        typer.Argument(help="A job of the queue, or a video, an address or camera:N.", autocompletion=completion.jobs),
    ],
    label: Annotated[str, typer.Option("--label", help="What is to be seen: the name of the class, and its folder.")],
    at: At = None,
    from_events: FromEvents = None,
    for_s: For = None,
    output: Out = Path("collected"),
    count: Count = 50,
    apart_s: Apart = 0.5,
    longer_px: LongerPx = 640,
    fps: Fps = None,
    region: InRegion = "",
    credential: Credential = "",
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Save frames of a stream as a folder of pictures to train with, those first of which the network is least sure.

    How sure it was is told by the results of a job, where Redis has them; else it is asked now. Files that are there
    are left as they are.
    """
    end_on_sigterm()
    checked_label(label)
    if at and from_events:
        raise ConfigError("--at and --from-events: give one of them")
    spans = tuple(parse_span(text) for text in at or [])
    settings = settings_from(config, model, weights, overrides)
    wanted = Wanted(stream, spans or (Span(),), longer_px, Sampling(fps=fps), for_s, credential=credential)
    certainty: Certainty | None = None
    if _is_job(stream):
        name = folder_name(f"{stream}.job")
        wanted, certainty = _of_job(wanted, settings, stream, region, from_events)
    else:
        name = folder_name(stream)
        wanted = replace(wanted, source=located(stream))
        if from_events or region:
            raise ConfigError("--from-events and --region are of a job; name one in place of a source")
    _check(wanted)
    folder = Folder(output / label, name, count, apart_s, region)
    with _bar(json) as bar:
        task = bar.add_task("", total=None)
        forkserver()
        if certainty is None:
            certainty = by_network(_loaded(settings, bar, task))
        told = bar.update

        def on_progress(share: float, looked: int) -> None:
            told(task, description=f"{looked} frames looked at", completed=share, total=1.0)

        saved = list(_told(collecting.collect(wanted, folder, settings, certainty, on_progress), json))
    _summary(stream, wanted.spans, saved, folder, json)


def _is_job(stream: str) -> bool:
    """What is no address, no camera and no file here is the id of a job."""
    named = "/" in stream or source_kind(stream) is SourceKind.CAMERA
    return not (named or Path(stream).expanduser().exists())


def _of_job(
    wanted: Wanted, settings: Settings, job_id: str, region: str, from_events: str | None
) -> tuple[Wanted, Certainty | None]:
    """What the queue tells of a job: its source, what the network saw of it, which frames, and how sure it was."""
    with Client(settings=settings) as client:
        try:
            job = client.job(job_id)
        except JobNotFound as error:  # a mistyped file is taken for a job
            raise JobNotFound(f"no file {job_id!r} here, and {error}") from None
        check_region(job, region)
        if holds_secret(job.source):
            raise StreamtagError(
                f"{job_id}: its source, {job.source}, may hold a password, which is not told; give the source in place "
                "of the job"
            )
        sampling = wanted.sampling if wanted.sampling.chooses else job.sampling
        if job.is_live and wanted.for_s is None:
            raise ConfigError(
                f"{job_id} is live, and what it showed is gone. Say for how long to look at it from now on (--for "
                "SECONDS); the small pictures that are kept of it (view.thumbnails) are none to train with"
            )
        wanted = replace(
            wanted,
            source=job.source,
            sampling=sampling,
            region=job.regions[region],
            credential=wanted.credential or job.credential,
        )
        if job.is_live:
            return wanted, None
        if from_events:
            wanted = replace(wanted, spans=active_spans(client.events(job_id), from_events, region))
        known = by_results(result for result in client.results(job_id) if result.region == region)
        return (wanted, None) if known is None else (at_rate_of(wanted, known.step_s), known.certainty)


def _check(wanted: Wanted) -> None:
    """See before the work that the source is one whose frames can be had."""
    kind, shown = source_kind(wanted.source), shown_source(wanted.source)
    path = Path(path_of(wanted.source))
    if kind in (SourceKind.IMAGE, SourceKind.IMAGES) or (kind is SourceKind.VIDEO and path.is_dir()):
        raise ConfigError(f"{shown}: pictures already; copy them")
    if kind is SourceKind.VIDEO and not path.exists():
        raise StreamtagError(
            f"{shown}: no such file here; run it where the file is, or name a copy in place of the job"
        )
    if is_live(wanted.source) and wanted.for_s is None:
        raise ConfigError(f"{shown} has no end: say for how long to look at it (--for SECONDS)")
    if kind is SourceKind.VIDEO and wanted.for_s is not None:
        raise ConfigError("--for is for live sources; of a file name the part (--at FROM-TO)")
    if wanted.for_s is not None and wanted.spans != (Span(),):
        raise ConfigError("--for looks at what comes from now on; leave out --at and --from-events")


def _told(files: Iterator[Saved], json: bool) -> Iterator[Saved]:
    for saved in files:
        if json:
            print_json(
                {
                    "path": str(saved.path),
                    "pts_s": saved.pts_s,
                    "certainty": saved.certainty,
                    "new": saved.is_new,
                }
            )
        yield saved


def _summary(stream: str, spans: tuple[Span, ...], saved: list[Saved], folder: Folder, json: bool) -> None:
    new, other = sum(one.is_new for one in saved), sum(one.is_other for one in saved)
    missed = [str(span) for span in spans if span not in {one.span for one in saved}]
    if json:
        about = {"stream": shown_source(stream), "folder": str(folder.path), "saved": new, "kept": len(saved) - new}
        print_json(about | {"other": other, "spans_without": missed})
        return
    there = f", {len(saved) - new} were there already" if new < len(saved) else ""
    sure = sorted(one.certainty for one in saved)
    told = f"{new} pictures in {folder.path}{there}; ahead of the next class by {sure[0]:.0%} to {sure[-1]:.0%}"
    out.print(escape(printable(told)), highlight=False, soft_wrap=True)
    if other:
        text = (
            f"{other} of the files that were there are other pictures, of another source of that name or --px, and stay"
        )
        err.print(f"[yellow]note:[/] {text}; for both give another --out", soft_wrap=True)
    if missed:
        err.print(f"[yellow]note:[/] none of them is of {', '.join(missed)}", soft_wrap=True)


def _loaded(settings: Settings, bar: Progress, task: TaskID) -> loading.LoadedNetwork:
    def on_step(step: loading.LoadStep) -> None:
        bar.update(task, description=escape(str(step)), completed=step.done, total=step.total or None)

    return loading.load(settings, on_step)


def _bar(quiet: bool) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
    return progress_bar(*columns, quiet=quiet and out.is_terminal)
