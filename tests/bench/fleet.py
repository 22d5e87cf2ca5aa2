"""Ten thousand jobs and five hundred workers: are claims balanced, does a job starve, what costs the loss of a third?

``python -m tests.bench.fleet``; its outcome is in ``RESULTS.md``, what it means in ``docs/scale.md``. Each shard is a
process with a Redis of its own. What else a fleet asks of Redis is measured beside it (``redis_costs.py``).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import psutil
from streamtag import logs
from streamtag.settings import LogSettings, Settings

from tests.bench.redis_costs import commit_cost, hearing_cost
from tests.support import RedisServer, redis_binaries, settings_for
from tests.support.simulated_shard import Commands, Shard

REST_S = 10.0
HEARD, STREAMS, COMMITS = (25, 50, 125, 500), (1, 16, 64), 6400


@dataclass(frozen=True)
class Outcome:
    """What a shard went through."""

    loads: list[int]  # jobs of each worker once all run
    claimed_s: float  # from the first submit until all run
    waited_s: list[float]  # of each job, from its submit until a worker had it
    at_rest: Commands
    left: int  # jobs that killed workers left
    taken_again_s: list[float]  # of each of those, since the kill
    after_kill: Commands
    busiest: Commands  # its busiest second
    loads_after: list[int]

    @property
    def asked_again(self) -> float:
        """Commands for each job that was taken again, beside what is asked at rest."""
        spent = sum(self.after_kill.calls.values()) - self.at_rest.per_s * self.after_kill.seconds
        return max(0.0, spent) / max(1, self.left)


def run_shard(jobs: int, workers: int, lease_s: float, limit_s: float, rest_s: float = REST_S) -> Outcome:
    """Fill a shard, let it rest, kill a third of its workers, and wait until all jobs run again."""
    logs.configure(LogSettings(level="error"))
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(redis_binaries()[0], Path(folder), "--appendonly", "no") as server,
        Shard(settings_for(server, **_lease(lease_s)), workers) as shard,
    ):
        return _go_through(shard, jobs, workers // 3, limit_s, rest_s)


def _lease(seconds: float) -> dict[str, object]:
    """A lease of other seconds with the usual proportions."""
    usual = Settings().lease
    factor = seconds / usual.seconds
    return {
        "lease__seconds": seconds,
        "lease__renew_s": usual.renew_s * factor,
        "lease__stop_after_s": usual.stop_after_s * factor,
    }


def _go_through(shard: Shard, jobs: int, killed: int, limit_s: float, rest_s: float) -> Outcome:
    began_s = time.monotonic()
    shard.submit(jobs)
    shard.wait_until_all_run(jobs, limit_s)
    claimed_s = time.monotonic() - began_s
    waited_s = [one.at_s - shard.submitted_s[one.job_id] for one in shard.taken]
    loads = shard.loads()
    shard.gauge.since()
    time.sleep(rest_s)
    at_rest = shard.gauge.since()
    first = len(shard.taken)
    left = shard.kill(killed)
    killed_s = time.monotonic()
    total, busiest = Commands(), Commands()
    while shard.running < jobs:
        assert time.monotonic() - killed_s < limit_s, f"{shard.running} of {jobs} jobs run"
        time.sleep(1.0)
        passed = shard.gauge.since()
        busiest = max(busiest, passed, key=lambda one: one.per_s)
        total = Commands(total.calls + passed.calls, total.cpu_s + passed.cpu_s, total.seconds + passed.seconds)
    again = [one.at_s - killed_s for one in shard.taken[first:] if one.job_id in left]
    return Outcome(loads, claimed_s, waited_s, at_rest, len(left), again, total, busiest, shard.loads())


def rows(outcomes: list[Outcome], lease_s: float) -> Iterator[tuple[str, str]]:
    """What became of all shards."""
    loads = [load for one in outcomes for load in one.loads]
    after = [load for one in outcomes for load in one.loads_after]
    waited = [waited_s for one in outcomes for waited_s in one.waited_s]
    again = [again_s for one in outcomes for again_s in one.taken_again_s]
    yield "jobs, workers, shards", f"{sum(loads)}, {len(loads)}, {len(outcomes)}"
    yield "all jobs run after", f"{max(one.claimed_s for one in outcomes):.0f} s (the slowest shard)"
    yield "a job waited", f"{statistics.median(waited):.2f} s (median), {max(waited):.2f} s at most"
    yield "jobs of a worker", f"{min(loads)} to {max(loads)}, deviation {statistics.pstdev(loads):.1f}"
    yield "at rest, of a shard", _range("commands/s", [one.at_rest.per_s for one in outcomes])
    yield "", _range("% of a core of Redis", [100 * one.at_rest.cpu_s / one.at_rest.seconds for one in outcomes])
    yield "", _most(outcomes[0].at_rest)
    yield (
        f"a third killed, lease {lease_s:.0f} s",
        f"{len(again)} jobs, taken {min(again):.1f} to {max(again):.1f} s later",
    )
    yield "commands for each of them beside those at rest", _range("", [one.asked_again for one in outcomes])
    yield "busiest second of a shard", _range("commands", [one.busiest.per_s for one in outcomes])
    yield "", _most(outcomes[0].busiest)
    yield "jobs of a worker then", f"{min(after)} to {max(after)}"


def cost_rows() -> Iterator[tuple[str, str]]:
    """What the rest of a fleet's doings costs Redis."""
    for workers in HEARD:
        of_redis, own = hearing_cost(workers)
        yield f"{workers} workers hear each other", f"{of_redis:.1%} of a core of Redis, {own:.1%} of each worker"
    for streams in STREAMS:
        cpu_us, kept = commit_cost(streams, COMMITS // streams)
        yield f"a sample of {streams} streams at once", f"{cpu_us:.0f} µs of Redis (CPU), {kept:.0f} bytes kept"


def _range(unit: str, values: list[float]) -> str:
    least, most = f"{min(values):.0f}", f"{max(values):.0f}"
    return f"{least if least == most else f'{least} to {most}'} {unit}".strip()


def _most(commands: Commands) -> str:
    return ", ".join(f"{name} {count / commands.seconds:.0f}/s" for name, count in commands.calls.most_common(6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--shards", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=1, help="shards; they share nothing, so they may take turns")
    parser.add_argument("--lease", type=float, default=30.0, help="seconds")
    parser.add_argument("--costs", action="store_true", help="only what single doings cost")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each step")
    asked = parser.parse_args()
    _write(f"Load of this machine at the start: {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores.\n\n")
    _write("| fleet | measured |\n|---|---|\n")
    found = [] if asked.costs else list(rows(_run(asked), asked.lease))
    for what, measured in [*found, *cost_rows()]:
        _write(f"| {what} | {measured} |\n")
    _write(f"\nLoad at the end: {psutil.getloadavg()[0]:.1f}.\n")


def _run(asked: argparse.Namespace) -> list[Outcome]:
    each = (asked.jobs // asked.shards, asked.workers // asked.shards, asked.lease, asked.limit)
    # A process each, and a new one: what a thread of an earlier shard left would be counted.
    with ProcessPoolExecutor(asked.at_once, get_context("spawn"), max_tasks_per_child=1) as pool:
        running = [pool.submit(run_shard, *each) for _ in range(asked.shards)]
        return [one.result() for one in running]


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
