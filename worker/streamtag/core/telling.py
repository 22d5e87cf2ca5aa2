"""Of all that is active, what is said: the most exact label that accounts for its groups, and not those, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from streamtag.core.groups import Groups
from streamtag.core.hysteresis import LabelTransition

KEEP = 0.875  # of the share, for what is told already: a label at the edge of it would come and go


class Telling:
    """One stream's active labels as people hear of them.

    A dog that becomes a golden retriever leaves as a dog and enters as a golden retriever, and the other way round.
    Where something is an animal for sure and as likely a dog as a bird, it is an animal.
    """

    def __init__(self, groups: Groups, share: float, settle_s: float) -> None:
        """
        Args:
            share: of the score of each group that is active, what a label within it needs to be said in its place.
            settle_s: how long it must have had that where the group is said already.
        """
        self._groups = groups
        self._share = share
        self._settle_s = settle_s
        self.told: list[int] = []
        self.waiting: dict[int, float] = {}  # what has that share, but not for long enough, and since when
        self._of: list[int] | None = None  # what was active when it was last decided what is told
        self._holders: dict[int, list[int]] = {}  # of each of those the groups among them that hold it
        self._plausible: list[int] = []  # of those

    def resume(self, active: Iterable[int], told: Sequence[int] | None, waiting: Iterable[tuple[int, float]]) -> None:
        """Go on with what was active, told and waiting elsewhere; nothing is said of it."""
        self.told = self._groups.most_specific(list(active)) if told is None else list(told)
        self.waiting = dict(waiting)
        self._of = None

    def changes(
        self,
        pts_s: float,
        active: Iterable[int],
        transitions: Sequence[LabelTransition],
        smoothed: np.ndarray | None,
    ) -> list[LabelTransition]:
        """What is said after a sample, exits first where there are groups.

        Args:
            active: outputs that are active after it.
            transitions: what became so with it, or stopped.
            smoothed: (outputs,) float32 scores; None where all is over.
        """
        outputs = list(active)
        if not self._groups or (len(outputs) < 2 and not transitions):
            self.told, self.waiting = outputs, {}
            return list(transitions)
        before = self.told
        if not self._decide(pts_s, outputs, smoothed):
            return []
        known = {(transition.kind, transition.class_id): transition for transition in transitions}
        cause = max(
            transitions,
            key=lambda transition: transition.since_s,
            default=LabelTransition("enter", 0, pts_s, pts_s, 0.0),  # no score crossed a threshold, but a share did
        )

        def change(kind: str, output: int) -> LabelTransition:
            score = 0.0 if smoothed is None else float(smoothed[output])
            return known.get((kind, output)) or replace(cause, kind=kind, class_id=output, score=score)

        gone = [change("exit", output) for output in before if output not in self.told]
        return gone + [change("enter", output) for output in self.told if output not in before]

    def _decide(self, pts_s: float, outputs: list[int], smoothed: np.ndarray | None) -> bool:
        """What is told of active outputs; whether that is something else than before."""
        # Most samples change nothing: who holds whom is looked up once for each set of what is active.
        same = outputs == self._of
        if not same:
            holds = self._groups.holds
            groups = [output for output in outputs if output >= self._groups.classes]
            self._of = outputs
            self._holders = {output: [group for group in groups if holds(group, output)] for output in outputs}
        plausible = outputs
        if smoothed is not None and self._share:
            plausible = [output for output in outputs if self._accounts_for(output, smoothed)]
        if same and plausible == self._plausible and not self.waiting:
            return False
        self._plausible = plausible
        before, self.told = self.told, self._groups.most_specific(self._settled(pts_s, plausible))
        return self.told != before

    def _settled(self, pts_s: float, plausible: list[int]) -> list[int]:
        """Those that need not wait: a breed that comes and goes within a second is no reason not to say dog."""
        since = {output: self.waiting.get(output, pts_s) for output in plausible if self._is_within_told(output)}
        self.waiting = {output: began_s for output, began_s in since.items() if pts_s - began_s < self._settle_s}
        return [output for output in plausible if output not in self.waiting]

    def _is_within_told(self, output: int) -> bool:
        return output not in self.told and any(group in self.told for group in self._holders[output])

    def _accounts_for(self, output: int, smoothed: np.ndarray) -> bool:
        """Whether an output has enough of the score of each group that holds it."""
        share = self._share * KEEP if output in self.told else self._share
        return all(smoothed[output] >= share * smoothed[group] for group in self._holders[output])
