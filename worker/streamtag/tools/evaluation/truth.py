"""What is true of a picture beside the label that somebody wrote down: of a beagle, dog and animal, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from streamtag.core.bundle import Bundle

NONE = ""  # no label


def names_true_of(labels: Iterable[str], bundle: Bundle) -> dict[str, frozenset[str]]:
    """Labels of the truth to what may be said of each: the groups that hold it; of a group what it holds, too."""
    outputs, groups = bundle.outputs, bundle.groups
    if not groups:
        return {label: frozenset((label,)) for label in outputs}
    found = {}
    for label in labels:
        true = frozenset(groups.members(outputs.index(label)))
        found[label] = frozenset(
            name
            for output, name in enumerate(outputs)
            if true <= (members := frozenset(groups.members(output))) or members <= true
        )
    return found


def in_words_of(truth: np.ndarray, shown: np.ndarray, true_of: Mapping[str, frozenset[str]]) -> np.ndarray:
    """(t,) str: what was shown, but by the name that the truth has for it as long as it stays."""
    said: list[str] = []
    for number, (label, true) in enumerate(zip(shown.tolist(), truth.tolist(), strict=True)):
        if true != NONE and label in true_of[true]:
            said.append(true)
        else:
            said.append(said[-1] if number and label == shown[number - 1] else label)
    return np.array(said)
