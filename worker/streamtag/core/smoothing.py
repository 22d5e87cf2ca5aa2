"""Steady labels from flickering scores. Pure and driven by presentation time: a replay gives the same answer.

A filter (``filters.py``) turns the scores of one sample into smoothed scores; ``Hysteresis`` turns smoothed scores into
labels that enter and exit. Both can be stored after any sample and resumed elsewhere with the same output.
"""

from __future__ import annotations

import numpy as np
import orjson

from streamtag.core.filters import make_filter
from streamtag.core.grouped_filter import GroupedFilter
from streamtag.core.groups import NO_GROUPS, Groups
from streamtag.core.hysteresis import Hysteresis, LabelTransition
from streamtag.core.options import SmoothingSettings
from streamtag.core.pace import Pace
from streamtag.core.smoother_state import read_state
from streamtag.core.telling import Telling


class Smoother:
    """One stream's filter and hysteresis, with the resets: a gap in time, or a scene cut."""

    def __init__(
        self,
        settings: SmoothingSettings,
        classes: int,
        thresholds: dict[int, tuple[float, float]] | None = None,
        never_active: frozenset[int] = frozenset(),
        groups: Groups = NO_GROUPS,
        step_s: float | None = None,
    ) -> None:
        """
        Args:
            classes: length of the score vectors, groups included.
            thresholds: class to its own (enter, exit), where the bundle has one.
            never_active: classes that mean "nothing" and are no label, or are not wanted.
            groups: whose scores stand behind those of the classes.
            step_s: between two samples, as they are asked for; None where the frames of the stream decide.
        """
        enter = np.full(classes, settings.enter, np.float32)
        exit_ = np.full(classes, settings.exit, np.float32)
        for class_id, pair in (thresholds or {}).items():
            enter[class_id], exit_[class_id] = pair
        enter[list(never_active)] = np.inf
        self._settings = settings
        self._classes = classes
        self._filter = make_filter(settings)
        if groups and settings.method in ("majority", "sticky"):
            self._filter = GroupedFilter(self._filter, groups)
        self._telling = Telling(groups, settings.exact, settings.exact_s)
        self._hysteresis = Hysteresis(enter, exit_, settings.min_on_s, settings.min_off_s)
        self._pace = Pace(settings.reset_gap_s, step_s)
        self._last_pts_s: float | None = None

    @property
    def active(self) -> list[int]:
        """What is active, said as exactly as is known: of a class and its group the class."""
        return self._telling.told

    @property
    def last_pts_s(self) -> float | None:
        """Presentation time of the last sample; None before the first."""
        return self._last_pts_s

    def update(
        self, pts_s: float, scores: np.ndarray, scene_change: float = 0.0
    ) -> tuple[np.ndarray, list[LabelTransition]]:
        """Take one sample.

        Args:
            scores: (classes,) float32 probabilities.
            scene_change: how much the picture differs from the sample before, 0 to 1.

        Returns:
            Smoothed scores, (classes,) float32, good until the next call and not to be written to; and the labels that
            entered or left.
        """
        transitions: list[LabelTransition] = []
        elapsed_s = 0.0 if self._last_pts_s is None else max(0.0, pts_s - self._last_pts_s)
        cut = scene_change > self._settings.scene_cut
        if self._last_pts_s is not None and self._pace.breaks(elapsed_s):
            transitions = self._close(self._last_pts_s)
            self._filter.reset()
        elif cut:
            self._filter.reset()
        smoothed = self._filter.update(elapsed_s, scores)
        self._last_pts_s = pts_s
        changes = self._hysteresis.update(pts_s, smoothed, cut)
        return smoothed, transitions + self._telling.changes(pts_s, self._hysteresis.active, changes, smoothed)

    def close(self) -> list[LabelTransition]:
        """The stream ended: every active label exits at its last sample."""
        return self._close(self._last_pts_s or 0.0)

    def _close(self, pts_s: float) -> list[LabelTransition]:
        return self._telling.changes(pts_s, (), self._hysteresis.close(pts_s), None)

    def dump(self) -> bytes:
        """All of the state, to be read by ``load`` in any process."""
        head, body = self._filter.dump()
        content = {
            "method": self._settings.method,
            "classes": self._classes,
            "last_pts_s": self._last_pts_s,
            "labels": self._hysteresis.dump(),
            "filter": head,
            "told": self._telling.told,
            "waiting": list(self._telling.waiting.items()),
            "steps": self._pace.dump(),
        }
        return orjson.dumps(content) + b"\n" + body

    def load(self, state: bytes) -> None:
        """Go on from a stored state.

        One of a network with other classes is passed over; of one of another smoothing method the active labels are
        kept, and the filter starts anew.

        Raises:
            RejectJob: the bytes are not a state.
        """
        if not state:
            return
        stored, vector = read_state(state)
        if stored.classes != self._classes:
            return
        self._last_pts_s = stored.last_pts_s
        self._pace.load(stored.steps)
        self._hysteresis.load(stored.labels)
        self._telling.resume(self._hysteresis.active, stored.told, stored.waiting)
        if stored.method == self._settings.method:
            self._filter.load(stored.filter, vector)
