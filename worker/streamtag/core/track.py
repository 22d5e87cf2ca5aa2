"""What one job has to say: scores in, encoded results, events and a checkpoint out. Pure: no clock, no Redis.

Two threads tell what became of its samples, intake and inference, each in an order of its own. A checkpoint must not
pass over a sample that is still on its way, so each takes its turn by its number (``Sample.sampled``, which has no
holes), whoever tells of it and when.

A batch mixes the samples of many streams, so what can be done for all of them at once is done in ``record_batch``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import orjson

from streamtag.core.bundle import Bundle
from streamtag.core.options import SmoothingSettings
from streamtag.core.records import Checkpoint, Claim, Sample
from streamtag.core.smoothing import LabelTransition, Smoother

LEAST_SCENE_CHANGE = 0.3  # of a picture that is worth a word: a replay needs those that may be cuts


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic step of a job: what is published and where the job then stands."""

    expected_seq: int
    results: list[tuple[str, bytes]]  # (entry id, payload)
    events: list[bytes]
    checkpoint: Checkpoint
    captured_unix_s: list[float] = field(default_factory=list)  # of the results, for the latency histogram
    active: tuple[str, ...] = ()  # names of the labels that are active by then


class Track:
    """The publishing side of one running job. Owned by the commits thread."""

    def __init__(self, claim: Claim, bundle: Bundle, settings: SmoothingSettings) -> None:
        checkpoint = claim.checkpoint
        self.job = claim.job
        self._live = claim.job.is_live
        self.counters = checkpoint.counters.copy()
        self.smoother = Smoother(settings, bundle.classes, bundle.thresholds, bundle.background)
        self.smoother.load(checkpoint.smoother)
        self._seq = checkpoint.seq
        self._last_index = checkpoint.last_index
        self.last_pts_s = checkpoint.last_pts_s  # of the last sample whose fate is known
        self._last_ms, self._last_n = (int(part) for part in checkpoint.last_id.split("-"))
        self._last_captured_unix_s = checkpoint.last_captured_unix_s
        self._last_published_unix_s = checkpoint.last_captured_unix_s  # capture of the last sample that has a result
        self._results: list[tuple[str, bytes]] = []
        self._events: list[bytes] = []
        self._smoothed = self.counters.sampled  # number of the last sample that had its turn with the smoother
        self._held: dict[int, Callable[[], None]] = {}  # told before their turn, by number
        self._captured_unix_s: list[float] = []  # of the pending results
        self._sent: Commit | None = None  # asked for and not known to be in Redis
        self.labels = bundle.labels
        self.last_failure = ""

    @property
    def pending_results(self) -> int:
        return len(self._results)

    @property
    def held(self) -> int:
        """Samples that wait for what became of those before them."""
        return len(self._held)

    @property
    def has_pending(self) -> bool:
        return bool(self._results or self._events or self._sent)

    def is_next(self, sample: Sample) -> bool:
        """Whether it is this sample's turn to be smoothed."""
        return sample.sampled == self._smoothed + 1

    def smooth(self, sample: Sample, scores: np.ndarray) -> np.ndarray:
        """Take one sample's scores, (classes,) float32; note what entered or left; return the smoothed ones."""
        self._smoothed = sample.sampled
        smoothed, transitions = self.smoother.update(sample.pts_s, scores, sample.scene_change)
        self._note_transitions(transitions)
        return smoothed

    def publish(self, sample: Sample, labels: list[dict[str, Any]], active: list[str]) -> None:
        """Queue the result of a sample that ``smooth`` has seen."""
        payload = {"index": sample.index, "pts_s": round(sample.pts_s, 6), "labels": labels, "active": active}
        if sample.scene_change >= LEAST_SCENE_CHANGE:
            payload["change"] = round(sample.scene_change, 3)
        if sample.path:
            payload["path"] = sample.path
        self._results.append((self._next_id(sample), orjson.dumps(payload)))
        self._captured_unix_s.append(sample.captured_unix_s)
        self._last_published_unix_s = sample.captured_unix_s
        self.counters.published += 1
        self._account(sample)

    def hold(self, sample: Sample, record: Callable[[], None]) -> None:
        """Keep a sample whose turn has not come, and what publishes it then."""
        self._check_new(sample)
        self._held[sample.sampled] = record

    def drop(self, sample: Sample, reason: str) -> None:
        """A sample that will not be classified, for a reason of ours."""

        def apply() -> None:
            _count(self.counters.dropped, reason)
            self._account(sample)

        self.hold(sample, apply)
        self.take_turns()

    def fail(self, sample: Sample, reason: str, detail: str) -> None:
        """A sample that cannot be classified, for a reason of its own."""

        def apply() -> None:
            _count(self.counters.failed, reason)
            self.last_failure = f"{reason}: {detail}"
            path = {"path": sample.path} if sample.path else {}
            self.event("frame_failed", sample.pts_s, index=sample.index, reason=reason, detail=detail, **path)
            self._account(sample)

        self.hold(sample, apply)
        self.take_turns()

    def take_turns(self) -> None:
        """Go on with the samples that were told of before their turn, as far as none is missing."""
        while (apply := self._held.pop(self.counters.sampled + 1, None)) is not None:
            apply()

    def event(self, kind: str, pts_s: float | None = None, **content: Any) -> None:
        head: dict[str, Any] = {"job_id": self.job.job_id, "stream": self.job.stream or self.job.job_id, "kind": kind}
        head["pts_s"] = round(self.last_pts_s if pts_s is None else pts_s, 6)
        self._events.append(orjson.dumps(head | content))

    def gap(self, until_unix_s: float, reason: str) -> None:
        """Say what a live stream missed between its last result and now."""
        if self._last_published_unix_s:
            missed_s = max(0.0, until_unix_s - self._last_published_unix_s)
            self.event(
                "gap", reason=reason, from_unix_s=round(self._last_published_unix_s, 3), missed_s=round(missed_s, 3)
            )

    def totals(self, decoded: int) -> None:
        """The decoder has seen this many frames by now: those after the last sample were skipped."""
        self.counters.decoded = max(self.counters.decoded, decoded)

    def close(self) -> None:
        """The stream ended: its active labels exit."""
        self._note_transitions(self.smoother.close())

    def commit(self) -> Commit:
        """Everything pending, as one step. The very same step again until ``committed`` is called.

        A step whose reply was lost may be in Redis already. Sent again with more in it, it would be taken for done,
        and what was added would be lost; so that waits for the next step.
        """
        if self._sent is None:
            checkpoint = Checkpoint(
                seq=self._seq + 1,
                last_index=self._last_index,
                last_pts_s=self.last_pts_s,
                last_id=f"{self._last_ms}-{self._last_n}",
                last_captured_unix_s=self._last_captured_unix_s,
                counters=self.counters.copy(),
                smoother=self.smoother.dump(),
            )
            active = tuple(self.labels[class_id] for class_id in self.smoother.active)
            self._sent = Commit(self._seq, self._results, self._events, checkpoint, self._captured_unix_s, active)
            self._results, self._events, self._captured_unix_s = [], [], []
        return self._sent

    def committed(self) -> None:
        """Redis has the last ``commit``."""
        self._seq += 1
        self._sent = None

    def _note_transitions(self, transitions: list[LabelTransition]) -> None:
        for transition in transitions:
            label = {"class_id": transition.class_id, "name": self.labels[transition.class_id]}
            since_s, score = round(transition.since_s, 6), round(transition.score, 6)
            self.event(transition.kind, transition.pts_s, label=label, since_pts_s=since_s, score=score)

    def _check_new(self, sample: Sample) -> None:
        if sample.sampled <= self.counters.sampled or sample.sampled in self._held:
            raise ValueError(f"sample {sample.sampled} was told of twice; {self.counters.sampled} are accounted for")

    def _account(self, sample: Sample) -> None:
        self.counters.sampled = self._smoothed = sample.sampled
        self.counters.decoded = max(self.counters.decoded, sample.decoded)
        self._last_index = sample.index
        self.last_pts_s = sample.pts_s
        self._last_captured_unix_s = sample.captured_unix_s

    def _next_id(self, sample: Sample) -> str:
        """Finite: from the sample alone, so that a replay has the same id. Live: from the clock, never backwards."""
        if self._live:
            milliseconds = max(self._last_ms, int(sample.captured_unix_s * 1000))
            count = self._last_n + 1 if milliseconds == self._last_ms else 0
        else:
            milliseconds, count = max(self._last_ms, int(sample.pts_s * 1000)), sample.index + 1
        self._last_ms, self._last_n = milliseconds, count
        return f"{milliseconds}-{count}"


