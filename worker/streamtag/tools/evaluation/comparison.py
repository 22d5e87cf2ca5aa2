"""Several networks on the same pictures, side by side, and whether they differ by more than luck."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamtag.errors import ConfigError
from streamtag.tools.evaluation.intervals import Figure, differ
from streamtag.tools.evaluation.level import LevelFigures
from streamtag.tools.evaluation.level_choice import LevelChoice
from streamtag.tools.evaluation.measures import Measures
from streamtag.tools.evaluation.pictures import Findings

SURE = 0.05  # a difference that luck brings about less often than this is called one


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One network with its figures."""

    name: str
    measures: Measures
    findings: Findings
    level: LevelFigures | None
    choice: LevelChoice | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two networks, by McNemar's exact test."""

    first: str
    second: str
    only_first: int  # pictures that it alone has right
    only_second: int
    p: float

    def __str__(self) -> str:
        better = self.first if self.only_first > self.only_second else self.second
        verdict = f"{better} is better" if self.p < SURE else "no difference that could not be luck"
        return (
            f"{self.first} alone is right {self.only_first} times, {self.second} alone {self.only_second} times: "
            f"{verdict} (McNemar's exact test, p = {self.p:.3g})"
        )


def pairs(evaluated: Sequence[Evaluated]) -> list[Pair]:
    """Each network against each other.

    Raises:
        ConfigError: they did not see the same samples.
    """
    first = evaluated[0].findings
    for other in evaluated[1:]:
        if other.findings.sources != first.sources:
            raise ConfigError(
                f"{evaluated[0].name} and {other.name} did not read the same samples: {len(first.sources)} and "
                f"{len(other.findings.sources)}; leave out what cannot be read"
            )
    right = {one.name: one.findings.scores.argmax(axis=1) == one.findings.truth for one in evaluated}
    return [Pair(a, b, *differ(right[a], right[b])) for a, b in itertools.combinations(right, 2)]


def rows(evaluated: Sequence[Evaluated]) -> list[list[str]]:
    """A table for people: what is measured, then each network's figure."""
    table = [
        ["right", *(_share(one.measures.accuracy) for one in evaluated)],
        ["among the best five", *(_share(one.measures.top5) for one in evaluated)],
        ["calibration error", *(_number(one.measures.before.ece) for one in evaluated)],
        ["log loss", *(_number(one.measures.before.log_loss) for one in evaluated)],
        ["fitted temperature", *(_number(one.measures.temperature) for one in evaluated)],
    ]
    if any(one.level for one in evaluated):
        table.append(["told a label", *(_share(one.level.told) if one.level else "" for one in evaluated)])
        table.append(["of those true", *(_share(one.level.true) if one.level else "" for one in evaluated)])
        table.append(["best group true", *(_share(one.level.groups) if one.level else "" for one in evaluated)])
        table.append(["bits", *(_number(one.level.bits) if one.level else "" for one in evaluated)])
    return table


def _share(figure: Figure) -> str:
    return f"{figure.value:.1%} ± {100 * figure.half:.1f}"


def _number(figure: Figure) -> str:
    return f"{figure.value:.3f} ± {figure.half:.3f}"


def as_json(found: Sequence[Pair]) -> list[dict[str, Any]]:
    """The pairs for programs."""
    return [
        {"networks": [one.first, one.second], "only_right": [one.only_first, one.only_second], "p": one.p}
        for one in found
    ]


def disagreements(evaluated: Sequence[Evaluated], labels: Sequence[Sequence[str]], most: int) -> list[list[str]]:
    """Samples that some networks have right and others wrong: source, truth, then what each says.

    Args:
        labels: of each network.
    """
    said = [one.findings.scores.argmax(axis=1) for one in evaluated]
    right = np.stack([best == one.findings.truth for best, one in zip(said, evaluated, strict=True)])
    first = evaluated[0].findings
    rows = np.flatnonzero(right.any(axis=0) & ~right.all(axis=0))[:most]
    return [
        [first.sources[row], labels[0][first.truth[row]]]
        + [names[best[row]] for names, best in zip(labels, said, strict=True)]
        for row in rows.tolist()
    ]
