"""Labels that people would say: unions of a network's classes, whose scores are sums.

The outputs of a network with groups are its classes first and then its groups, in one vector. A group is smoothed and
thresholded like any class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class LabelGroup:
    """A union of classes, with the name that people have for it."""

    name: str
    classes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one network. They may overlap, and lie within each other.

    Args:
        all: in the order of their outputs; each has a class at least.
        classes: how many the network has.
    """

    all: tuple[LabelGroup, ...] = ()
    classes: int = 0
    _order: np.ndarray = field(init=False, compare=False, repr=False)  # classes, group after group
    _begins: np.ndarray = field(init=False, compare=False, repr=False)  # where each group begins in it
    _within: dict[int, frozenset[int]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        sizes = [len(group.classes) for group in self.all]
        if 0 in sizes:
            raise ValueError("a group has no class")
        order = [class_id for group in self.all for class_id in group.classes]
        object.__setattr__(self, "_order", np.array(order, np.intp))
        object.__setattr__(self, "_begins", np.cumsum([0, *sizes[:-1]], dtype=np.intp))
        object.__setattr__(self, "_within", _within(self.all, self.classes))

    def __len__(self) -> int:
        return len(self.all)

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of their outputs."""
        return tuple(group.name for group in self.all)

    @property
    def matrix(self) -> np.ndarray:
        """(classes, groups) float32: 1 where a class is in a group."""
        members = np.zeros((self.classes, len(self.all)), np.float32)
        for column, group in enumerate(self.all):
            members[list(group.classes), column] = 1.0
        return members

    def extend(self, scores: np.ndarray) -> np.ndarray:
        """The scores of a batch with those of the groups behind them.

        Args:
            scores: (n, classes) float32.

        Returns:
            (n, classes + groups) float32; without groups what was given.
        """
        if not self.all:
            return scores
        extended = np.empty((len(scores), self.classes + len(self.all)), np.float32)
        extended[:, : self.classes] = scores
        # A product with a matrix of 0 and 1 takes as long, and starts threads that spin while they wait for the next:
        # with them a sample cost 750 us in place of 260.
        members = np.take(scores, self._order, axis=1)
        sums = np.add.reduceat(members, self._begins, axis=1, out=extended[:, self.classes :])
        # Classes that exclude each other add up to one at most, but for rounding; those of several labels may to more.
        np.minimum(sums, np.float32(1.0), out=sums)
        return extended

    def most_specific(self, outputs: Sequence[int]) -> list[int]:
        """Those of some outputs that none of the others says more exactly: the breed in place of the dog."""
        if not self.all:
            return list(outputs)
        some = frozenset(outputs)
        if len(some) < 2:
            return list(outputs)
        return [output for output in outputs if not self._within.get(output, frozenset()) & some]

    def holds(self, group: int, output: int) -> bool:
        """Whether an output lies wholly in a group, by the group's output, and says more than it."""
        return output in self._within.get(group, frozenset())

    def members(self, output: int) -> tuple[int, ...]:
        """The classes that an output is true of."""
        return (output,) if output < self.classes else self.all[output - self.classes].classes

    def bits(self, output: int) -> float:
        """How much an output says: 0 that it is anything, log2(classes) that it is one class (Deng et al. 2012)."""
        return math.log2(self.classes / len(self.members(output)))


def _within(groups: Sequence[LabelGroup], classes: int) -> dict[int, frozenset[int]]:
    """Output of each group to the outputs that lie wholly in it and are less than it."""
    members = [frozenset(group.classes) for group in groups]
    return {
        classes + number: one | {classes + other for other, smaller in enumerate(members) if smaller < one}
        for number, one in enumerate(members)
    }


NO_GROUPS = Groups()
