"""Redis's memory as ``status`` shows it, with a warning before it is full."""

from __future__ import annotations

from rich.text import Text

from streamtag.cli.common import err, out, print_json
from streamtag.cli.tables import Column, Grid
from streamtag.client import Client
from streamtag.queue.memory import ALERT, REMEDY, RedisMemory, size


def print_memory(client: Client, json: bool) -> None:
    """How full Redis is, and what of it the queue's jobs, results and events take."""
    memory, holdings = client.memory(), client.holdings()
    if json:
        holds = {one.kind.replace(" ", "_"): {"keys": one.keys, "bytes": one.bytes} for one in holdings}
        limits = {"memory_share": client.settings.redis.memory_share, "warning": _warning(client, memory)}
        print_json(memory.to_dict() | limits | {"holds": holds})
        return
    grid = Grid("this queue", Column("keys", right=True), Column("takes", right=True), title=str(memory))
    for one in holdings:
        grid.row(one.kind, str(one.keys), size(one.bytes))
    grid.row("all else there", "", size(max(0, memory.used_bytes - sum(one.bytes for one in holdings))))
    grid.print()
    warn(client, memory)


def print_line(memory: RedisMemory) -> None:
    """How full it is, in one line."""
    out.print(Text(f"{memory}; status --memory shows of what"), soft_wrap=True)


def warn(client: Client, memory: RedisMemory) -> None:
    """Say on standard error that it is nearly full, where it is: standard output belongs to the jobs."""
    if text := _warning(client, memory):
        err.print(Text.assemble(("warning: ", "bold yellow"), text), soft_wrap=True)


def _warning(client: Client, memory: RedisMemory) -> str:
    share = client.settings.redis.memory_share
    if memory.is_above(share):
        return f"{memory}: above {share:.0%} no new jobs are taken (redis.memory_share); {REMEDY}"
    if memory.is_above(ALERT * share):
        return f"{memory}; above {share:.0%} no new jobs will be taken (redis.memory_share): {REMEDY}"
    return ""
