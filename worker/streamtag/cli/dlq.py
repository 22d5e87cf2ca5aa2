"""``streamtag dlq``: jobs that ended as dead letters."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from streamtag.cli import completion, views
from streamtag.cli.common import (
    FAILED,
    Config,
    Json,
    Model,
    Overrides,
    complain,
    examples,
    out,
    print_json,
    settings_from,
)
from streamtag.cli.tables import Column, Grid
from streamtag.client import Client, DeadLetter
from streamtag.errors import ConfigError, QueueUnavailable, StreamtagError
from streamtag.redaction import printable, without_name

app = typer.Typer(no_args_is_help=True, help="Jobs that could not succeed: list them, try them again, drop them.")

Ids = Annotated[list[str] | None, typer.Argument(help="Job ids or letter ids.", autocompletion=completion.dead_letters)]
All = Annotated[bool, typer.Option("--all", help="All of them.")]

COLUMNS = (
    Column("job", gives=True),
    Column("age", right=True, rank=2),
    Column("tries", right=True, rank=3),
    Column("source", gives=True, rank=1),
    Column("reason", wraps=True),
)


@app.command("list", epilog=examples("dlq list # with reasons", "dlq list --json | jq .job_id # for scripts"))
def list_(config: Config = None, model: Model = None, json: Json = False, overrides: Overrides = None) -> None:
    """List the dead letters with their reasons."""
    with Client(settings=settings_from(config, model, None, overrides)) as client:
        letters = list(client.dead_letters())
    if json:
        for letter in letters:
            print_json(asdict(letter))
        return
    grid = Grid(*COLUMNS, title=views.counted(len(letters), "dead letter"))
    for letter in letters:
        age = views.duration(time.time() - letter.at_unix_s)
        grid.row(letter.job_id, age, str(letter.deliveries), letter.source, without_name(letter.reason, letter.source))
    grid.print()


@app.command(epilog=examples("dlq requeue film-1 # once its cause is gone", "dlq requeue --all # after an outage"))
def requeue(
    ids: Ids = None,
    all_: All = False,
    source: Annotated[
        str, typer.Option("--source", help="Of the one job: its source, where it held a password and was forgotten.")
    ] = "",
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Make dead letters jobs again; each goes on from where it stood."""
    if source and (all_ or len(ids or []) != 1):
        raise ConfigError("--source belongs to one dead letter: name that one")
    with Client(settings=settings_from(config, model, None, overrides)) as client:
        failed = False
        for letter in _chosen(client, ids, all_):
            try:
                client.requeue(letter, source)
            except QueueUnavailable:
                raise  # nor would it answer for the next one
            except StreamtagError as error:
                complain(error)
                failed = True
                continue
            _say(letter, "queued", json)
    if failed:
        raise typer.Exit(FAILED)


@app.command(epilog=examples("dlq drop film-1 # for good"))
def drop(
    ids: Ids = None,
    all_: All = False,
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Remove dead letters for good."""
    with Client(settings=settings_from(config, model, None, overrides)) as client:
        for letter in _chosen(client, ids, all_):
            client.drop(letter)
            _say(letter, "dropped", json)


def _chosen(client: Client, ids: list[str] | None, all_: bool) -> list[DeadLetter]:
    if bool(ids) == all_:
        raise ConfigError("name dead letters, or give --all; `streamtag dlq list` shows them")
    letters = list(client.dead_letters())
    if all_:
        return letters
    wanted = set(ids or [])
    chosen = [letter for letter in letters if wanted & {letter.id, letter.job_id}]
    missing = wanted - {name for letter in chosen for name in (letter.id, letter.job_id)}
    if missing:
        raise StreamtagError(f"no dead letter {', '.join(sorted(missing))}; `streamtag dlq list` shows those there")
    return chosen


def _say(letter: DeadLetter, status: str, json: bool) -> None:
    if json:
        print_json({"id": letter.id, "job_id": letter.job_id, "status": status})
    else:
        out.print(f"{printable(letter.job_id)}  {status}", highlight=False, markup=False, soft_wrap=True)
