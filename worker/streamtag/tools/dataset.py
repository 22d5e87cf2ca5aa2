"""Labelled pictures and videos: folders that are classes, or a table of spans. Reads names only, decodes nothing."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streamtag.core.source import IMAGE_SUFFIXES
from streamtag.errors import ConfigError
from streamtag.extras import require
from streamtag.redaction import printable
from streamtag.tools.frames import InputFrame, Unreadable

VIDEO_SUFFIXES = frozenset((".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".ts", ".mpg", ".mpeg"))
LEAST = 5  # pictures on either side, below which no outcome of none of the classes is fitted
SPAN_COLUMNS = ("video", "start_s", "end_s", "label")


@dataclass(frozen=True, slots=True)
class LabelledItem:
    """A picture, a whole video, or a span of one, with its true label."""

    path: Path
    label: str
    group: str  # items of one group are never on both sides of a split
    start_s: float = 0.0
    end_s: float = float("inf")

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True, slots=True)
class Dataset:
    """Items and the names of their classes, sorted."""

    classes: tuple[str, ...]
    items: tuple[LabelledItem, ...]
    empty: tuple[str, ...] = ()  # folders of classes without a picture or video

    def counts(self) -> dict[str, int]:
        return dict(sorted(Counter(item.label for item in self.items).items()))


def read_folders(folder: Path, group_by: str | None = None) -> Dataset:
    """A folder of folders, each named as its class.

    Pictures of one subfolder of a class are a group, and so are the frames of a video; other pictures stand alone.

    Args:
        group_by: regular expression on the path below the class; what it captures names the group instead.

    Raises:
        ConfigError: no such folder, fewer than two classes, an expression that does not compile or match.
    """
    pattern = _compiled(group_by)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder; give one with a folder of pictures for each class")
    items = []
    children = sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path, folder))
    for child in children:
        for path in sorted(path for path in child.rglob("*") if not _is_hidden(path, child)):
            # A link to nothing is told of as what cannot be read; a pipe would never end.
            if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and (path.is_file() or not path.exists()):
                items.append(LabelledItem(path, child.name, _group(path, child, pattern)))
    found = {item.label for item in items}
    return _checked(folder, items, tuple(child.name for child in children if child.name not in found))


def other_pictures(folder: Path) -> list[str]:
    """Pictures of other things: of a folder and the folders in it.

    Raises:
        ConfigError: there are too few.
    """
    pictures = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    found = sorted(str(path) for path in pictures if not _is_hidden(path, folder))
    if len(found) < LEAST:
        raise ConfigError(f"--others {folder}: {len(found)} pictures; at least {LEAST} are needed")
    return found


def _is_hidden(path: Path, folder: Path) -> bool:
    """Whether it, or a folder between, is what a program keeps for itself, such as previews of pictures."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def read_spans(table: Path, group_by: str | None = None) -> Dataset:
    """A CSV file with the columns video, start_s, end_s, label; paths are relative to it.

    Raises:
        ConfigError: a column or video is missing, or a row is wrong; names the line.
    """
    pattern = _compiled(group_by)
    items = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [name for name in SPAN_COLUMNS if name not in (rows.fieldnames or [])]
            if missing:
                raise ConfigError(
                    f"{table}: lacks the columns {', '.join(missing)}; {', '.join(SPAN_COLUMNS)} are wanted"
                )
            for row in rows:
                items.append(_span(row, f"{table}, line {rows.line_num}", table.parent, pattern))
    except OSError as error:
        raise ConfigError(f"{table}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{table}: not a CSV file: {error}") from None
    return _checked(table, items)


