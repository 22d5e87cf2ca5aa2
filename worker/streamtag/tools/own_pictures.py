"""Pictures of one's own as a network will see them, for what only real ones can judge."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.source import is_picture_of_folder
from streamtag.errors import StreamtagError
from streamtag.settings import Settings
from streamtag.tools.classify import expand
from streamtag.tools.frames import InputFrame, Reading


def read_pictures(folder: Path, settings: Settings, preprocessing: Preprocessing, most: int) -> list[InputFrame]:
    """At most so many pictures of a folder and the folders in it, or samples of a video, taken evenly.

    Raises:
        StreamtagError: nothing in it can be read.
    """
    below = sorted(path for path in folder.glob("[!.]*/*") if is_picture_of_folder(path.name))
    sources = [str(path) for path in below] or list(expand([str(folder)]))
    sources = [sources[number] for number in _evenly(len(sources), most)]
    frames = Reading(settings, preprocessing, 16).frames(sources)
    pictures = [frame for frame in frames if isinstance(frame, InputFrame)]
    if not pictures:
        raise StreamtagError(f"{folder}: no picture in it can be read")
    return [pictures[number] for number in _evenly(len(pictures), most)]


def true_classes(frames: Sequence[InputFrame], labels: Sequence[str]) -> list[int] | None:
    """The class of each picture by the name of its folder; None where not all of them are in such a folder."""
    by_name = {label: number for number, label in enumerate(labels)}
    named = [by_name.get(Path(frame.source).parent.name) for frame in frames]
    known = [number for number in named if number is not None]
    return known if len(known) == len(named) else None


def _evenly(count: int, most: int) -> list[int]:
    return sorted({int(number) for number in np.linspace(0, count - 1, min(count, most))})
