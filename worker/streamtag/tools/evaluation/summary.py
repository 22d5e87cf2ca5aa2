"""The figures of an evaluation as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from streamtag.tools.evaluation.measures import Calibration, Measures
from streamtag.tools.evaluation.pictures import Findings


def as_json(measures: Measures, findings: Findings) -> dict[str, Any]:
    """Every figure as plain data."""
    return {
        "samples": measures.samples,
        "accuracy": measures.accuracy,
        "top5": measures.top5,
        "classes": [asdict(one) for one in measures.classes],
        "confusion": {"labels": list(measures.confusion_labels), "matrix": measures.confusion.tolist()},
        "calibration": {"before": _calibration(measures.before), "after": _calibration(measures.after)},
        "thresholds": [
            {
                "label": one.label,
                "support": one.support,
                "equal_error_threshold": one.equal_error_threshold,
                "wanted_precision": one.wanted,
            }
            for one in measures.sweeps
        ],
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


def _calibration(one: Calibration) -> dict[str, float]:
    return {"temperature": one.temperature, "log_loss": one.log_loss, "ece": one.ece}
