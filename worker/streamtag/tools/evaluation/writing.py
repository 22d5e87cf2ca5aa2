"""What an evaluation fits, put into a bundle; or why it is not."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from streamtag.networks.bundle_file import BundleFile, read_bundle_file, write_bundle_file
from streamtag.tools.evaluation.level_choice import LevelChoice, refusal
from streamtag.tools.evaluation.measures import ENOUGH, Measures, Sweep

GOOD_PER_CLASS = 30  # samples, below which there is a warning
MOST_NAMED = 5  # classes in a sentence

Fitted = Literal["temperature", "thresholds", "thresholds-precision", "level", "unknown"]  # the last by ``unknown_fit``


@dataclass(slots=True)
class Written:
    """What went into a bundle and what did not."""

    entries: dict[str, Any] = field(default_factory=dict)  # of bundle.json
    refused: dict[str, str] = field(default_factory=dict)  # what was asked for to why it is not there
    labels_left_out: dict[str, str] = field(default_factory=dict)  # label without a threshold to the reason
    remarks: list[str] = field(default_factory=list)


def doubts(measures: Measures, labels: Sequence[str]) -> list[str]:
    """Why fitted figures are not to be trusted; none where they are.

    Args:
        labels: of the classes that there should be samples of.
    """
    found = []
    if few := _fewer_than(GOOD_PER_CLASS, measures):
        found.append(
            f"{measures.samples} samples of {len(measures.classes)} classes are few ({_some(few)}): the fitted "
            f"temperature and thresholds may be far off ({GOOD_PER_CLASS} of each class are good)"
        )
    there = {one.label for one in measures.classes}
    if none := [label for label in labels if label not in there]:
        found.append(
            f"{len(none)} of {len(labels)} classes have no sample ({_some(none)}): what is fitted says nothing of them"
        )
    return found


def _fewer_than(count: int, measures: Measures) -> list[str]:
    few = sorted((one for one in measures.classes if one.support < count), key=lambda one: one.support)
    return [f"{one.label} {one.support}" for one in few]


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def write_fitted(folder: Path, measures: Measures, chosen: Set[Fitted], exit_share: float) -> Written:
    """Put temperature and thresholds into ``bundle.json``; of what else was chosen others take care.

    Args:
        chosen: what to write.
        exit_share: the exit threshold of a label, as a share of its enter threshold.

    Raises:
        StreamtagError: the bundle cannot be read or written.
    """
    file, written = read_bundle_file(folder), Written()
    fitted = measures.after.temperature
    if "temperature" in chosen:
        # One class of few weighs little in a temperature of all, and is the one that it would be wrong for.
        if few := _fewer_than(ENOUGH, measures):
            written.refused["temperature"] = (
                f"too few samples to fit to ({_some(few)}); give at least {ENOUGH} of each class, or leave out a class"
            )
        else:
            written.entries["temperature"] = fitted
    thresholds = sorted(chosen - {"temperature", "level"})
    if thresholds and "temperature" not in written.entries and abs(file.temperature - fitted) > 1e-6:
        because = "which is refused" if written.refused else "write temperature too"
        written.refused[thresholds[0]] = f"thresholds hold for the fitted temperature; {because}"
    elif thresholds:
        _add_thresholds(file, measures, thresholds[0], exit_share, written)
    elif file.thresholds and abs(file.temperature - written.entries.get("temperature", file.temperature)) > 1e-6:
        written.labels_left_out = dict.fromkeys(
            file.thresholds, f"its threshold stays, but was chosen at temperature {file.temperature:g}"
        )
    if written.entries:
        write_bundle_file(folder, file.model_copy(update=written.entries))
        if file.exact is not None and "level" not in chosen:
            written.remarks.append(
                f"exact {file.exact:g} stays, but was chosen before this was written; write level too"
            )
    return written


def write_level(folder: Path, choice: LevelChoice | None, written: Written) -> None:
    """Put into ``bundle.json`` how sure a label must be to be told in place of its group, and note it.

    Args:
        choice: made at the temperature and with the thresholds that are there by now.

    Raises:
        StreamtagError: the bundle cannot be read or written.
    """
    if choice is None or choice.exact is None or refusal(choice):
        written.refused["level"] = refusal(choice)
        return
    written.entries["exact"] = choice.exact.value
    write_bundle_file(folder, read_bundle_file(folder).model_copy(update={"exact": choice.exact.value}))


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
        return sweep.equal_error_threshold.value, ""
    return sweep.wanted.value if sweep.wanted else None, "no threshold has the wanted precision"
