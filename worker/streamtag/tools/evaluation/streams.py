"""Smoothing, measured: what each method and setting does to the labels of clips whose truth is known."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.core.job import Sampling
from streamtag.core.labelling import make_smoother
from streamtag.core.options import SmoothingSettings
from streamtag.core.segments import Segment
from streamtag.errors import ConfigError
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import LabelledItem
from streamtag.tools.drawing import charts
from streamtag.tools.evaluation.truth import NONE, in_words_of, names_true_of
from streamtag.tools.frames import Unreadable

IOU = 0.5
RAW = "argmax"  # the best class of each sample by itself: what smoothing is measured against


@dataclass(frozen=True, slots=True)
class Clip:
    """The scores of a video, computed once, and its truth."""

    name: str
    pts_s: np.ndarray  # (t,) float64
    scores: np.ndarray  # (t, outputs) float32
    scene_change: np.ndarray  # (t,) float32, for scene cuts
    segments: tuple[Segment, ...]  # in order; time in no segment has no label
    step_s: float | None = None  # between two samples, as they were asked for; None where the frames decided

    def truth(self) -> np.ndarray:
        """(t,) str label of each sample."""
        starts = [segment.start_s for segment in self.segments]
        labels = []
        for pts_s in self.pts_s:
            at = bisect.bisect_right(starts, pts_s) - 1
            inside = at >= 0 and (pts_s < self.segments[at].end_s or self.segments[at].end_s == self.pts_s[-1])
            labels.append(self.segments[at].label if inside else NONE)
        return np.array(labels)

    @property
    def seconds(self) -> float:
        return float(self.pts_s[-1] - self.pts_s[0]) if len(self.pts_s) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """What one setting does, over all clips."""

    method: str
    settings: dict[str, float]
    accuracy: float  # share of the samples with the true label
    flips_per_min: float  # changes of the label
    f1: float  # of segments, IoU 0.5
    onset_p50_s: float  # from the start of a true segment to the first sample that says so; inf if never
    onset_p95_s: float
    missed: int  # segments whose label was never predicted while they lasted


def read_clips(
    classifier: Classifier,
    bundle: Bundle,
    items: Sequence[LabelledItem],
    sampling: Sampling,
    progress: Callable[[int], None],
) -> list[Clip]:
    """Classify each video once.

    Raises:
        ConfigError: a label that the network does not have, spans that overlap, or a video that cannot be read.
    """
    by_video: dict[Path, list[LabelledItem]] = {}
    for item in items:
        if item.label not in bundle.outputs:
            raise ConfigError(
                f"{item.path}: {item.label!r} is no label of {bundle.name}: {', '.join(bundle.labels[:12])}"
            )
        by_video.setdefault(item.path, []).append(item)
    clips, done = [], 0
    for path, spans in by_video.items():
        spans.sort(key=lambda item: item.start_s)
        for one, two in itertools.pairwise(spans):
            if two.start_s < one.end_s:
                raise ConfigError(f"{path}: the spans that begin at {one.start_s} and {two.start_s} s overlap")
        rows = []
        for event in classifier.scored([str(path)], sampling):
            if isinstance(event, Unreadable):
                if event.whole:
                    raise ConfigError(f"{path}: {event.detail}")
                continue
            rows.append((event.frame.sample.pts_s, event.scores, event.frame.sample.scene_change))
            done += 1
            progress(done)
        if not rows:
            raise ConfigError(f"{path}: no frame of it could be read")
        pts_s, scores, scene_change = zip(*rows, strict=True)
        # What means "nothing there" is no label.
        truth = tuple(
            Segment(item.label, item.start_s, min(item.end_s, pts_s[-1]))
            for item in spans
            if bundle.outputs.index(item.label) not in bundle.background
        )
        changes = np.array(scene_change, np.float32)
        clips.append(Clip(path.name, np.array(pts_s), np.stack(scores), changes, truth, classifier.step_s(sampling)))
    return clips


def predicted_labels(clip: Clip, settings: SmoothingSettings | None, bundle: Bundle) -> np.ndarray:
    """(t,) str: the best active label at each sample, as people would read it; with no settings the argmax."""
    names = np.array([NONE if number in bundle.background else name for number, name in enumerate(bundle.labels)])
    if settings is None:
        best: np.ndarray = names[clip.scores[:, : bundle.classes].argmax(axis=1)]
        return best
    smoother = make_smoother(bundle, settings, step_s=clip.step_s)
    labels = []
    for pts_s, scores, scene_change in zip(clip.pts_s.tolist(), clip.scores, clip.scene_change.tolist(), strict=True):
        smoothed, _ = smoother.update(pts_s, scores, scene_change)
        shown = max(smoother.active, key=lambda number: smoothed[number], default=None)
        labels.append(NONE if shown is None else bundle.outputs[shown])
    return np.array(labels)


def measure(
    clips: Sequence[Clip], labels: Sequence[np.ndarray], method: str, settings: dict[str, float], bundle: Bundle
) -> Row:
    """The figures of one setting over all clips. Of a beagle both beagle and dog are true.

    Args:
        labels: (t,) of each clip, as ``predicted_labels`` gives them.
    """
    true_of = names_true_of({segment.label for clip in clips for segment in clip.segments}, bundle)
    right = samples = changes = hits = predicted = true = missed = 0
    onsets: list[float] = []
    for clip, told in zip(clips, labels, strict=True):
        changes += int((told[1:] != told[:-1]).sum())
        shown = in_words_of(clip.truth(), told, true_of)
        right += int((shown == clip.truth()).sum())
        samples += len(shown)
        segments = segments_of(shown, clip.pts_s)
        hits += matched(segments, clip.segments)
        predicted += len(segments)
        true += len(clip.segments)
        for segment in clip.segments:
            inside = (clip.pts_s >= segment.start_s) & (clip.pts_s < segment.end_s) & (shown == segment.label)
            onsets.append(float(clip.pts_s[inside.argmax()] - segment.start_s) if inside.any() else np.inf)
            missed += not inside.any()
    minutes = sum(clip.seconds for clip in clips) / 60
    return Row(
        method,
        settings,
        accuracy=right / max(1, samples),
        flips_per_min=changes / max(minutes, 1e-9),
        f1=2 * hits / max(1, predicted + true),
        onset_p50_s=_percentile(onsets, 0.5),
        onset_p95_s=_percentile(onsets, 0.95),
        missed=missed,
    )


def segments_of(labels: np.ndarray, pts_s: np.ndarray) -> tuple[Segment, ...]:
    """Runs of one label; each lasts until the first sample of the next."""
    edges = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist(), len(labels)]
    return tuple(
        Segment(str(labels[start]), float(pts_s[start]), float(pts_s[min(end, len(pts_s) - 1)]))
        for start, end in itertools.pairwise(edges)
        if labels[start] != NONE
    )


def matched(predicted: Sequence[Segment], true: Sequence[Segment]) -> int:
    """Predicted segments that are right: of the label of a true one that they overlap with an IoU of at least 0.5.

    Each true segment counts once (Lea et al. 2017, arXiv:1611.05267, section 4.2).
    """
    hits = 0
    for segment in true:
        for other in predicted:
            shared = min(segment.end_s, other.end_s) - max(segment.start_s, other.start_s)
            whole = max(segment.end_s, other.end_s) - min(segment.start_s, other.start_s)
            if other.label == segment.label and shared >= IOU * whole:
                hits += 1
                break
    return hits


def grid() -> Iterator[tuple[str, dict[str, float]]]:
    """The settings that are tried: each method with its own parameter, thresholds and times."""
    own: dict[str, list[dict[str, float]]] = {
        "none": [{}],
        "ema": [{"tau_s": tau_s} for tau_s in (0.2, 0.35, 0.5, 0.6, 0.75, 1.0, 1.5)],
        "majority": [{"window_s": window_s} for window_s in (0.6, 1.0, 1.5, 2.0, 3.0)],
        "sticky": [{"stay_s": stay_s} for stay_s in (1.0, 3.0, 10.0, 30.0, 100.0)],
    }
    thresholds = ((0.4, 0.15), (0.5, 0.15), (0.5, 0.3), (0.6, 0.3), (0.7, 0.3))
    times = ((0.0, 0.0), (0.0, 1.0), (0.3, 0.5), (0.3, 1.0))
    for method, parameters in own.items():
        for parameter, (enter, leave), (on_s, off_s) in itertools.product(parameters, thresholds, times):
            yield method, parameter | {"enter": enter, "exit": leave, "min_on_s": on_s, "min_off_s": off_s}


def compare(
    clips: Sequence[Clip], bundle: Bundle, base: SmoothingSettings, progress: Callable[[int, int], None]
) -> list[Row]:
    """Raw argmax, then the settings in force with the bundle's own thresholds, then the grid without those."""
    rows = [measure(clips, [predicted_labels(clip, None, bundle) for clip in clips], RAW, {}, bundle)]
    rows.append(
        measure(
            clips,
            [predicted_labels(clip, base, bundle) for clip in clips],
            base.method,
            _in_force(base, bundle),
            bundle,
        )
    )
    plain = replace(bundle, thresholds={})
    tried = list(grid())
    for done, (method, settings) in enumerate(tried, start=1):
        chosen = base.model_copy(update={"method": method, **settings})
        rows.append(measure(clips, [predicted_labels(clip, chosen, plain) for clip in clips], method, settings, bundle))
        progress(done, len(tried))
    return rows


