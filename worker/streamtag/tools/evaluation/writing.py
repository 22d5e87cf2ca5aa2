"""What an evaluation fits, put into a bundle; or why it is not."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from streamtag.networks.bundles import BundleFile, read_bundle_file, write_bundle_file
from streamtag.tools.evaluation.measures import ENOUGH, Measures, Sweep

LEAST_PER_CLASS = 5  # samples, on average, below which nothing is written
GOOD_PER_CLASS = 30  # below which there is a warning

Fitted = Literal["temperature", "thresholds", "thresholds-precision"]


@dataclass(slots=True)
class Written:
    """What went into a bundle and what did not."""

    entries: dict[str, Any] = field(default_factory=dict)  # of bundle.json
    refused: dict[str, str] = field(default_factory=dict)  # what was asked for to why it is not there
    labels_left_out: dict[str, str] = field(default_factory=dict)  # label without a threshold to the reason


def doubts(measures: Measures) -> str:
    """Why fitted figures are not to be trusted; empty where they are."""
    classes = len(measures.classes)
    if measures.samples >= GOOD_PER_CLASS * classes:
        return ""
    return (
        f"{measures.samples} samples of {classes} classes are few: the fitted temperature and thresholds may be far "
        f"off ({GOOD_PER_CLASS} of each class are good)"
    )


def write_fitted(folder: Path, measures: Measures, chosen: Set[Fitted], exit_share: float) -> Written:
    """Put what was fitted into ``bundle.json``.

    Args:
        chosen: what to write.
        exit_share: the exit threshold of a label, as a share of its enter threshold.

    Raises:
        StreamtagError: the bundle cannot be read or written.
    """
    file, written = read_bundle_file(folder), Written()
    classes = len(measures.classes)
    if measures.samples < LEAST_PER_CLASS * classes:
        reason = (
            f"{measures.samples} samples of {classes} classes are too few to fit to; at least {LEAST_PER_CLASS} of "
            "each class are needed"
        )
        written.refused = dict.fromkeys(sorted(chosen), reason)
        return written
    fitted = measures.after.temperature
    if "temperature" in chosen:
        written.entries["temperature"] = fitted
    thresholds = sorted(chosen - {"temperature"})
    if thresholds and "temperature" not in chosen and abs(file.temperature - fitted) > 1e-6:
        written.refused[thresholds[0]] = "thresholds hold for the fitted temperature; write temperature too"
    elif thresholds:
        _add_thresholds(file, measures, thresholds[0], exit_share, written)
    elif file.thresholds and abs(file.temperature - fitted) > 1e-6:
        written.labels_left_out = dict.fromkeys(
            file.thresholds, f"its threshold stays, but was chosen at temperature {file.temperature:g}"
        )
    if written.entries:
        write_bundle_file(folder, file.model_copy(update=written.entries))
    return written


def _add_thresholds(file: BundleFile, measures: Measures, kind: str, exit_share: float, written: Written) -> None:
    sweeps = {sweep.label: sweep for sweep in measures.sweeps}
    support = {one.label: one.support for one in measures.classes}
    pairs: dict[str, tuple[float, float]] = {}
    for label in file.labels:
        if label in file.background:
            continue
        enter, reason = _threshold(sweeps.get(label), support.get(label, 0), kind)
        if file.labels.count(label) > 1:
            enter, reason = None, "the name of more than one class"
        if enter is None:
            written.labels_left_out[label] = reason
        else:
            pairs[label] = (round(enter, 4), round(enter * exit_share, 4))
    if pairs:
        written.entries["thresholds"] = pairs
    else:
        written.refused[kind] = "no label has a threshold"


def _threshold(sweep: Sweep | None, support: int, kind: str) -> tuple[float | None, str]:
    if sweep is None:
        return None, f"{support} samples of it, or of all others; {ENOUGH} are needed"
    if kind == "thresholds":
        return sweep.equal_error_threshold, ""
    return sweep.wanted, "no threshold has the wanted precision"