def split(items: Sequence[LabelledItem], share: float, seed: int) -> tuple[list[LabelledItem], list[LabelledItem]]:
    """Training and held-out items: each class on both sides in about its proportion, each group on one side only.

    Args:
        share: of the items to hold out, 0 to 0.5.

    Raises:
        ConfigError: a class has too few groups to be on both sides.
    """
    require("train")
    from sklearn.model_selection import StratifiedGroupKFold  # noqa: PLC0415 - an extra

    groups: dict[str, set[str]] = {}
    for item in items:
        groups.setdefault(item.label, set()).add(item.group)
    poor = [f"{label} ({len(names)})" for label, names in sorted(groups.items()) if len(names) < 2]
    if poor:
        raise ConfigError(
            f"too few groups to hold some out: {', '.join(poor)}; pictures of one video or subfolder stay together, "
            "and so do copies of one picture, so each class needs at least two of them"
        )
    folds = max(2, min(round(1 / share), min(len(names) for names in groups.values())))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    labels, names = [item.label for item in items], [item.group for item in items]
    best: tuple[int, list[int]] | None = None
    for _, held in splitter.split(labels, labels, names):
        # Groups differ in size: the fold nearest to the share, and with every class in it, is taken.
        short = len(set(labels)) - len({labels[row] for row in held})
        distance = short * len(items) + abs(len(held) - round(share * len(items)))
        if best is None or distance < best[0]:
            best = (distance, list(held))
    assert best is not None
    held_rows = set(best[1])
    held_items = [item for row, item in enumerate(items) if row in held_rows]
    kept = [item for row, item in enumerate(items) if row not in held_rows]
    absent = sorted(set(labels) - {item.label for item in held_items} | set(labels) - {item.label for item in kept})
    if absent:
        raise ConfigError(
            f"{', '.join(absent)}: cannot be on both sides of the split; give more groups, or another seed"
        )
    return kept, held_items


def by_item(
    items: Sequence[LabelledItem], read: Callable[[list[str]], Iterator[InputFrame | Unreadable]]
) -> Iterator[tuple[LabelledItem, InputFrame | Unreadable]]:
    """The frames of each item: pictures in one run, so that they share a decoder; then of each video those of its span.

    Args:
        read: paths to frames, in order; one for each picture, any number for a video.
    """
    pictures = [item for item in items if not item.is_video]
    yield from zip(pictures, read([str(item.path) for item in pictures]), strict=True)
    for item in items:
        if item.is_video:
            yield from ((item, event) for event in _in_span(item, read([str(item.path)])))


def _in_span(item: LabelledItem, events: Iterator[InputFrame | Unreadable]) -> Iterator[InputFrame | Unreadable]:
    """Those frames of a video that lie in the item's span. Nothing is decoded after it."""
    empty = True
    for event in events:
        if isinstance(event, InputFrame):
            if event.sample.pts_s >= item.end_s:
                break
            if event.sample.pts_s < item.start_s:
                continue
        empty = False
        yield event
    if empty:
        yield Unreadable(str(item.path), "no frame of it lies in the span")


def _compiled(group_by: str | None) -> re.Pattern[str] | None:
    if group_by is None:
        return None
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise ConfigError(f"--group-by {group_by!r}: {error}") from None
    if pattern.groups != 1:
        raise ConfigError(f"--group-by {group_by!r}: put parentheses around the part that names the group")
    return pattern


def _group(path: Path, folder: Path, pattern: re.Pattern[str] | None) -> str:
    relative = path.relative_to(folder)
    if pattern is not None:
        match = pattern.search(str(relative))
        if match is None or match.group(1) is None:
            raise ConfigError(f"--group-by {pattern.pattern!r}: does not match {relative}")
        return match.group(1)
    return str(relative.parent) if len(relative.parts) > 1 else f"{folder.name}/{relative}"


def _span(row: dict[str, str], where: str, folder: Path, pattern: re.Pattern[str] | None) -> LabelledItem:
    path = folder / (row["video"] or "")
    if not path.is_file():
        raise ConfigError(f"{where}: no such video: {path}")
    try:
        start_s, end_s = float(row["start_s"]), float(row["end_s"])
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: start_s and end_s must be numbers, in seconds") from None
    if not 0 <= start_s < end_s:
        raise ConfigError(f"{where}: start_s {start_s} must not be negative, nor end_s {end_s} before it")
    label = (row["label"] or "").strip()
    if not label:
        raise ConfigError(f"{where}: the label is empty")
    group = _group(path, folder, pattern) if pattern is not None else str(path)
    return LabelledItem(path, label, group, start_s, end_s)


def _checked(origin: Path, items: list[LabelledItem], empty: tuple[str, ...] = ()) -> Dataset:
    classes = tuple(sorted({item.label for item in items}))
    if odd := [name for name in classes if name != name.encode("utf-8", "replace").decode()]:
        raise ConfigError(f"{origin}: the folder {odd[0]!r} has no name in UTF-8; name it as the class shall be called")
    if len(classes) < 2:
        content = f"only {classes[0]!r}" if classes else "no picture or video"
        none = f" (none in {', '.join(map(printable, empty))})" if classes and empty else ""
        raise ConfigError(f"{origin}: {content} in it{none}; at least two classes are needed")
    return Dataset(classes, tuple(items), empty)
