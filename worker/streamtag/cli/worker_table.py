"""The workers of a queue as a table."""

from __future__ import annotations

import time

from streamtag.cli import views
from streamtag.cli.common import print_json
from streamtag.cli.tables import Column, Grid
from streamtag.core.records import WorkerView
from streamtag.core.sharing import Supply

_COLUMNS = (
    Column("worker", gives=True),
    Column("jobs", right=True),
    Column("streams", right=True, rank=5),
    Column("samples/s", right=True, rank=1),
    Column("asked", right=True, rank=3),
    Column("supply", right=True, rank=4),
    Column("busy", right=True, rank=6),
    Column("lag", right=True, rank=7),
    Column("state", rank=2),
    Column("engine", rank=8),
    Column("up", right=True, rank=9),
    Column("version", rank=11),
    Column("host", rank=10),
)


def print_workers(workers: list[WorkerView], json: bool) -> None:
    """Print them, busy and idle ones."""
    if json:
        for worker in workers:
            print_json(worker.to_dict())
        return
    grid = Grid(*_COLUMNS, title=views.counted(len(workers), "worker"))
    now_unix_s = time.time()
    for worker in workers:
        grid.row(
            worker.worker,
            f"{worker.running} of {worker.slots}",
            str(worker.streams),
            f"{worker.samples_per_s:.1f}",
            f"{worker.asked:.1f}",
            f"{worker.supply:.0f}" if worker.supply >= 10 else f"{worker.supply:.1f}",
            f"{worker.busy:.0%}",
            f"{worker.lag_s:.1f} s" if worker.streams else "",
            _doing(worker),
            worker.engine,
            views.age(worker.started_unix_s, now_unix_s),
            worker.version,
            worker.host,
        )
    grid.print()


def _doing(worker: WorkerView) -> str:
    if worker.draining:
        return "leaving"
    if worker.short_of_memory:
        return "waits for memory"
    if worker.drop_share > Supply.DROPS:
        return f"drops {worker.drop_share:.0%}"
    return f"gives {len(worker.offers)} away" if worker.offers else ""
