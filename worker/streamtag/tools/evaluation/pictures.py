"""Run a network over labelled pictures and videos, and keep what the figures and the report need."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamtag.core.job import Sampling
from streamtag.core.source import is_picture_of_folder
from streamtag.errors import ConfigError
from streamtag.networks.groups import imagenet_classes
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import Dataset, LabelledItem, read_folders, read_spans
from streamtag.tools.frames import Unreadable
from streamtag.tools.split_record import read_split

GALLERY = 60  # misclassified pictures kept
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True, slots=True)
class Mistake:
    """A picture whose best label is not its true one."""

    path: str
    pts_s: float | None  # in a video
    truth: str
    predicted: str
    score: float  # of the predicted label
    true_score: float
    picture: np.ndarray  # (H, W, 3) uint8 RGB: what the network saw


@dataclass(slots=True)
class Findings:
    """Scores and truth of everything that could be read."""

    scores: np.ndarray  # (n, classes) float32
    truth: np.ndarray  # (n,) int64
    groups: np.ndarray  # (n,) str: samples of one name are alike, such as the frames of a video
    sources: tuple[str, ...]  # of each sample, its path
    mistakes: list[Mistake] = field(default_factory=list)  # the surest first
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # path and reason


def labelled(folder: Path | None, spans: Path | None, bundle: Path, labels: Sequence[str]) -> Dataset:
    """The material to evaluate on.

    Folders of classes, pictures with their wnid in the name, spans of videos, or what training held out.

    Raises:
        ConfigError: there is none, or labels in it that the network does not have.
    """
    if spans is not None:
        dataset = read_spans(spans)
    elif folder is None:
        dataset = _held_out(bundle)
    elif folder.is_dir() and not _has_folders(folder):
        dataset = _by_wnid(folder)
    else:
        dataset = read_folders(folder)
    names = dict(imagenet_classes()) if tuple(labels[:1000]) == tuple(n for _, n in imagenet_classes()) else {}
    items = tuple(
        LabelledItem(item.path, names.get(item.label, item.label), item.group, item.start_s, item.end_s)
        for item in dataset.items
    )
    unknown = sorted({item.label for item in items} - set(labels))
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown[:5])}: no label of this network, which has {', '.join(labels[:8])}"
            f"{' …' if len(labels) > 8 else ''}; name the folders as its labels"
        )
    return Dataset(tuple(sorted({item.label for item in items})), items)


def evaluate(
    classifier: Classifier,
    dataset: Dataset,
    labels: tuple[str, ...],
    sampling: Sampling,
    progress: Callable[[int], None],
) -> Findings:
    """Classify a data set and keep what a report needs.

    Args:
        classifier: at temperature 1.
        progress: called with the number of samples done.

    Raises:
        ConfigError: nothing could be read.
    """
    rows, truth, groups, sources, unreadable = [], [], [], [], []
    mistakes: list[Mistake] = []
    for item, event in classifier.scored_items(dataset.items, sampling):
        if isinstance(event, Unreadable):
            unreadable.append((event.source, event.detail))
            continue
        true = class_of(item, labels)
        rows.append(event.scores)
        truth.append(true)
        groups.append(item.group)
        sources.append(event.frame.source)
        predicted = int(event.scores.argmax())
        if predicted != true:
            frame = event.frame
            pts_s = frame.sample.pts_s if item.is_video else None
            score, true_score = float(event.scores[predicted]), float(event.scores[true])
            mistakes.append(
                Mistake(frame.source, pts_s, labels[true], labels[predicted], score, true_score, frame.picture)
            )
            mistakes.sort(key=lambda mistake: -mistake.score)
            del mistakes[GALLERY:]
        progress(len(rows))
    if not rows:
        first = f": {': '.join(unreadable[0])}" if unreadable else ""
        raise ConfigError(f"nothing could be read{first}")
    return Findings(np.stack(rows), np.array(truth, np.int64), np.array(groups), tuple(sources), mistakes, unreadable)


def class_of(item: LabelledItem, labels: tuple[str, ...]) -> int:
    """The class of a label. Of two classes with one name, as two of ImageNet's have, the one in the file's wnid."""
    number = labels.index(item.label)
    wnid = _WNID.search(item.path.name) or _WNID.search(item.path.parent.name)
    if wnid and labels.count(item.label) > 1:
        for candidate, (candidate_wnid, _) in enumerate(imagenet_classes()):
            if candidate_wnid == wnid.group():
                return candidate
    return number


def _has_folders(folder: Path) -> bool:
    return any(path.is_dir() and not path.name.startswith(".") for path in folder.iterdir())


def _by_wnid(folder: Path) -> Dataset:
    items = []
    for path in sorted(folder.iterdir()):
        if is_picture_of_folder(path.name):
            wnid = _WNID.search(path.name)
            if wnid is None:
                raise ConfigError(
                    f"{folder}: {path.name} has no class; make a folder for each class, or put a wnid in the name"
                )
            items.append(LabelledItem(path, wnid.group(), path.name))
    if not items:
        raise ConfigError(f"{folder}: no picture in it")
    return Dataset(tuple(sorted({item.label for item in items})), tuple(items))


def _held_out(bundle: Path) -> Dataset:
    split = read_split(bundle)
    if split is None:
        raise ConfigError(f"name a folder to evaluate on: {bundle} does not say what its training held out")
    gone = [item.path for item in split.held_out if not item.path.is_file()]
    if gone:
        raise ConfigError(f"{gone[0]}: held out by training and not there any more; name a folder to evaluate on")
    return Dataset(tuple(sorted({item.label for item in split.held_out})), split.held_out)


def without_trained(dataset: Dataset, bundle: Path) -> tuple[Dataset, int]:
    """The material without what training saw, and how many items that were.

    Raises:
        ConfigError: training saw all of it.
    """
    split = read_split(bundle)
    if split is None:
        return dataset, 0
    unseen = split.unseen(dataset.items)
    if not unseen:
        raise ConfigError(
            f"all {len(dataset.items)} items were trained on, so their figures would say nothing of other pictures; "
            "name no folder, to evaluate on what was held out, or give --include-trained"
        )
    return Dataset(tuple(sorted({item.label for item in unseen})), unseen), len(dataset.items) - len(unseen)
