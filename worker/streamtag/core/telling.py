"""Of all that is active, what is said: the most exact label that accounts for its groups, and not those, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from streamtag.core.groups import Groups
from streamtag.core.hysteresis import LabelTransition, lasts

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
        # Most samples change nothing: who holds whom is looked up once for each set of what is active.
        self._of: list[int] | None = None  # the active outputs that all of this is of
        self._index = np.empty(0, np.intp)  # they, and
        self._holders: dict[int, list[int]] = {}  # of each the groups among them that hold it
        self._pairs: list[tuple[int, int, float]] = []  # of an output and a holder the places, and the share it needs
        self._accounted: list[bool] | None = None  # whether it had that, of each pair, by which was decided

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
        if outputs != self._of:
            self._look_up(outputs)
        accounted = self._accounts(smoothed)
        if accounted == self._accounted and not self.waiting:
            return []
        self._accounted = accounted
        settled = self._settled(pts_s, self._plausible(outputs, accounted))
        before, self.told = self.told, self._groups.most_specific(settled)
        if self.told == before:
            return []
        self._pair()
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

    def _look_up(self, outputs: list[int]) -> None:
        """Who holds whom among outputs."""
        holds = self._groups.holds
        groups = [output for output in outputs if output >= self._groups.classes]
        self._of = outputs
        self._index = np.array(outputs, np.intp)
        self._holders = {output: [group for group in groups if holds(group, output)] for output in outputs}
        self._accounted = None
        self._pair()

    def _pair(self) -> None:
        """What each needs of its holders: less where it is told already."""
        if not self._share:
            return
        places = {output: place for place, output in enumerate(self._holders)}
        self._pairs = [
            (places[output], places[group], self._share * KEEP if output in self.told else self._share)
            for output, holders in self._holders.items()
            for group in holders
        ]

    def _accounts(self, smoothed: np.ndarray | None) -> list[bool]:
        """Of each pair whether the output has enough of the score of the group that holds it."""
        if smoothed is None or not self._pairs:
            return []
        scores = smoothed.take(self._index).tolist()
        return [scores[output] >= share * scores[group] for output, group, share in self._pairs]

    def _plausible(self, outputs: list[int], accounted: list[bool]) -> list[int]:
        """Those that have enough of the score of each group that holds them."""
        little = {outputs[output] for (output, _, _), fine in zip(self._pairs, accounted, strict=True) if not fine}
        return [output for output in outputs if output not in little]

    def _settled(self, pts_s: float, plausible: list[int]) -> list[int]:
        """Those that need not wait: a breed that comes and goes within a second is no reason not to say dog."""
        since = {output: self.waiting.get(output, pts_s) for output in plausible if self._is_within_told(output)}
        self.waiting = {
            output: began_s for output, began_s in since.items() if not lasts(began_s, pts_s, self._settle_s)
        }
        return [output for output in plausible if output not in self.waiting]

    def _is_within_told(self, output: int) -> bool:
        return output not in self.told and any(group in self.told for group in self._holders[output])
