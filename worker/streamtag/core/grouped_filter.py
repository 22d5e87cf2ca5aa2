"""Smoothing that is not linear, over classes with groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamtag.core.filters import Filter
from streamtag.core.groups import Groups
from streamtag.core.smoother_state import FilterState


class GroupedFilter:
    """Smooths the classes alone; what their smoothed scores add up to are those of the groups."""

    def __init__(self, inner: Filter, groups: Groups) -> None:
        self._inner = inner
        self._groups = groups

    def update(self, elapsed_s: float, scores: np.ndarray) -> np.ndarray:
        return self._extended(self._inner.update(elapsed_s, scores[: self._groups.classes]))

    def reset(self) -> None:
        self._inner.reset()

    def dump(self) -> tuple[dict[str, Any], bytes]:
        head, body = self._inner.dump()
        return head, self._extended(np.frombuffer(body, np.float32)).tobytes() if body else b""

    def load(self, head: FilterState, vector: np.ndarray) -> None:
        self._inner.load(head, vector[: self._groups.classes])

    def _extended(self, smoothed: np.ndarray) -> np.ndarray:
        extended: np.ndarray = self._groups.extend(smoothed[np.newaxis])[0]
        return extended
