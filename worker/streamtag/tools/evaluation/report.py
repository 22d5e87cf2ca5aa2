"""The report of an evaluation: one HTML file with everything in it, that asks the network for nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np

from streamtag.errors import StreamtagError
from streamtag.tools.drawing import charts
from streamtag.tools.evaluation import comparison
from streamtag.tools.evaluation.comparison import Evaluated
from streamtag.tools.evaluation.measures import Measures
from streamtag.tools.evaluation.pictures import GALLERY, Findings
from streamtag.tools.evaluation.validation import GRID

MATRIX_CLASSES = 30  # above, the most confused pairs are listed in place of a matrix
PANELS = 12  # classes with curves of their own


def write_html(path: Path, title: str, origin: str, one: Evaluated, labels: Sequence[str]) -> None:
    """One file that a browser shows without a network.

    Raises:
        StreamtagError: the file cannot be written.
    """
    measures, findings = one.measures, one.findings
    matrix = len(measures.confusion_labels) <= MATRIX_CLASSES
    plots = [
        ("Reliability", "How often the best label is right, for each score it has.", _reliability(measures)),
        (
            "Scores by true class",
            "Pictures for each score, on a logarithmic scale.",
            _histograms(measures, findings, labels),
        ),
    ]
    if matrix:
        plots.insert(0, ("Confusion", "Rows are the truth, columns what was predicted.", _confusion(measures)))
    if measures.sweeps:
        plots.append(("Thresholds", "What each threshold on a class's score would do.", _sweeps(measures)))
    _write(
        path,
        "report.html.j2",
        title=title,
        origin=origin,
        measures=measures,
        level=one.level,
        choice=one.choice,
        plots=[(name, text, _uri(image, "png")) for name, text, image in plots],
        pairs=[] if matrix else _pairs(measures),
        gallery=[(mistake, _uri(_jpeg(mistake.picture), "jpeg")) for mistake in findings.mistakes],
        mistakes=int((findings.scores.argmax(axis=1) != findings.truth).sum()),
        unreadable=findings.unreadable,
    )


def write_comparison(path: Path, origin: str, evaluated: Sequence[Evaluated], labels: Sequence[Sequence[str]]) -> None:
    """Several networks in one file.

    Args:
        labels: of each network.

    Raises:
        StreamtagError: the file cannot be written.
    """
    _write(
        path,
        "comparison.html.j2",
        origin=origin,
        names=[one.name for one in evaluated],
        rows=comparison.rows(evaluated),
        pairs=comparison.pairs(evaluated),
        plots=[(one.name, _uri(_reliability(one.measures), "png")) for one in evaluated],
        disagreements=comparison.disagreements(evaluated, labels, GALLERY),
    )


def _write(path: Path, template: str, **content: Any) -> None:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    text = files("streamtag.tools.evaluation").joinpath(template).read_text("utf-8")
    written = environment.from_string(text).render(**content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written, encoding="utf-8", errors="replace")  # names of bytes that are no text
    except OSError as error:
        raise StreamtagError(f"{path}: cannot be written: {error.strerror}") from None


def _pairs(measures: Measures) -> list[tuple[str, str, int]]:
    wrong = measures.confusion * (1 - np.eye(len(measures.confusion), dtype=int))
    rows = np.argsort(-wrong, axis=None, kind="stable")[:30]
    places = [np.unravel_index(row, wrong.shape) for row in rows]
    names = measures.confusion_labels
    return [(names[a], names[b], int(wrong[a, b])) for a, b in places if wrong[a, b] > 0]


def _confusion(measures: Measures) -> bytes:
    names, matrix = measures.confusion_labels, measures.confusion
    side = 1.8 + 0.5 * len(names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    with charts.figure("".join(names), side + 1, side) as drawn:
        axis = drawn.subplots()
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axis.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set_xlabel("predicted")
        axis.set_ylabel("truth")
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=8, color=colour)
        return charts.png(drawn)


def _reliability(measures: Measures) -> bytes:
    with charts.figure("", 9, 3.6) as drawn:
        for axis, one, name in zip(
            drawn.subplots(1, 2, sharey=True),
            (measures.before, measures.after),
            ("as it is", "at temperatures fitted to others"),
            strict=True,
        ):
            some = one.counts > 0
            axis.plot([0, 1], [0, 1], color=charts.GREY, linestyle=":")
            sizes = 15 + 150 * one.counts[some] / max(1, one.counts.max())
            axis.scatter(one.confidence[some], one.accuracy[some], s=sizes, color=charts.BLUE, alpha=0.8)
            axis.plot(one.confidence[some], one.accuracy[some], color=charts.BLUE, linewidth=1)
            axis.set_title(
                f"{name}: T = {one.temperature:.2f}, calibration error {one.ece.value:.3f} ± {one.ece.half:.3f}",
                fontsize=9,
            )
            axis.set_xlabel("best score")
            axis.set_xlim(0, 1.02)
            axis.set_ylim(0, 1.05)
        drawn.axes[0].set_ylabel("share that is right")
        return charts.png(drawn)


def _histograms(measures: Measures, findings: Findings, labels: Sequence[str]) -> bytes:
    """Of each class's score: the pictures that are of it, and the others. Of many classes: the best score."""
    panels: list[tuple[str, tuple[str, str], np.ndarray, np.ndarray]] = []
    if len(measures.classes) <= PANELS:
        for one in sorted(measures.classes, key=lambda one: -one.support):
            number = list(labels).index(one.label)
            of_it = findings.truth == number
            scores = findings.scores[:, number]
            panels.append((f"score of {one.label}", ("of this class", "others"), scores[of_it], scores[~of_it]))
    else:
        best, right = findings.scores.max(axis=1), findings.scores.argmax(axis=1) == findings.truth
        panels.append(("best score", ("right", "wrong"), best[right], best[~right]))
    rows = -(-len(panels) // 3)
    edges = np.linspace(0, 1, 26)
    with charts.figure("".join(title for title, _, _, _ in panels), 10, 2.6 * rows) as drawn:
        for axis, (title, names, first, second) in zip(_axes(drawn, len(panels)), panels, strict=True):
            axis.hist([first, second], edges, color=[charts.BLUE, charts.GREY], label=names, log=True)
            axis.yaxis.set_major_formatter("{x:.0f}")
            axis.yaxis.set_minor_formatter("")
            axis.set_title(title, fontsize=9)
            axis.legend(fontsize=7, frameon=False)
        return charts.png(drawn)


def _axes(drawn: Any, count: int) -> list[Any]:
    """So many axes in rows of three; the rest of the last row stays empty."""
    axes = list(drawn.subplots(-(-count // 3), 3, squeeze=False).ravel())
    for axis in axes[count:]:
        axis.set_axis_off()
    return axes[:count]


def _sweeps(measures: Measures) -> bytes:
    shown = sorted(measures.sweeps, key=lambda one: -one.support)[:PANELS]
    rows = -(-len(shown) // 3)
    with charts.figure("".join(one.label for one in shown), 10, 2.6 * rows) as drawn:
        axes = _axes(drawn, len(shown))
        for axis, one in zip(axes, shown, strict=True):
            axis.plot(GRID, one.precision, color=charts.BLUE, label="precision")
            axis.plot(GRID, one.recall, color=charts.ORANGE, label="recall")
            axis.plot(GRID, one.false_alarms, color=charts.GREY, label="false alarms")
            axis.axvline(one.equal_error_threshold.value, color="black", linestyle=":", linewidth=1)
            axis.set_title(f"{one.label}: equal errors at {one.equal_error_threshold.value:.2f}", fontsize=9)
            axis.set_ylim(-0.02, 1.05)
        axes[0].legend(fontsize=8, frameon=False)
        return charts.png(drawn)


def _jpeg(picture: np.ndarray) -> bytes:
    """What the network saw, before normalisation: the colours are the picture's own."""
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def _uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
