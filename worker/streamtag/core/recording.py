"""From scores to what is published: a batch mixes the samples of many streams, so what can be done for all of them at
once is done here. Pure, as ``track.py`` is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import itemgetter

import numpy as np

from streamtag.core.groups import Groups
from streamtag.core.records import Sample
from streamtag.core.track import Labels, Track

LEAST_GROUP = 0.1  # smoothed score of a group that is worth a word


def record_batch(
    tracks: Sequence[Track], samples: Sequence[Sample], scores: np.ndarray, top_k: int
) -> list[tuple[int, Exception]]:
    """Smooth and publish one batch. A sample whose turn has not come is kept until then.

    Args:
        tracks: the track of each sample.
        scores: (len(samples), classes) float32 probabilities.
        top_k: labels published per sample, by smoothed score; and groups as well.

    Returns:
        The rows that could not be recorded, and why. Those of other streams are.
    """
    # All tracks are of one network.
    failed = _record(tracks, samples, tracks[0].groups.extend(scores), top_k)
    for row, track in enumerate(tracks):
        try:
            track.take_turns()
        except Exception as error:  # of one stream: the others of the batch must not suffer
            failed[row] = error
    return list(failed.items())


def _record(
    tracks: Sequence[Track], samples: Sequence[Sample], scores: np.ndarray, top_k: int, reused: bool = False
) -> dict[int, Exception]:
    smoothed = np.empty_like(scores)
    active: dict[int, list[int]] = {}
    failed: dict[int, Exception] = {}
    for row, (track, sample) in enumerate(zip(tracks, samples, strict=True)):
        try:
            if track.is_next(sample):
                smoothed[row] = track.smooth(sample, scores[row])
                active[row] = track.regions[sample.region].smoother.active
                continue
            track.hold(sample, partial(_record_alone, track, sample, scores[row : row + 1].copy(), top_k))
        except Exception as error:  # as above
            failed[row] = error
        smoothed[row] = scores[row]
    labels, groups = _said(scores, smoothed, tracks[0].labels, tracks[0].groups, top_k)
    for row, outputs in active.items():
        names = [tracks[row].labels[output] for output in outputs]
        tracks[row].publish(samples[row], labels[row], groups.get(row, []), names, reused)
    return failed


def record_reused(track: Track, sample: Sample, number: int, top_k: int) -> None:
    """Smooth and publish a sample that takes the scores of an earlier one of its region, by the number of that."""

    def record() -> None:
        reference = track.regions[sample.region].reference
        if reference is None or reference.number != number:
            raise ValueError(f"sample {sample.sampled} is to take the scores of {number}, which are not there")
        _record_alone(track, sample, reference.scores[np.newaxis], top_k, reused=True)

    track.hold(sample, record)
    track.take_turns()


def _record_alone(track: Track, sample: Sample, scores: np.ndarray, top_k: int, reused: bool = False) -> None:
    for error in _record([track], [sample], scores, top_k, reused).values():
        raise error


def _said(
    scores: np.ndarray, smoothed: np.ndarray, names: Sequence[str], groups: Groups, top_k: int
) -> tuple[list[Labels], dict[int, Labels]]:
    """What is published of each row: its best classes, and the groups that have more than nothing to say, if any.

    Args:
        scores, smoothed: (n, outputs) float32.
        names: of the outputs.
    """
    rows, outputs = scores.shape
    classes = groups.classes or outputs
    best = _best(smoothed[:, :classes], top_k)
    # In one dimension, where numpy finds them eight times as fast as in two.
    found = (smoothed[:, classes:] >= LEAST_GROUP).ravel().nonzero()[0]
    of_row = found // max(1, len(groups))
    # Of classes and groups together: a call of numpy costs as much as the numbers of eight samples.
    of_classes = (best + np.arange(rows)[:, np.newaxis] * outputs).ravel()
    where = np.concatenate((of_classes, found + (of_row + 1) * classes))
    raw, steady = np.array([scores.take(where), smoothed.take(where)], np.float64).round(6).tolist()
    labels: Labels = [
        {"class_id": class_id, "name": names[class_id], "score": score, "smoothed": value}
        for class_id, score, value in zip(best.ravel().tolist(), raw, steady, strict=False)
    ]
    told: dict[int, Labels] = {}
    for row, place, score, value in zip(
        of_row.tolist(), where[best.size :].tolist(), raw[best.size :], steady[best.size :], strict=True
    ):
        one = {"name": names[place - row * outputs], "group": True, "score": score, "smoothed": value}
        told.setdefault(row, []).append(one)
    for some in told.values():
        some.sort(key=itemgetter("smoothed"), reverse=True)
        del some[top_k:]
    each = best.shape[1]
    return [labels[at : at + each] for at in range(0, len(labels), each)], told


def _best(smoothed: np.ndarray, top_k: int) -> np.ndarray:
    """(n, top_k) the best classes of each row, best first; fewer where there are fewer."""
    count = min(top_k, smoothed.shape[1])
    rows = np.arange(len(smoothed))
    rest = smoothed.copy()
    best = np.empty((len(smoothed), count), np.int64)
    # One vectorised argmax a rank: for the usual five ranks of 1000 classes this was 20 times as fast as argpartition.
    for rank in range(count):
        best[:, rank] = rest.argmax(axis=1)
        rest[rows, best[:, rank]] = -1.0
    return best
