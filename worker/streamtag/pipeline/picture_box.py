"""From the loops that classify and publish to the one that makes pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Lock

import numpy as np

from streamtag.core.records import Sample
from streamtag.core.track import Transition
from streamtag.pipeline.run import PendingSample, Run

MAX_WAITING = (
    64  # pictures as the network has them, 268 kB each at 299 x 299: this bounds what is made in a period, too
)
MAX_ENTERED = 256


class PictureBox:
    """What the pictures thread has not seen yet: bounded, and nobody who leaves something waits."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._offered: deque[tuple[Run, Sample, np.ndarray]] = deque()
        self._entered: deque[tuple[Run, Transition]] = deque(maxlen=MAX_ENTERED)

    def offer(self, items: Sequence[PendingSample], pictures: np.ndarray, scores: np.ndarray) -> None:
        """Look at a batch that came back from the device, and copy what is worth a picture. Called by inference.

        Args:
            pictures: (at least len(items), H, W, 3) uint8 RGB, which will be written over.
        """
        if not any(item.run.picture_gates for item in items):
            return
        best = scores.argmax(axis=1).tolist()
        for row, item in enumerate(items):
            run, sample = item.run, item.sample
            if run.picture_gates and run.picture_gates[sample.region].wants(sample.pts_s, best[row]):
                with self._lock:
                    if len(self._offered) < MAX_WAITING:
                        self._offered.append((run, sample, pictures[row].copy()))

    def entered(self, run: Run, transitions: Sequence[Transition]) -> None:
        """Hear which labels became active, once Redis has the event. Called by commits."""
        if run.picture_gates:
            with self._lock:
                self._entered.extend((run, one) for one in transitions if one.kind == "enter")

    def take(self) -> tuple[list[tuple[Run, Sample, np.ndarray]], list[tuple[Run, Transition]]]:
        """All there is."""
        with self._lock:
            taken = list(self._offered), list(self._entered)
            self._offered.clear()
            self._entered.clear()
        return taken
