"""How many jobs a worker may run at once: a number, or as many as its device is found to serve."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from streamtag.pipeline.run import Run

AUTO_JOBS = 64  # about 1.5 GB of decoders at 1080p
AUTO_FINITE = 16  # films take turns at the device anyway, and more of them at once end no sooner


@dataclass(frozen=True, slots=True)
class Slots:
    """The setting ``worker.slots``."""

    setting: int | Literal["auto"]

    @property
    def auto(self) -> bool:
        """Whether the supply counts, too."""
        return self.setting == "auto"

    @property
    def most(self) -> int:
        """Jobs that may run at once, whatever the device can do."""
        return AUTO_JOBS if self.setting == "auto" else self.setting

    def free(self, runs: Iterable[Run]) -> int:
        """How many more may be taken from the queue, be they live or finite."""
        runs = list(runs)
        room = self.most - len(runs)
        return min(room, AUTO_FINITE - sum(not run.live for run in runs)) if self.auto else room