def _in_force(base: SmoothingSettings, bundle: Bundle) -> dict[str, float]:
    """What to show of the settings: the thresholds are the bundle's, where it has one pair for all."""
    own = {"ema": {"tau_s": base.tau_s}, "majority": {"window_s": base.window_s}, "sticky": {"stay_s": base.stay_s}}
    pairs = set(bundle.thresholds.values())
    enter, leave = pairs.pop() if len(pairs) == 1 else (base.enter, base.exit)
    times = {"enter": enter, "exit": leave, "min_on_s": base.min_on_s, "min_off_s": base.min_off_s}
    return own.get(base.method, {}) | times


def recommended(rows: Sequence[Row], onset_s: float, fewer: float) -> Row | None:
    """The row of the best F1 among those that notice in time and flip less.

    Args:
        onset_s: a median onset delay that is still good.
        fewer: the share of raw flips that must be gone, 0 to 1.
    """
    raw = rows[0]
    good = [
        row
        for row in rows[1:]
        if row.onset_p50_s <= onset_s and row.flips_per_min <= (1 - fewer) * raw.flips_per_min and row.f1 > raw.f1
    ]
    return max(good, key=lambda row: (row.f1, row.accuracy, -row.onset_p50_s), default=None)


def draw(rows: Sequence[Row], chosen: Row | None, path: Path) -> None:
    """Onset delay against flips for every row: what steadiness costs.

    Raises:
        StreamtagError: the file cannot be written.
    """
    colours = {"none": charts.GREY, "ema": charts.BLUE, "majority": charts.ORANGE, "sticky": "#16a34a"}
    with charts.figure("", 10, 4.4) as drawn:
        left, right = drawn.subplots(1, 2)
        panels: tuple[tuple[Any, Callable[[Row], float], str], ...] = (
            (left, lambda row: row.flips_per_min, "label changes a minute"),
            (right, lambda row: row.f1, "segment F1 at IoU 0.5"),
        )
        for axis, value, name in panels:
            for method, colour in colours.items():
                shown = [row for row in rows[1:] if row.method == method and np.isfinite(row.onset_p50_s)]
                x = [row.onset_p50_s for row in shown]
                axis.scatter(x, [value(row) for row in shown], s=16, color=colour, alpha=0.6, label=method)
            axis.scatter([rows[0].onset_p50_s], [value(rows[0])], marker="x", color="black", label="raw argmax")
            axis.scatter(
                [rows[1].onset_p50_s], [value(rows[1])], marker="D", color="red", s=45, label="settings in force"
            )
            if chosen is not None:
                axis.scatter(
                    [chosen.onset_p50_s], [value(chosen)], s=130, facecolors="none", edgecolors="black", label="best"
                )
            axis.set_xlabel("median onset delay, s")
            axis.set_ylabel(name)
        left.set_yscale("log")
        left.yaxis.set_major_formatter("{x:g}")
        left.yaxis.set_minor_formatter("{x:g}")
        right.legend(fontsize=8, frameon=False)
        charts.save(drawn, path)


def _percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank, so that a segment never noticed counts as an infinite delay and not as none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(np.ceil(share * len(ordered))) - 1)] if ordered else float("nan")
