"""What a frozen backbone says of each picture, computed once and kept: training epochs then cost seconds."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamtag.core.bundle import Preprocessing
from streamtag.core.job import Sampling
from streamtag.errors import StreamtagError
from streamtag.networks.engines.base import Engine
from streamtag.tools.dataset import LabelledItem
from streamtag.tools.frames import InputFrame, Reading, Unreadable


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows of training material."""

    views: np.ndarray  # (n, v, f) float32: the picture itself, its mirror image, crops of it
    classes: np.ndarray  # (n,) int64
    lost: tuple[tuple[str, str], ...] = ()  # what could not be read, and why

    @property
    def features(self) -> np.ndarray:
        """(n, f) float32 of the pictures as the worker will see them."""
        return self.views[:, 0]

    def augmented(self, flip: bool) -> tuple[np.ndarray, np.ndarray]:
        """Every view as a row of its own, (n·v, f), and the class of each."""
        views = self.views if flip else np.delete(self.views, 1, axis=1)
        return views.reshape(-1, views.shape[2]), np.repeat(self.classes, views.shape[1])


class FeatureStore:
    """
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
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        rows, lost = [], []
        for done, (item, found) in enumerate(self._each(items), start=1):
            if isinstance(found, str):
                lost.append((str(item.path), found))
            else:
                rows.append((found, classes.index(item.label)))
            progress(done)
        stacked = np.concatenate([found for found, _ in rows]) if rows else np.zeros((0, 2, 1), np.float32)
        labels = np.concatenate([np.full(len(found), number) for found, number in rows]) if rows else np.zeros(0)
        return Examples(stacked, labels.astype(np.int64), tuple(lost))

    def _each(self, items: Sequence[LabelledItem]) -> Iterator[tuple[LabelledItem, np.ndarray | str]]:
        """(n, v, f) float32 of each item. A text says why there is none."""
        pending: list[LabelledItem] = []
        for item in items:
            stored = self._stored_before(item)
            if stored is not None:
                yield from self._computed(pending)
                pending = []
                yield item, stored
            elif item.is_video:
                yield from self._computed(pending)
                pending = []
                yield item, self._of_video(item)
            else:
                pending.append(item)
        yield from self._computed(pending)

    def _stored_before(self, item: LabelledItem) -> np.ndarray | None:
        try:
            return np.asarray(np.load(self._path(item)))
        except (OSError, ValueError, EOFError):  # none, or one that was damaged since
            return None

    def _computed(self, items: list[LabelledItem]) -> Iterator[tuple[LabelledItem, np.ndarray | str]]:
        """Pictures: one decoder process for all of them, and full batches."""
        waiting: list[tuple[LabelledItem, InputFrame]] = []
        events = self._reading.frames([str(item.path) for item in items]) if items else iter(())
        for item, event in zip(items, events, strict=True):
            if isinstance(event, Unreadable):
                yield item, event.detail
                continue
            waiting.append((item, event))
            if len(waiting) == self._at_once:
                yield from self._stored(waiting)
                waiting = []
        yield from self._stored(waiting)

    def _stored(self, waiting: list[tuple[LabelledItem, InputFrame]]) -> Iterator[tuple[LabelledItem, np.ndarray]]:
        found = self._infer([frame.picture for _, frame in waiting])
        for (item, _), row in zip(waiting, found, strict=True):
            yield item, self._keep(item, row[None])

    def _of_video(self, item: LabelledItem) -> np.ndarray | str:
        pictures, why = [], "no frame of it lies in the span"
        for event in self._reading.frames([str(item.path)], self._sampling):
            if isinstance(event, Unreadable):
                why = event.detail
            elif item.start_s <= event.sample.pts_s < item.end_s:
                pictures.append(event.picture)
            elif event.sample.pts_s >= item.end_s:
                break
        if not pictures:
            return why
        parts = [self._infer(pictures[at : at + self._at_once]) for at in range(0, len(pictures), self._at_once)]
        return self._keep(item, np.concatenate(parts))

    def _infer(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """(n, H, W, 3) uint8 to (n, v, f) float32."""
        if not pictures:
            return np.zeros((0, 2, 1), np.float32)
        views = np.stack([view for picture in pictures for view in self._views(picture)])
        bucket = next((size for size in self._engine.buckets if size >= len(views)), self._engine.buckets[-1])
        found = []
        for at in range(0, len(views), bucket):
            batch = np.zeros((bucket, *self._preprocessing.shape), np.uint8)
            part = views[at : at + bucket]
            batch[: len(part)] = part
            found.append(self._engine.dispatch(batch).result()[: len(part)])
        rows = np.concatenate(found)
        return rows.reshape(len(pictures), 2 + self._crops, -1)

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
            raise StreamtagError(
                f"{self._folder}: features cannot be kept: {error.strerror}; make room, or name another folder with "
                "--set model.cache=FOLDER/models"
            ) from None
        return rows

    def _path(self, item: LabelledItem) -> Path:
        """Another file, another size or date of it, another span or rate: another entry."""
        state = item.path.stat()
        fps = self._sampling if item.is_video else ""
        sign = f"{item.path.resolve()} {state.st_size} {state.st_mtime_ns} {item.start_s} {item.end_s} {fps}"
        geometry = f"{self._preprocessing.size} {self._preprocessing.crop} {self._crops}"
        return self._folder / f"{hashlib.sha256(f'{sign} {geometry}'.encode()).hexdigest()}.npy"
