"""``split.csv`` of a trained bundle: which pictures training saw, and which it held out."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streamtag.errors import ConfigError
from streamtag.networks.bundles import sha256
from streamtag.tools.dataset import LabelledItem

NAME = "split.csv"
_COLUMNS = ("path", "label", "group", "side", "start_s", "end_s", "sha256")
_TRAIN, _HELD_OUT = "train", "held_out"


@dataclass(frozen=True, slots=True)
class Split:
    """Both sides of the material of a training."""

    train: tuple[LabelledItem, ...]
    held_out: tuple[LabelledItem, ...]
    train_sha256: frozenset[str] = frozenset()  # of the pictures; bundles of before have none

    def unseen(self, items: Iterable[LabelledItem]) -> tuple[LabelledItem, ...]:
        """Items that training did not see: neither the same file nor a copy of it, nor a part of the same span."""
        spans: dict[Path, list[LabelledItem]] = {}
        for seen in self.train:
            spans.setdefault(seen.path, []).append(seen)
        return tuple(item for item in items if not self._was_seen(item, spans))

    def _was_seen(self, item: LabelledItem, spans: Mapping[Path, Sequence[LabelledItem]]) -> bool:
        seen = spans.get(item.path.resolve(), ())
        if any(one.start_s < item.end_s and item.start_s < one.end_s for one in seen):
            return True
        return bool(self.train_sha256) and _digest(item) in self.train_sha256


def with_copies_together(items: Sequence[LabelledItem]) -> list[LabelledItem]:
    """The items, where copies of one picture are of one group: no copy is then held out of what the other trains."""
    of_size: dict[int, list[LabelledItem]] = {}
    for item in items:
        if not item.is_video and item.path.is_file():
            of_size.setdefault(item.path.stat().st_size, []).append(item)
    alike: dict[str, list[LabelledItem]] = {}
    for same in of_size.values():
        for item in same if len(same) > 1 else ():
            if digest := _digest(item):
                alike.setdefault(digest, []).append(item)
    joined: dict[str, str] = {}

    def group_of(item: LabelledItem) -> str:
        name = item.group
        while name in joined:
            name = joined[name]
        return name

    for first, *others in alike.values():
        for other in others:
            if group_of(other) != group_of(first):
                joined[group_of(other)] = group_of(first)
    return [replace(item, group=group_of(item)) for item in items]


def write_split(folder: Path, train: Sequence[LabelledItem], held_out: Sequence[LabelledItem]) -> None:
    """Write the table into the folder of a bundle. Paths are absolute: it is read from any folder."""
    folder.mkdir(parents=True, exist_ok=True)
    # Names of bytes that are no text are written as they are.
    with (folder / NAME).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for side, items in ((_TRAIN, train), (_HELD_OUT, held_out)):
            for item in items:
                path = item.path.resolve()
                end_s = "" if math.isinf(item.end_s) else item.end_s
                writer.writerow((path, item.label, item.group, side, item.start_s, end_s, _digest(item)))


def read_split(folder: Path) -> Split | None:
    """What training has recorded in a bundle, or None: it has none, or was not trained here.

    Raises:
        ConfigError: the table is damaged.
    """
    table = folder / NAME
    sides: dict[str, list[LabelledItem]] = {_TRAIN: [], _HELD_OUT: []}
    digests: set[str] = set()
    try:
        with table.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            for row in csv.DictReader(file):
                sides[row["side"]].append(_item(row))
                if row["side"] == _TRAIN and row.get("sha256"):
                    digests.add(row["sha256"])
    except OSError:
        return None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise ConfigError(f"{table}: not what training writes: {error!r}") from None
    return Split(tuple(sides[_TRAIN]), tuple(sides[_HELD_OUT]), frozenset(digests))


def _digest(item: LabelledItem) -> str:
    """Of a picture. Videos are known by their path alone: to read hours of them would cost more than it tells."""
    try:
        return "" if item.is_video else sha256(item.path)
    except OSError:  # gone since it was read
        return ""


def _item(row: dict[str, str]) -> LabelledItem:
    start_s, end_s = float(row.get("start_s") or 0), float(row.get("end_s") or "inf")
    return LabelledItem(Path(row["path"]).resolve(), row["label"], row["group"], start_s, end_s)
