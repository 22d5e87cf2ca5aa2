"""What the shell may complete: names of networks and ids of jobs. Quick or silent: somebody is typing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from streamtag.client import Client
from streamtag.configuration import load, parse_override
from streamtag.core.records import JobStatus
from streamtag.errors import StreamtagError

LIMIT_S = 0.5  # for Redis to connect and for each of its answers


def networks(incomplete: str) -> list[str]:
    """Networks that can be named; folders of bundles are completed by nobody."""
    from streamtag.networks.registry import NAMES  # noqa: PLC0415 - all commands import this file, few need networks

    return [name for name in NAMES if name.startswith(incomplete)]


def jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Jobs of the queue that the line names so far."""
    return _ids(ctx, incomplete, lambda client: [view.job_id for view in client.jobs()])


def jobs_to_cancel(ctx: typer.Context, incomplete: str) -> list[str]:
    """Jobs that are not over."""
    return _ids(ctx, incomplete, _not_over)


def dead_letters(ctx: typer.Context, incomplete: str) -> list[str]:
    """Jobs among the dead letters."""
    return _ids(ctx, incomplete, lambda client: [letter.job_id for letter in client.dead_letters()])


def _not_over(client: Client) -> list[str]:
    return [view.job_id for view in client.jobs() if view.status in (JobStatus.QUEUED, JobStatus.RUNNING)]


def _ids(ctx: typer.Context, incomplete: str, ask: Callable[[Client], list[str]]) -> list[str]:
    given: dict[str, Any] = ctx.params
    try:
        values = dict(parse_override(text) for text in given.get("overrides") or [])
        values |= {"model.name": given["model"]} if given.get("model") else {}
        settings, _ = load(given.get("config"), values | {"redis.timeout_s": LIMIT_S})
        with Client(settings=settings) as client:
            return [job_id for job_id in ask(client) if job_id.startswith(incomplete)]
    except StreamtagError:
        return []  # an error would be printed into the line that is being typed
