"""Samples as a table of comma-separated values: a row for each sample and label."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TextIO

import numpy as np

HEADING = ("pts_s", "label", "score", "smoothed", "active")


class SampleTable:
    """Writes rows as the samples come.

    Args:
        labels: names of the classes, then of the groups.
        classes: how many of them are classes.
        top: classes of each sample, by smoothed score; what is active comes in any case.
        regions: whether samples have names of regions, for a column of their own.
    """

    def __init__(self, file: TextIO, labels: Sequence[str], classes: int, top: int, regions: bool = False) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._labels = labels
        self._classes = classes
        self._top = top
        self._regions = regions
        self._writer.writerow((*self._where("path", "region"), *HEADING))

    def add(
        self,
        path: str,
        pts_s: float,
        scores: np.ndarray,
        smoothed: np.ndarray,
        active: Sequence[int] = (),
        region: str = "",
    ) -> None:
        """Write one sample: scores and smoothed scores, (outputs,) each, and the outputs that are active by then."""
        best = np.argsort(-smoothed[: self._classes], kind="stable")[: self._top].tolist()
        for class_id in [*best, *(extra for extra in active if extra not in best)]:
            values = (f"{scores[class_id]:.6f}", f"{smoothed[class_id]:.6f}", int(class_id in active))
            self._writer.writerow((*self._where(path, region), f"{pts_s:.6f}", self._labels[class_id], *values))
        self._file.flush()

    def _where(self, path: str, region: str) -> tuple[str, ...]:
        return (path, region) if self._regions else (path,)
