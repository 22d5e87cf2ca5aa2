"""A bundle's outcome of none of its classes: fitted to pictures of them and of other things, and written into it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from streamtag.core.bundle import UNKNOWN, Bundle
from streamtag.core.groups import Groups
from streamtag.core.job import Sampling
from streamtag.errors import ConfigError, StreamtagError
from streamtag.networks.building import without_unknown
from streamtag.networks.bundle_file import BundleFile, UnknownFile, read_bundle_file
from streamtag.networks.bundles import sha256
from streamtag.networks.loading import OnStep, build_model, compile_model
from streamtag.networks.unknown import Classifier as LastLayer
from streamtag.networks.unknown import with_features
from streamtag.settings import Settings
from streamtag.tools.bundle_folder import put, stage
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import LEAST, LabelledItem, other_pictures
from streamtag.tools.drawing.textures import TEXTURES, write_textures
from streamtag.tools.evaluation.none_of_these import Line, Score, Seen, class_means, line_of, scores_of
from streamtag.tools.evaluation.pictures import class_of
from streamtag.tools.evaluation.validation import folds_of
from streamtag.tools.frames import Unreadable

_AGAIN = (
    "give more pictures of other things, unlike the classes, or ask for less: "
    "streamtag evaluate {} --others FOLDER --write unknown --precision 0.9"
)
MOST_LOST = 0.5  # share of the classes' own pictures: more than that, and the outcome does harm


@dataclass(frozen=True, slots=True)
class Fit:
    """What tells the classes from other things."""

    scores: tuple[Score, ...]  # the best first
    line: Line | None  # by the best; None where none has the wanted precision
    means: np.ndarray | None  # of the classes, where the network has features
    others: str  # what stood for other things
    count: int  # of those


@contextmanager
def others_in(folder: Path | None) -> Iterator[tuple[list[str], str]]:
    """Pictures of other things, and what they are: of a folder, or drawn.

    Raises:
        ConfigError: there are too few.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as drawn:
            yield [str(path) for path in write_textures(Path(drawn))], TEXTURES
        return
    yield other_pictures(folder), folder.resolve().name


def fit(
    settings: Settings,
    bundle: Bundle,
    known: Sequence[LabelledItem],
    taught: Sequence[LabelledItem],
    others: tuple[list[str], str],
    sampling: Sampling,
    precision: float,
    on_step: OnStep,
) -> Fit:
    """Try each score.

    Args:
        known: pictures of the classes, that training did not see.
        taught: those that it did, for class means; empty where there are none.
        others: pictures of other things, and what they are.
        precision: wanted share of the classes' among what passes, both sides weighed the same.

    Raises:
        ConfigError: too few pictures can be read.
    """
    plain = replace(without_unknown(bundle), temperature=1.0, groups=Groups())
    model, last = with_features(build_model(plain, settings.engine, on_step))
    network = compile_model(model, plain, settings.engine, on_step, model.output_shape[-1])
    classifier = Classifier(settings, replace(network, bundle=plain))
    # A folder of others that the bundle calls unknown already is none of its classes.
    known, taught = ([item for item in items if item.label in plain.labels] for items in (known, taught))
    seen, truth, groups = _labelled(classifier, known, plain, sampling)
    rows = [event.scores for event in classifier.scored(others[0]) if not isinstance(event, Unreadable)]
    if len(truth) < LEAST or len(rows) < LEAST:
        raise ConfigError(
            f"unknown: {len(truth)} pictures of the classes and {len(rows)} others could be read; {LEAST} are needed"
        )
    other = _seen(rows, plain.classes)
    means = None
    if taught and seen.features is not None:
        of_training, classes, _ = _labelled(classifier, taught, plain, sampling)
        if of_training.features is not None:
            means = class_means(of_training.features, classes)
    scores = scores_of(seen, truth, folds_of(truth, groups), other, means, _logits(last))
    if means is None and seen.features is not None:
        means = class_means(seen.features, truth)
    return Fit(tuple(scores), line_of(scores[0], precision), means, others[1], len(rows))


def write(folder: Path, found: Fit) -> list[str]:
    """Put it into a bundle. What was quantised without it goes.

    Returns:
        What to know of the rest of the bundle, in sentences.

    Raises:
        ConfigError: no threshold has the wanted precision, or a label of the bundle has the name.
        StreamtagError: the bundle cannot be read or written.
    """
    best, line = found.scores[0], found.line
    if line is None:
        raise ConfigError(
            f"{folder}: without `unknown`: no threshold has the wanted precision; {_AGAIN.format(folder)}"
        )
    if line.lost.value > MOST_LOST:
        raise ConfigError(
            f"{folder}: without `unknown`: {line.lost.value:.0%} of the classes' own pictures would be that, too; "
            + _AGAIN.format(folder)
        )
    content = read_bundle_file(folder)
    if UNKNOWN in content.labels:
        raise ConfigError(f"{folder}: unknown is a label already, so that there can be no other outcome of that name")
    file, digest = "", ""
    if best.by == "distance" and found.means is not None:
        file, digest = _store(folder, found.means)
    entry = UnknownFile(
        by=best.by,
        threshold=line.threshold,
        width=line.width,
        file=file,
        sha256=digest,
        auroc=round(best.auroc.value, 6),
        others=f"{found.count} pictures: {found.others}"[:200],
    )
    if content.unknown == entry:
        return []
    put(folder, content.model_copy(update={"unknown": entry, "quantised": None}))
    return _remarks(content)


def _remarks(before: BundleFile) -> list[str]:
    remarks = []
    stay = {
        "temperature": before.temperature != 1.0,
        "thresholds": before.thresholds,
        "exact": before.exact is not None,
    }
    if names := ", ".join(name for name, is_there in stay.items() if is_there):
        remarks.append(f"what was chosen before unknown was written stays: {names}; write it again")
    if before.quantised is not None:
        remarks.append("the 8-bit form is gone, since it knows no unknown; make it again: streamtag models quantise")
    return remarks


def _store(folder: Path, means: np.ndarray) -> tuple[str, str]:
    """Class means into a file of a name of its own, since a worker may read what is there now: name and SHA-256."""
    try:
        with stage(folder) as new:
            np.save(new / "unknown.npy", means)
            digest = sha256(new / "unknown.npy")
            name = f"unknown-{digest[:12]}.npy"
            (new / "unknown.npy").replace(folder / name)
    except OSError as error:
        raise StreamtagError(f"{folder}: the class means cannot be stored: {error.strerror}") from None
    return name, digest


def _labelled(
    classifier: Classifier, items: Sequence[LabelledItem], bundle: Bundle, sampling: Sampling
) -> tuple[Seen, np.ndarray, np.ndarray]:
    rows, truth, groups = [], [], []
    for item, event in classifier.scored_items(items, sampling):
        if not isinstance(event, Unreadable):
            rows.append(event.scores)
            truth.append(class_of(item, bundle.labels))
            groups.append(item.group)
    return _seen(rows, bundle.classes), np.array(truth, np.int64), np.array(groups)


def _seen(rows: list[np.ndarray], classes: int) -> Seen:
    if not rows:
        return Seen(np.zeros((0, classes), np.float32), None)
    stacked = np.stack(rows)
    return Seen(stacked[:, :classes], stacked[:, classes:] if stacked.shape[1] > classes else None)


def _logits(last: LastLayer | None) -> Callable[[np.ndarray], np.ndarray] | None:
    if last is None:
        return None
    kernel, bias = last.kernel, last.bias
    return lambda features: features @ kernel + bias
