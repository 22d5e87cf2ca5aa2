"""Results as rows: one for each label of each sample, classes before groups, and what is active in any case."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from streamtag.core.records import Result


class Row(NamedTuple):
    """One label of one sample. The names are the columns' in every table."""

    id: str  # of the result in Redis, the same in all rows of a sample
    frame: int  # its index
    pts_s: float
    region: str
    path: str
    label: str
    class_id: int | None  # None of a group
    score: float | None  # None of what is active without being among the labels that are stored
    smoothed: float | None
    active: bool
    group: bool


def rows(result: Result) -> Iterator[Row]:
    """The rows of one sample."""
    active = set(result.active)
    where = (result.id, result.index, result.pts_s, result.region, result.path)
    told = set()
    for label in result.labels:
        told.add(label.name)
        yield Row(*where, label.name, label.class_id, label.score, label.smoothed, label.name in active, False)
    for group in result.groups:
        told.add(group.name)
        yield Row(*where, group.name, None, group.score, group.smoothed, group.name in active, True)
    for name in result.active:
        if name not in told:
            yield Row(*where, name, None, None, None, True, False)
