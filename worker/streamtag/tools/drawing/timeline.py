"""The labels of a video over its time, raw against smoothed, as a picture. Needs Matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from streamtag.core.segments import Segment
from streamtag.tools.drawing.charts import BLUE, GREY, ORANGE, figure, save

MAX_LABELS = 8


class Timeline:
    """Collects the samples of one video, and draws them.

    Args:
        labels: names of the classes and groups.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._times_s: list[float] = []
        self._raw: list[np.ndarray] = []  # half precision: an hour at 5 a second of 1000 classes is 36 MB each
        self._smoothed: list[np.ndarray] = []

    def add(self, pts_s: float, scores: np.ndarray, smoothed: np.ndarray) -> None:
        """Take one sample: scores and smoothed scores, (outputs,) each."""
        self._times_s.append(pts_s)
        self._raw.append(scores.astype(np.float16))
        self._smoothed.append(smoothed.astype(np.float16))

    def draw(self, segments: Sequence[Segment], title: str, path: Path) -> None:
        """Write a row for each label: dots are the raw scores, the line is smoothed, shaded is where it was active.

        Raises:
            StreamtagError: there is nothing to draw, or the file cannot be written.
        """
        raw, smoothed = np.array(self._raw, np.float32), np.array(self._smoothed, np.float32)
        shown = self._shown(segments, smoothed)
        with figure(title + "".join(self._labels[class_id] for class_id in shown), 11, 1.2 + 1.1 * len(shown)) as drawn:
            drawn.suptitle(title, fontsize=10)
            for axis, class_id in zip(
                drawn.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0], shown, strict=True
            ):
                name = self._labels[class_id]
                for segment in segments:
                    if segment.label == name:
                        axis.axvspan(segment.start_s, segment.end_s, color=ORANGE, alpha=0.18, lw=0)
                axis.plot(self._times_s, raw[:, class_id], ".", color=GREY, markersize=3, label="raw")
                axis.plot(self._times_s, smoothed[:, class_id], color=BLUE, linewidth=1.4, label="smoothed")
                axis.set_ylim(-0.03, 1.03)
                axis.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"], fontsize=7)
                axis.set_title(name, fontsize=9, loc="left", pad=2)
            axis.set_xlabel("seconds", fontsize=8)
            axis.tick_params(axis="x", labelsize=8)
            drawn.legend(*axis.get_legend_handles_labels(), loc="upper right", fontsize=8, ncols=2, frameon=False)
            save(drawn, path)

    def _shown(self, segments: Sequence[Segment], smoothed: np.ndarray) -> list[int]:
        """Labels that were active, those longest so first; where none was, the three that came nearest."""
        active_s: dict[str, float] = {}
        for segment in segments:
            active_s[segment.label] = active_s.get(segment.label, 0.0) + segment.end_s - segment.start_s
        if active_s:
            names = sorted(active_s, key=lambda name: -active_s[name])[:MAX_LABELS]
            return [list(self._labels).index(name) for name in names]
        return [int(class_id) for class_id in np.argsort(-smoothed.max(axis=0), kind="stable")[:3]]
