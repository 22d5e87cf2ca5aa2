"""What a soak measured: series over time, their growth, a plot, and the section of ``RESULTS.md``."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import psutil
from streamtag.tools.drawing.charts import BLUE, GREY, figure, save

from tests.support.process_tree import Footprint

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build"
WARM_UP_S = 300.0  # until then buffers, pools and caches fill
MOST_GROWTH = 0.05


@dataclass(frozen=True, slots=True)
class Moment:
    """The worker that is never killed, with all below it."""

    at_s: float
    processes: int
    threads: int
    descriptors: int
    memory_bytes: int
    own_memory_bytes: int  # of the worker itself, without its decoders and gates
    load: float  # of the machine

    @classmethod
    def of(cls, worker_pid: int, at_s: float) -> Moment:
        found = Footprint.of(worker_pid)
        return cls(
            round(at_s, 1),
            found.processes,
            found.threads,
            found.all_descriptors,
            found.memory_bytes,
            found.own_memory_bytes,
            psutil.getloadavg()[0],
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that must hold, and whether it does."""

    what: str
    holds: bool
    detail: str


def thirds(moments: Sequence[Moment]) -> tuple[list[Moment], list[Moment]]:
    """The first and the last third of the time after the first five minutes; of a short soak, after a quarter."""
    end_s = moments[-1].at_s
    begin_s = min(WARM_UP_S, end_s / 4)
    third_s = (end_s - begin_s) / 3
    first = [moment for moment in moments if begin_s <= moment.at_s < begin_s + third_s]
    return first, [moment for moment in moments if moment.at_s >= end_s - third_s]


def growth(moments: Sequence[Moment], name: str) -> float:
    """How much more the last third has than the first.

    Like is compared with like: decoders come and go with their cameras, so only moments with the same number of
    processes are compared with one another. In a short soak there may be none; then all are.
    """
    first, last = thirds(moments)
    grown = weights = 0.0
    for count in {moment.processes for moment in first} & {moment.processes for moment in last}:
        before, after = ([getattr(one, name) for one in part if one.processes == count] for part in (first, last))
        weight = min(len(before), len(after))
        grown += weight * fmean(after) / fmean(before)
        weights += weight
    return grown / weights - 1.0 if weights else mean_growth(moments, name)


def mean_growth(moments: Sequence[Moment], name: str) -> float:
    """The same by the means of all moments."""
    before, after = ([getattr(one, name) for one in part] for part in thirds(moments))
    return fmean(after) / fmean(before) - 1.0


def growth_verdicts(moments: Sequence[Moment]) -> list[Verdict]:
    """Nothing grows by more than is allowed."""
    grown = {
        "Memory of the worker itself": growth(moments, "own_memory_bytes"),
        "Memory with its decoders and gates": growth(moments, "memory_bytes"),
        "Descriptors": growth(moments, "descriptors"),
        "Threads": growth(moments, "threads"),
        "Processes": mean_growth(moments, "processes"),
    }
    return [
        Verdict(f"{what}: growth of at most 5 % after the first 5 minutes", value <= MOST_GROWTH, f"{value:+.1%}")
        for what, value in grown.items()
    ]


def write_report(
    duration_s: float, engine: str, moments: Sequence[Moment], did: Counter[str], verdicts: Sequence[Verdict]
) -> int:
    """Write all of it.

    Returns:
        The exit code: 1 where something does not hold.
    """
    found = [*verdicts, *growth_verdicts(moments)]
    BUILD.mkdir(exist_ok=True)
    measured = [asdict(moment) for moment in moments]
    series = {"seconds": duration_s, "engine": engine, "did": dict(did), "moments": measured}
    (BUILD / "soak.json").write_text(json.dumps(series | {"verdicts": [asdict(one) for one in found]}, indent=1))
    draw(moments, HERE / "soak.png")
    section = _section(duration_s, engine, moments, did, found)
    results = HERE / "RESULTS.md"
    text = results.read_text(encoding="utf-8") if results.exists() else "# Faults: what was measured\n\n## Soak\n"
    results.write_text(re.sub(r"## Soak\n.*?(?=\n## |\Z)", lambda _: section, text, flags=re.S), encoding="utf-8")
    for one in found:
        sys.stdout.write(f"{'holds' if one.holds else 'BROKEN'}  {one.what}: {one.detail}\n")
    return 0 if all(one.holds for one in found) else 1


def draw(moments: Sequence[Moment], path: Path) -> None:
    """Memory, descriptors and processes over time."""
    minutes = [moment.at_s / 60 for moment in moments]
    rows = [
        ("Memory (MB)", [moment.memory_bytes / 1e6 for moment in moments]),
        ("Descriptors", [float(moment.descriptors) for moment in moments]),
        ("Processes", [float(moment.processes) for moment in moments]),
    ]
    with figure("", 8, 6) as drawn:
        for axis, (name, values) in zip(drawn.subplots(len(rows), 1, sharex=True), rows, strict=True):
            axis.plot(minutes, values, color=BLUE, linewidth=1.2, label="worker with decoders and gates")
            axis.set_ylabel(name)
            axis.set_ylim(bottom=0, top=max(values) * 1.15)
            if name.startswith("Memory"):
                own = [moment.own_memory_bytes / 1e6 for moment in moments]
                axis.plot(minutes, own, color=GREY, linewidth=1.2, label="the worker itself")
                axis.legend(loc="center right", frameon=False)
        axis.set_xlabel("Minutes")
        save(drawn, path)


def _section(
    duration_s: float, engine: str, moments: Sequence[Moment], did: Counter[str], found: Sequence[Verdict]
) -> str:
    rows = "\n".join(f"| {one.what} | {'yes' if one.holds else '**no**'} | {one.detail} |" for one in found)
    load = [moment.load for moment in moments]
    lines = [
        "## Soak",
        "",
        f"`make soak SOAK_S={duration_s:.0f}` on {_machine()}; engine `{engine}`; load of the "
        f"machine {min(load):.1f} to {max(load):.1f}, other work included.",
        "",
        f"8 cameras that went away {did['cameras gone']} times (killed or stopped, for 2 to 12 s) and whose jobs were "
        f"cancelled and submitted anew {did['cameras submitted anew']} times; {did['files']} files; a worker killed "
        f"{did['workers killed']} times, {did['of these with jobs']} times while it had jobs; Redis killed and "
        f"restarted {did['Redis restarts']} times. Seed {did['seed']}. Measured is the worker that was never killed, "
        f"{len(moments)} times; like is compared with like, that is moments with the same number of processes, of the "
        "first and the last third after the first 5 minutes.",
        "",
        "| What must hold | holds | found |",
        "|---|---|---|",
        rows,
        "",
        "![Memory, descriptors and processes over time](soak.png)",
        "",
    ]
    return "\n".join(lines)


def _machine() -> str:
    """The machine in words, without a name of it."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "an unknown processor",
    )
    return f"{psutil.cpu_count()} cores of {model} with {psutil.virtual_memory().total / 1e9:.0f} GB"