def _count(counts: dict[str, int], reason: str) -> None:
    counts[reason] = counts.get(reason, 0) + 1


def record_batch(
    tracks: Sequence[Track], samples: Sequence[Sample], scores: np.ndarray, top_k: int
) -> list[tuple[int, Exception]]:
    """Smooth and publish one batch. A sample whose turn has not come is kept until then.

    Args:
        tracks: the track of each sample.
        scores: (len(samples), classes) float32 probabilities.
        top_k: labels published per sample, by smoothed score.

    Returns:
        The rows that could not be recorded, and why. Those of other streams are.
    """
    failed = _record(tracks, samples, scores, top_k)
    for row, track in enumerate(tracks):
        try:
            track.take_turns()
        except Exception as error:  # of one stream: the others of the batch must not suffer
            failed[row] = error
    return list(failed.items())


def _record(tracks: Sequence[Track], samples: Sequence[Sample], scores: np.ndarray, top_k: int) -> dict[int, Exception]:
    smoothed = np.empty_like(scores)
    active: dict[int, list[int]] = {}
    failed: dict[int, Exception] = {}
    for row, (track, sample) in enumerate(zip(tracks, samples, strict=True)):
        try:
            if track.is_next(sample):
                smoothed[row] = track.smooth(sample, scores[row])
                active[row] = track.smoother.active
                continue
            track.hold(sample, partial(_record_alone, track, sample, scores[row : row + 1].copy(), top_k))
        except Exception as error:  # as above
            failed[row] = error
        smoothed[row] = scores[row]
    ids, raw, steady = _top(scores, smoothed, top_k)
    for row, class_ids in active.items():
        names = tracks[row].labels
        labels = [
            {"class_id": class_id, "name": names[class_id], "score": score, "smoothed": value}
            for class_id, score, value in zip(ids[row], raw[row], steady[row], strict=True)
        ]
        tracks[row].publish(samples[row], labels, [names[class_id] for class_id in class_ids])
    return failed


def _record_alone(track: Track, sample: Sample, scores: np.ndarray, top_k: int) -> None:
    for error in _record([track], [sample], scores, top_k).values():
        raise error


def _top(
    scores: np.ndarray, smoothed: np.ndarray, top_k: int
) -> tuple[list[list[int]], list[list[float]], list[list[float]]]:
    """Class ids, raw and smoothed scores of the best ``top_k`` of each row, best smoothed first."""
    count = min(top_k, smoothed.shape[1])
    rows = np.arange(len(smoothed))
    rest = smoothed.copy()
    best = np.empty((len(smoothed), count), np.int64)
    # One vectorised argmax a rank: for the usual five ranks of 1000 classes this was 20 times as fast as argpartition.
    for rank in range(count):
        best[:, rank] = rest.argmax(axis=1)
        rest[rows, best[:, rank]] = -1.0
    raw, steady = (values[rows[:, None], best].astype(np.float64).round(6) for values in (scores, smoothed))
    return best.tolist(), raw.tolist(), steady.tolist()
