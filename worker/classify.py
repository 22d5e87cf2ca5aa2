"""Classify pictures and videos without Redis: the same decoder process, preprocessing, engine and smoothing."""

from __future__ import annotations

import multiprocessing.connection
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from worker.bundle import Bundle
from worker.engines.base import Engine, recalibrate
from worker.errors import StreamtagError
from worker.ingest import decoder, wire
from worker.ingest.annotating import Caption, Picture, annotate
from worker.ingest.opening import image_paths
from worker.ingest.slots import MAX_SLOTS
from worker.ingest.stream import Ring, forkserver, start_decoder
from worker.records import Label, Sample, Sampling, SourceKind, source_kind
from worker.settings import Settings
from worker.smoothing import Smoother


@dataclass(frozen=True, slots=True)
class Segment:
    """A steady label of a video, from its enter to its exit."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found in one picture or video."""

    path: str
    labels: tuple[Label, ...] = ()  # best first; of a video the mean over its samples
    error: str = ""
    samples: int = 1
    segments: tuple[Segment, ...] = ()  # videos only
    captions: tuple[Caption, ...] = field(default=(), repr=False)  # what to draw on it, and from when


@dataclass(frozen=True, slots=True)
class _Scored:
    sample: Sample
    scores: np.ndarray  # (classes,) float32


