"""The figures of an evaluation as plain data. Beside a figure NAME stands NAME_95, the ends of its interval."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from streamtag.tools.evaluation.comparison import Evaluated
from streamtag.tools.evaluation.intervals import Figure
from streamtag.tools.evaluation.measures import Calibration, Sweep
from streamtag.tools.evaluation.validation import Held


def as_json(evaluated: Evaluated) -> dict[str, Any]:
    """Every figure as plain data."""
    measures, findings = evaluated.measures, evaluated.findings
    return {
        "samples": measures.samples,
        **figures({"accuracy": measures.accuracy, "top5": measures.top5}),
        "classes": [plain(one) for one in measures.classes],
        "confusion": {"labels": list(measures.confusion_labels), "matrix": measures.confusion.tolist()},
        "calibration": {
            "before": _calibration(measures.before),
            "after": _calibration(measures.after) | figures({"temperature": measures.temperature}),
        },
        "thresholds": [_threshold(one) for one in measures.sweeps],
        "level": _level(evaluated),
        "mistakes": [
            {
                "path": one.path,
                "pts_s": one.pts_s,
                "truth": one.truth,
                "predicted": one.predicted,
                "score": round(one.score, 6),
                "true_score": round(one.true_score, 6),
            }
            for one in findings.mistakes
        ],
        "unreadable": [{"path": path, "reason": reason} for path, reason in findings.unreadable],
    }


def figures(named: dict[str, Figure]) -> dict[str, Any]:
    """Each figure and its interval."""
    content: dict[str, Any] = {}
    for name, figure in named.items():
        content[name] = figure.value
        content[f"{name}_95"] = [figure.low, figure.high]
    return content


def plain(record: Any) -> dict[str, Any]:
    """A record, its figures with their intervals."""
    content: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        content |= figures({field.name: value}) if isinstance(value, Figure) else {field.name: value}
    return content


def _threshold(one: Sweep) -> dict[str, Any]:
    return {
        "label": one.label,
        "support": one.support,
        **figures({"equal_error_threshold": one.equal_error_threshold}),
        "equal_error_held_out": _held(one.equal_held),
        **(figures({"wanted_precision": one.wanted}) if one.wanted else {"wanted_precision": None}),
        "wanted_precision_held_out": _held(one.wanted_held),
    }


def _held(one: Held | None) -> dict[str, Any] | None:
    return plain(one) if one else None


def _level(one: Evaluated) -> dict[str, Any] | None:
    return plain(one.level) | {"choice": plain(one.choice) if one.choice else None} if one.level else None


def _calibration(one: Calibration) -> dict[str, Any]:
    return {"temperature": one.temperature} | figures({"log_loss": one.log_loss, "ece": one.ece})
