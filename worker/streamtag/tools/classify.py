"""Classify pictures and videos without Redis: the same decoder process, preprocessing, engine and smoothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from streamtag.core.bundle import Bundle
from streamtag.core.job import Region, Sampling
from streamtag.core.labelling import make_smoother
from streamtag.core.recording import LEAST_GROUP
from streamtag.core.records import GroupLabel, Label
from streamtag.core.segments import Segment, SegmentBuilder
from streamtag.core.smoothing import Smoother
from streamtag.errors import ConfigError, StreamtagError
from streamtag.ingest.pictures import image_paths, is_one_picture
from streamtag.ingest.session import forkserver
from streamtag.networks.engines.base import calibrated
from streamtag.networks.loading import LoadedNetwork
from streamtag.settings import Settings
from streamtag.tools.dataset import LabelledItem, by_item
from streamtag.tools.drawing.annotating import Area, Caption, Picture, annotate
from streamtag.tools.drawing.lettering import fonts
from streamtag.tools.frames import InputFrame, Reading, Unreadable, in_batches

WHOLE: Mapping[str, Region | None] = {"": None}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the network says of one picture or video."""

    path: str
    labels: tuple[Label, ...] = ()  # best first; of a video the mean over its samples
    groups: tuple[GroupLabel, ...] = ()  # those with more than nothing to say, in the same way
    error: str = ""
    samples: int = 1
    segments: tuple[Segment, ...] = ()  # videos only
    captions: tuple[Caption, ...] = field(default=(), repr=False)  # what to draw on it, and from when
    region: str = ""  # where several were asked for by name
    note: str = ""  # what to know of a video: damage, samples that could not be decoded


