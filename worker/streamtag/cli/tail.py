"""``streamtag tail``: a job's results, and the events of one or of all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Annotated

import typer

from streamtag.cli import completion, views
from streamtag.cli.common import Config, Json, Model, Overrides, out, print_json, settings_from
from streamtag.cli.regions import check_region
from streamtag.client import Client
from streamtag.core.records import Event, Result, StreamState
from streamtag.errors import ConfigError, JobNotFound


def tail(
    job_id: Annotated[
        str | None,
        typer.Argument(help="Job; with --events it may be left out for all jobs.", autocompletion=completion.jobs),
    ] = None,
    config: Config = None,
    model: Model = None,
    events: Annotated[bool, typer.Option("--events", "-e", help="Events instead of results.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", help="Begin with the last N results or events; default all.", min=0)
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="Those of one named region only.")] = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Print the results or the events of a job, as they come with --follow."""
    if job_id is None and not events:
        raise ConfigError("name a job, or give --events for the events of all jobs; `streamtag status` lists the jobs")
    with Client(settings=settings_from(config, model, None, overrides)) as client:
        if job_id is not None and not events:
            if region is not None:
                check_region(client.job(job_id), region)
            _tail_results(client, job_id, lines, follow, region, json)
        else:
            _tail_events(client, job_id, lines, follow, region, json)


def _tail_events(
    client: Client, job_id: str | None, lines: int | None, follow: bool, region: str | None, json: bool
) -> None:
    def fitting(after: str, follow: bool) -> Iterator[Event]:
        found = client.events(job_id, follow=follow, after=after)
        return (event for event in found if region in (None, event.content.get("region")))

    begin = fitting("0-0", follow=False)
    stored = list(islice(begin, 1)) if lines is None else list(deque(begin, max(1, lines)))
    if job_id is not None and not stored:
        client.status(job_id)  # raises where there is no such job; events outlive theirs
    last = stored[-1].id if stored else "0-0"
    more = fitting(last, follow) if follow or lines is None else iter(())
    words = _Words(client)
    for event in chain([] if lines == 0 else stored, more):
        if json:
            print_json(event.to_dict())
        else:
            out.print(views.event_line(words.of(event)), soft_wrap=True)


class _Words:
    """Events in the words of ``status``, which calls no film live; an event does not say what it is of."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told: dict[str, str] = {}  # by job, what its stream is called while it is read

    def of(self, event: Event) -> Event:
        if event.content.get("state") != StreamState.LIVE:
            return event
        if event.job_id not in self._told:
            self._told[event.job_id] = self._ask(event.job_id)
        return replace(event, content=event.content | {"state": self._told[event.job_id]})

    def _ask(self, job_id: str) -> str:
        try:
            return self._client.status(job_id).told(StreamState.LIVE)
        except JobNotFound:  # events outlive their job
            return str(StreamState.LIVE)


def _tail_results(client: Client, job_id: str, lines: int | None, follow: bool, region: str | None, json: bool) -> None:
    def show(results: Iterable[Result]) -> None:
        for result in results:
            if region not in (None, result.region):
                continue
            if json:
                print_json(result.to_dict())
            else:
                out.print(views.result_line(result), soft_wrap=True)

    regions = client.status(job_id).counters.regions  # raises where there is no such job
    after = "0-0"
    if lines is not None:
        newest = client.newest_results(job_id, max(1, lines * (regions if region else 1)))
        wanted = [result for result in newest if region in (None, result.region)]
        show(wanted[-lines:] if lines else [])
        after = newest[-1].id if newest else "0-0"
        if not follow:
            return
    show(client.results(job_id, follow=follow, after=after))
