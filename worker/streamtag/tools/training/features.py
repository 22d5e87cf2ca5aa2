"""What a frozen backbone says of each picture, computed once and kept: training epochs then cost seconds."""

from __future__ import annotations

import hashlib
import itertools
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Sampling
from streamtag.errors import StreamtagError
from streamtag.networks.engines.base import Engine
from streamtag.tools.dataset import LabelledItem, by_item
from streamtag.tools.frames import InputFrame, Reading, Unreadable, in_batches


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows of training material."""

    views: np.ndarray  # (n, v, f) float32: the picture itself, its mirror image, crops of it
    classes: np.ndarray  # (n,) int64
    unreadable: tuple[tuple[str, str], ...] = ()  # path and reason
    groups: np.ndarray = field(default_factory=lambda: np.zeros(0, np.str_))  # (n,) what must stay together

    @property
    def features(self) -> np.ndarray:
        """(n, f) float32 of the pictures as the worker will see them."""
        return self.views[:, 0]

    def chosen(self, flip: bool) -> np.ndarray:
        """(n, v, f) float32 views, with or without the mirrored one."""
        return self.views if flip else np.delete(self.views, 1, axis=1)

    def augmented(self, flip: bool) -> tuple[np.ndarray, np.ndarray]:
        """Every view as a row of its own, (n·v, f), and the class of each."""
        views = self.chosen(flip)
        return views.reshape(-1, views.shape[2]), np.repeat(self.classes, views.shape[1])


class FeatureStore:
    """Features on disk, computed where they are missing.

    Args:
        folder: of this backbone, with these weights, in this engine.
        engine: the backbone, compiled; its outputs are features.
        crops: of each picture, at random: more pictures of the same thing where there are few.
    """

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        preprocessing: Preprocessing,
        reading: Reading,
        sampling: Sampling,
        crops: int,
    ) -> None:
        self._folder = folder
        self._engine = engine
        self._preprocessing = preprocessing
        self._reading = reading
        self._sampling = sampling
        self._crops = crops
        self._at_once = max(1, engine.buckets[-1] // (2 + crops))  # pictures in a batch with all their views

    def examples(
        self, items: Sequence[LabelledItem], classes: Sequence[str], progress: Callable[[int], None]
    ) -> Examples:
        """Features of every item, from the store where it has them.

        Args:
            progress: called with the number of items done.

        Raises:
            StreamtagError: the store cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._no_room(error) from None
        outcomes = {item: stored for item in items if (stored := self._stored(item)) is not None}
        progress(len(outcomes))
        missing = [item for item in items if item not in outcomes]
        unreadable: dict[LabelledItem, str] = {}
        for item, events in itertools.groupby(self._computed(missing), key=lambda pair: pair[0]):
            views, reason = [], ""
            for _, event in events:
                if isinstance(event, Unreadable):
                    reason = event.detail
                else:
                    views.append(event)
            if views:
                outcomes[item] = self._keep(item, np.stack(views))
            else:
                unreadable[item] = reason
            progress(len(outcomes) + len(unreadable))
        # In the order of the items: the same seed gives the same weights, whatever was stored before.
        rows = [(outcomes[item], classes.index(item.label)) for item in items if item in outcomes]
        stacked = np.concatenate([views for views, _ in rows]) if rows else np.zeros((0, 2, 1), np.float32)
        labels = np.concatenate([np.full(len(views), number) for views, number in rows]) if rows else np.zeros(0)
        left_out = tuple((str(item.path), unreadable[item]) for item in items if item in unreadable)
        together = [item.label + "/" + item.group for item in items if item in outcomes for _ in outcomes[item]]
        return Examples(stacked, labels.astype(np.int64), left_out, np.array(together, np.str_))

    def _stored(self, item: LabelledItem) -> np.ndarray | None:
        try:
            return np.asarray(np.load(self._path(item)))
        except (OSError, ValueError, EOFError):  # none, or one that was damaged since
            return None

    def _computed(self, items: Sequence[LabelledItem]) -> Iterator[tuple[LabelledItem, np.ndarray | Unreadable]]:
        """(v, f) float32 of each frame."""
        events = by_item(items, lambda paths: self._reading.frames(paths, self._sampling))
        return in_batches(events, self._at_once, self._infer)

    def _infer(self, frames: list[InputFrame]) -> np.ndarray:
        """(n, v, f) float32."""
        views = [view for frame in frames for view in self._views(frame.picture)]
        return self._engine.predict(views).reshape(len(frames), 2 + self._crops, -1)

    def _views(self, picture: np.ndarray) -> Iterator[np.ndarray]:
        """The picture, its mirror image, and squares of 0.5 to 1 of its side, every other one mirrored."""
        yield picture
        yield picture[:, ::-1]
        # From the picture alone, so that another order of the pictures gives the same features.
        generator = np.random.default_rng(zlib.crc32(picture.tobytes()))
        size = self._preprocessing.size
        for number in range(self._crops):
            side = int(size * generator.uniform(0.5, 1.0))
            top, left = generator.integers(0, size - side + 1, 2)
            square = cv2.resize(picture[top : top + side, left : left + side], (size, size))
            yield square[:, ::-1] if number % 2 else square

    def _keep(self, item: LabelledItem, rows: np.ndarray) -> np.ndarray:
        path = self._path(item)
        part = path.with_suffix(f".{os.getpid()}.npy")
        try:
            np.save(part, rows.astype(np.float32))
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise self._no_room(error) from None
        return rows

    def _no_room(self, error: OSError) -> StreamtagError:
        return StreamtagError(
            f"{self._folder}: features cannot be kept: {error.strerror}; make room, or name another folder with "
            "--set model.cache=FOLDER/models"
        )

    def _path(self, item: LabelledItem) -> Path:
        """Another file, another size or date of it, another span or rate: another entry."""
        state = item.path.stat()
        fps = self._sampling if item.is_video else ""
        identity = f"{item.path.resolve()} {state.st_size} {state.st_mtime_ns} {item.start_s} {item.end_s} {fps}"
        geometry = f"{self._preprocessing.size} {self._preprocessing.crop} {self._crops}"
        return self._folder / f"{hashlib.sha256(os.fsencode(f'{identity} {geometry}')).hexdigest()}.npy"
