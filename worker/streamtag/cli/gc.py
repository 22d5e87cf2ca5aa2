"""``streamtag gc``: what no job owns."""

from __future__ import annotations

from typing import Annotated

import typer

from streamtag.cli.common import FAILED, Config, Json, Model, Overrides, complain, out, print_json, settings_from
from streamtag.cli.tables import Column, Grid
from streamtag.client import Client
from streamtag.errors import QueueRefused
from streamtag.queue.memory import size
from streamtag.queue.orphans import Orphan


def gc(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove them. Without, they are only listed.")] = False,
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """List what was left behind in a queue and no job owns, and with --yes remove it.

    Results and dead letters whose job is gone, jobs whose queue entry was deleted (they end as dead letters),
    deliveries of deleted entries, names of workers that are gone. Workers may run meanwhile: what a job owns stays.
    """
    found: list[Orphan] = []
    removed, failed = 0, False
    with Client(settings=settings_from(config, model, None, overrides)) as client:
        for orphan in client.orphans():
            gone = False
            try:
                gone = yes and client.remove(orphan)
            except QueueRefused as error:
                complain(error)
                failed = True
            removed += gone
            found.append(orphan)
            if json:
                print_json(orphan.to_dict() | {"removed": gone})
    if not json:
        _print(found, removed, yes)
    if failed:
        raise typer.Exit(FAILED)


def _print(found: list[Orphan], removed: int, yes: bool) -> None:
    if not found:
        out.print("nothing that no job owns")
        return
    grid = Grid("kind", Column("name", gives=True), Column("takes", right=True, rank=1), Column("why", wraps=True))
    for orphan in found:
        grid.row(orphan.kind, orphan.name, size(orphan.bytes) if orphan.bytes else "", orphan.why)
    grid.print()
    total = f"{len(found)} found, {size(sum(orphan.bytes for orphan in found))}"
    out.print(
        f"{total}; {removed} removed" if yes else f"{total}; remove with: streamtag gc --yes",
        highlight=False,
        soft_wrap=True,
    )