@dataclass(frozen=True, slots=True)
class Moment:
    """One sample of a picture or video, raw and smoothed."""

    source: str
    pts_s: float
    scores: np.ndarray  # (outputs,) float32
    smoothed: np.ndarray  # (outputs,) float32; of a picture the scores
    active: tuple[int, ...] = ()  # outputs
    region: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a classification is."""

    done: float  # sources, the one that is being read counted by its part
    total: int  # sources
    samples: int


@dataclass(frozen=True, slots=True)
class Scored:
    """A sample with what the network says of it."""

    frame: InputFrame
    scores: np.ndarray  # (outputs,) float32 probabilities of classes and groups, at the bundle's temperature


class Classifier:
    """A loaded network over pictures and videos.

    Args:
        regions: what is looked at of each picture or frame, by name.
        credential: by name, for sources on the network.
    """

    def __init__(
        self,
        settings: Settings,
        network: LoadedNetwork,
        regions: Mapping[str, Region | None] = WHOLE,
        credential: str = "",
    ) -> None:
        self._settings = settings
        self._bundle = network.bundle
        self._engine = network.engine
        # Enough to fill the largest bucket while the next pictures are decoded.
        ahead = 2 * self._engine.buckets[-1]
        self._regions = regions
        self._reading = Reading(settings, self._bundle.preprocessing, ahead, tuple(regions.values()), credential)

    def step_s(self, sampling: Sampling) -> float | None:
        """Seconds between two samples of a video; None where its frames decide."""
        return self._settings.sampling.step_s(sampling, live=False)

    def scored(self, sources: Sequence[str], sampling: Sampling | None = None) -> Iterator[Scored | Unreadable]:
        """Every sample of pictures and videos with its scores, in order."""
        frames = ((None, event) for event in self._reading.frames(sources, sampling))
        yield from (event for _, event in in_batches(frames, self._engine.buckets[-1], self._infer))

    def scored_items(
        self, items: Sequence[LabelledItem], sampling: Sampling
    ) -> Iterator[tuple[LabelledItem, Scored | Unreadable]]:
        """Every sample of labelled pictures and spans with its scores."""
        events = by_item(items, lambda paths: self._reading.frames(paths, sampling))
        return in_batches(events, self._engine.buckets[-1], self._infer)

    def classify(
        self,
        sources: Sequence[str],
        top: int,
        sampling: Sampling | None = None,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        on_moment: Callable[[Moment], None] = lambda moment: None,
    ) -> Iterator[Answer]:
        """An answer for each picture of the sources and for each video, in order; one for each region of it.

        Args:
            sources: pictures, videos, URLs; no folders (``expand``).
            top: labels in an answer.
            sampling: which frames of a video count.
            on_progress, on_moment: told after each sample.
        """
        watchers = _Watchers(len(sources), on_progress, on_moment)
        pictures: list[str] = []
        for source in sources:
            if is_one_picture(source):
                pictures.append(source)
                continue
            yield from self._pictures(pictures, top, watchers)
            pictures = []
            yield from self._video(source, top, sampling or Sampling(), watchers)
        yield from self._pictures(pictures, top, watchers)

    def _pictures(self, paths: list[str], top: int, watchers: _Watchers) -> Iterator[Answer]:
        names = list(self._regions)
        for event in self.scored(paths):
            region = event.frame.sample.region if isinstance(event, Scored) else event.region
            if isinstance(event, Scored):
                moment = Moment(event.frame.source, 0.0, event.scores, event.scores, region=names[region])
                watchers.sample(moment, 0.0)
            if region == len(names) - 1:
                watchers.source_done()
            if isinstance(event, Scored):
                best = self._best(event.scores, top), self._groups(event.scores, top)
                yield Answer(event.frame.source, *best, region=names[region])
            else:
                yield Answer(event.source, error=event.detail, region=names[region])

    def _video(self, source: str, top: int, sampling: Sampling, watchers: _Watchers) -> Iterator[Answer]:
        views = [_View(name, self._smoother(sampling), self._bundle) for name in self._regions]
        failure, failed = "", _Failed()
        for event in self.scored([source], sampling):
            if isinstance(event, Unreadable):
                if event.whole:
                    failure = event.detail
                else:
                    failed.take(event)
                continue
            moment = views[event.frame.sample.region].take(source, event)
            watchers.sample(moment, event.frame.share or 0.0)
        watchers.source_done()
        for region, view in enumerate(views):
            if not view.captions:
                error = failure or failed.last or "no frame of it could be decoded"
                yield Answer(source, error=error, region=view.name)
                continue
            view.close()
            best = self._best(view.mean, top), self._groups(view.mean, top)
            segments, captions = view.segments.segments(), tuple(view.captions)
            note = "; ".join(filter(None, (failed.told(region), self._reading.notes.get(source))))
            yield Answer(source, *best, failure, len(captions), segments, captions, view.name, note)

    def _smoother(self, sampling: Sampling) -> Smoother:
        return make_smoother(self._bundle, self._settings.smoothing, step_s=self.step_s(sampling))

    def _best(self, scores: np.ndarray, top: int) -> tuple[Label, ...]:
        order = np.argsort(-scores[: self._bundle.classes], kind="stable")[:top].tolist()
        names = self._bundle.labels
        return tuple(Label(c, names[c], round(float(scores[c]), 6), round(float(scores[c]), 6)) for c in order)

    def _groups(self, scores: np.ndarray, top: int) -> tuple[GroupLabel, ...]:
        sums = scores[self._bundle.classes :]
        best = [number for number in np.argsort(-sums, kind="stable")[:top].tolist() if sums[number] >= LEAST_GROUP]
        values = [(self._bundle.groups.all[number].name, round(float(sums[number]), 6)) for number in best]
        return tuple(GroupLabel(name, value, value) for name, value in values)

    def _infer(self, frames: list[InputFrame]) -> Iterator[Scored]:
        scores = self._engine.predict([frame.picture for frame in frames])
        probabilities = calibrated(scores, self._bundle)
        return map(Scored, frames, self._bundle.groups.extend(probabilities))

    def draw(self, answers: Sequence[Answer], out: Path) -> None:
        """Write a copy of a picture or video with its labels drawn on it.

        Args:
            answers: what was found in each region of it.

        Raises:
            StreamtagError: it cannot be read again, or the copy cannot be written.
        """
        areas = tuple(
            Area(self._regions[answer.region], answer.region, answer.captions or (Caption(0, _text(answer)),))
            for answer in answers
        )
        texts = {text for area in areas for text in (area.name, *(caption.text for caption in area.captions))}
        letters = fonts("".join({char for text in texts for char in text}))
        problem = annotate(Picture(answers[0].path, str(out), areas, self._settings.source, letters), forkserver())
        if problem:
            raise StreamtagError(problem)


def _text(answer: Answer) -> str:
    return "\n".join(f"{label.name} {label.score:.0%}" for label in answer.labels[:3])


class _View:
    """What one region of a video shows, sample by sample."""

    def __init__(self, name: str, smoother: Smoother, bundle: Bundle) -> None:
        self.name = name
        self.captions: list[Caption] = []  # one a sample
        self.segments = SegmentBuilder(bundle.outputs)
        self._smoother = smoother
        self._labels = bundle.outputs
        self._total = np.zeros(len(bundle.outputs), np.float64)

    @property
    def mean(self) -> np.ndarray:
        """(outputs,) float32 over its samples."""
        mean: np.ndarray = (self._total / len(self.captions)).astype(np.float32)
        return mean

    def take(self, source: str, scored: Scored) -> Moment:
        """Take the next sample in."""
        sample = scored.frame.sample
        self._total += scored.scores
        smoothed, changes = self._smoother.update(sample.pts_s, scored.scores, sample.scene_change)
        self.segments.add(changes)
        classes = tuple(self._smoother.active)
        self.captions.append(Caption(sample.index, ", ".join(f"{self._labels[c]} {smoothed[c]:.0%}" for c in classes)))
        return Moment(source, sample.pts_s, scored.scores, smoothed, classes, self.name)

    def close(self) -> None:
        """There are no more."""
        self.segments.add(self._smoother.close())


class _Failed:
    """Samples of a video that could not be decoded."""

    def __init__(self) -> None:
        self.last = ""  # why, of the last of them
        self._counts: Counter[int] = Counter()  # by region

    def take(self, unreadable: Unreadable) -> None:
        self.last = unreadable.detail
        self._counts[unreadable.region] += 1

    def told(self, region: int) -> str:
        """How many of a region there are, for people; empty where there is none."""
        count = self._counts[region]
        return f"samples that could not be decoded: {count} ({self.last})" if count else ""


class _Watchers:
    """Those who are told of samples and progress, and the counts for them."""

    def __init__(
        self, total: int, on_progress: Callable[[Progress], None], on_moment: Callable[[Moment], None]
    ) -> None:
        self._total = total
        self._on_progress = on_progress
        self._on_moment = on_moment
        self._sources = 0
        self._samples = 0

    def sample(self, moment: Moment, share: float) -> None:
        """One more sample, with the part of its source that has been read."""
        self._samples += 1
        self._on_moment(moment)
        self._on_progress(Progress(self._sources + share, self._total, self._samples))

    def source_done(self) -> None:
        self._sources += 1
        self._on_progress(Progress(self._sources, self._total, self._samples))


def expand(sources: Sequence[str]) -> Iterator[str]:
    """The pictures of folders and globs, in order of their names; everything else as it is.

    Raises:
        ConfigError: an empty one, which would be the folder that one is in.
        StreamtagError: a folder without pictures, or a glob that matches nothing.
    """
    for source in sources:
        if not source:
            raise ConfigError("the source is empty; name a picture, a folder, a video or a URL")
        paths = [] if "://" in source else image_paths(source)
        # What stands for itself alone is shown as it was written.
        yield from map(str, paths) if paths and paths != [Path(source)] else [source]