class Classifier:
    """
    Args:
        engine: compiled for its buckets.
    """

    def __init__(self, settings: Settings, bundle: Bundle, engine: Engine) -> None:
        self._settings = settings
        self._bundle = bundle
        self._engine = engine
        self._context = forkserver()

    def classify(
        self,
        sources: Sequence[str],
        top: int,
        sampling: Sampling | None = None,
        progress: Callable[[int], None] = lambda n: None,
    ) -> Iterator[Answer]:
        """An answer for each picture of the sources and for each video, in order.

        Args:
            sources: pictures, folders or globs of pictures, videos, URLs.
            top: labels in an answer.
            sampling: which frames of a video count.
            progress: called with the number of samples classified so far of the source at hand.
        """
        pictures: list[str] = []
        for source in expand(sources):
            if source_kind(source) is SourceKind.IMAGE:
                pictures.append(source)
                continue
            yield from self._pictures(pictures, top, progress)
            pictures = []
            yield self._video(source, top, sampling or Sampling(), progress)
        yield from self._pictures(pictures, top, progress)

    def _pictures(self, paths: list[str], top: int, progress: Callable[[int], None]) -> Iterator[Answer]:
        """Pictures share one decoder process; one that kills it is named, and the rest go on in a new one."""
        at = 0
        while at < len(paths):
            answered = 0
            failure = ""
            for event in self._read(paths[at], tuple(paths[at:]), Sampling()):
                if isinstance(event, str):
                    failure = event
                    break
                path = paths[at + event.sample.index]
                answered = event.sample.index + 1
                progress(at + answered)
                if isinstance(event, _Scored):
                    yield Answer(path, self._best(event.scores, top))
                else:
                    yield Answer(path, error=event.detail)
            at += answered
            if failure and at < len(paths):
                yield Answer(paths[at], error=failure)
                at += 1

    def _video(self, source: str, top: int, sampling: Sampling, progress: Callable[[int], None]) -> Answer:
        smoother = Smoother(
            self._settings.smoothing, self._bundle.classes, self._bundle.thresholds, self._bundle.nothing
        )
        total = np.zeros(self._bundle.classes, np.float64)
        captions: list[Caption] = []
        segments: list[Segment] = []
        opened: dict[int, float] = {}
        samples, failure = 0, ""
        for event in self._read(source, (), sampling):
            if isinstance(event, str):
                failure = event
            elif isinstance(event, _Scored):
                samples += 1
                progress(samples)
                total += event.scores
                pts_s = event.sample.pts_s
                smoothed, changes = smoother.update(pts_s, event.scores, event.sample.change)
                self._note(changes, opened, segments)
                active = [f"{self._bundle.labels[c]} {smoothed[c]:.0%}" for c in smoother.active]
                captions.append(Caption(event.sample.index, ", ".join(active)))
        if not samples:
            return Answer(source, error=failure or "no frame of it could be decoded")
        self._note(smoother.close(), opened, segments)
        segments.sort(key=lambda segment: segment.start_s)
        best = self._best((total / samples).astype(np.float32), top)
        return Answer(source, best, failure, samples, tuple(segments), tuple(captions))

    def _note(self, changes: Sequence[Any], opened: dict[int, float], segments: list[Segment]) -> None:
        for change in changes:
            if change.kind == "enter":
                opened[change.class_id] = change.since_s
            else:
                start_s = opened.pop(change.class_id)
                segments.append(Segment(self._bundle.labels[change.class_id], start_s, change.since_s))

    def _best(self, scores: np.ndarray, top: int) -> tuple[Label, ...]:
        order = np.argsort(-scores, kind="stable")[:top].tolist()
        names = self._bundle.labels
        return tuple(Label(c, names[c], round(float(scores[c]), 6), round(float(scores[c]), 6)) for c in order)

    def _read(self, source: str, pictures: tuple[str, ...], sampling: Sampling) -> Iterator[_Scored | _Lost | str]:
        """Decode and classify one source. A text is the reason why it ended too soon."""
        settings = self._settings.source
        # Enough to fill the largest bucket while the next pictures are decoded.
        slots = min(MAX_SLOTS, max(settings.slots, 2 * self._engine.buckets[-1]))
        request = decoder.Request(
            source=source,
            live=False,
            sampling=sampling,
            default_fps=self._settings.sampling.finite_fps,
            preprocessing=self._bundle.preprocessing,
            settings=settings,
            slots=slots,
            resume_index=-1,
            decoded=0,
            sampled=0,
            start_pts_s=0.0,
            pictures=pictures,
        )
        ring, process = start_decoder(request, self._context)
        try:
            yield from self._drain(ring)
        finally:
            process.kill()
            ring.parent.close()

    def _drain(self, ring: Ring) -> Iterator[_Scored | _Lost | str]:
        waiting: list[Sample] = []
        for message in self._messages(ring):
            if isinstance(message, wire.SampleMessage):
                waiting.append(message.sample)
                if len(waiting) >= min(self._engine.buckets[-1], len(ring.pictures)):
                    yield from self._infer(ring, waiting)
                    waiting = []
                continue
            kind = message["type"]
            if kind in ("opened", "progress"):
                continue
            yield from self._infer(ring, waiting)
            waiting = []
            if kind == "frame_failed":
                yield _Lost(Sample(message["index"], message["pts_s"], 0.0, 0, 0.0, 0, 0), message["detail"])
                continue
            if kind == "failed":
                yield message["reason"]
            return

    def _messages(self, ring: Ring) -> Iterator[wire.Message]:
        """What the decoder says, as it says it; a decoder that falls silent or dies ends with ``failed``."""
        patience_s = self._settings.source.watchdog_s
        while multiprocessing.connection.wait([ring.parent], patience_s):
            messages = ring.receive()
            if messages is None:
                yield {"type": "failed", "reason": "the decoder process died on it"}
                return
            yield from messages
        yield {"type": "failed", "reason": f"the decoder gave no sign of life for {patience_s:.0f} s"}

    def _infer(self, ring: Ring, samples: list[Sample]) -> Iterator[_Scored]:
        if not samples:
            return
        bucket = next(size for size in self._engine.buckets if size >= len(samples))
        batch = np.zeros((bucket, *self._bundle.preprocessing.shape), np.uint8)
        for row, sample in enumerate(samples):
            batch[row] = ring.pictures[sample.slot]
            ring.release(sample.slot)
        scores = recalibrate(self._engine.dispatch(batch).result()[: len(samples)], self._bundle.temperature)
        for sample, row_scores in zip(samples, scores, strict=True):
            yield _Scored(sample, row_scores)

    def draw(self, answer: Answer, out: Path) -> None:
        """Write a copy of a picture or video with its labels drawn on it.

        Raises:
            StreamtagError: it cannot be read again, or the copy cannot be written.
        """
        captions = answer.captions
        if not captions:
            text = "\n".join(f"{label.name} {label.score:.0%}" for label in answer.labels[:3])
            captions = (Caption(0, text),)
        picture = Picture(answer.path, str(out), captions, self._settings.source)
        problem = annotate(picture, self._context)
        if problem:
            raise StreamtagError(problem)


@dataclass(frozen=True, slots=True)
class _Lost:
    sample: Sample
    detail: str


def expand(sources: Sequence[str]) -> Iterator[str]:
    """The pictures of folders and globs, in order of their names; everything else as it is.

    Raises:
        StreamtagError: a folder without pictures, or a glob that matches nothing.
    """
    for source in sources:
        paths = [] if "://" in source else image_paths(source)
        # What stands for itself alone is shown as it was written.
        yield from map(str, paths) if paths and paths != [Path(source)] else [source]
