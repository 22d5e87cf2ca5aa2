"""What a stream has shown over time, in few enough points to be drawn. Pure: results go in, in order.

A film is told whole: where there are more points than can be drawn, two become one, and each then covers twice the
time. Of a live stream the last hour is told.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from streamtag.core.pace import Pace
from streamtag.queue.seen import Seen

MAX_POINTS: Final = 600
LIVE_S: Final = 3600.0  # of a live stream that is told
FINEST_S: Final = 0.2  # that a point covers at first
LABELS_OF_POINT: Final = 6
LABELS_TOLD: Final = 8
MAX_SPANS: Final = 1000
BREAK_S: Final = 5.0  # without a sample, after which it is not known what was seen; more of a slow stream


@dataclass(slots=True)
class _Point:
    """Some time: the best raw and the best smoothed score that each label had in it."""

    scores: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, name: str, raw: float, smoothed: float) -> None:
        before = self.scores.get(name, (0.0, 0.0))
        self.scores[name] = (max(before[0], raw), max(before[1], smoothed))

    def cut(self) -> None:
        """Keep the labels that say most."""
        if len(self.scores) > LABELS_OF_POINT:
            best = sorted(self.scores.items(), key=lambda item: -item[1][1])[:LABELS_OF_POINT]
            self.scores = dict(best)


@dataclass(slots=True)
class Span:
    """From when to when a label was active."""

    label: str
    begin_s: float
    end_s: float
    is_on: bool


class History:
    """Of one stream.

    Args:
        live: whether times are those of the clock, and old ones are let go.
        step_s: between two samples, as they are asked for; None where the frames of the stream decide.
    """

    def __init__(self, live: bool, step_s: float | None = None) -> None:
        self.live = live
        self._step_s = step_s
        self.samples = 0
        self.end_s = 0.0
        self._width_s = LIVE_S / MAX_POINTS if live else FINEST_S
        self._points: dict[int, _Point] = {}  # by the time it begins at, in widths
        self._spans: deque[Span] = deque(maxlen=MAX_SPANS)
        self._on: dict[str, Span] = {}
        self._seen_s: dict[str, float] = {}  # by region, when its last sample was
        self._paces: dict[str, Pace] = {}  # likewise

    def take(self, seen: Seen, at_s: float) -> None:
        """The next sample.

        Args:
            at_s: its time: of presentation, of a live stream that of its capture.
        """
        self.samples += 1
        self.end_s = max(self.end_s, at_s)
        number = int(at_s // self._width_s)
        point = self._points.setdefault(number, _Point())
        for name, raw, smoothed in (*seen.groups, *seen.labels):
            point.take(name, raw, smoothed)
        point.cut()
        self._take_active(seen, at_s)
        if self.live:
            self._let_go(number)
        elif len(self._points) > MAX_POINTS:
            self._halve()

    def to_dict(self) -> dict[str, Any]:
        """As it is told to a browser."""
        numbers = sorted(self._points)
        told = self._told()
        return {
            "live": self.live,
            "samples": self.samples,
            "begin": round(numbers[0] * self._width_s, 3) if numbers else 0.0,
            "end": round(self.end_s, 3),
            "width": self._width_s,
            "points": [[number - numbers[0], *self._scores(number, told)] for number in numbers],
            "labels": told,
            "spans": [[span.label, round(span.begin_s, 3), round(span.end_s, 3), span.is_on] for span in self._spans],
        }

    def _scores(self, number: int, told: list[str]) -> list[list[float] | None]:
        scores = self._points[number].scores
        return [[round(score, 3) for score in scores[name]] if name in scores else None for name in told]

    def _told(self) -> list[str]:
        """The labels that were seen most."""
        sums: dict[str, float] = {}
        for point in self._points.values():
            for name, (_, smoothed) in point.scores.items():
                sums[name] = sums.get(name, 0.0) + smoothed
        return sorted(sums, key=lambda name: -sums[name])[:LABELS_TOLD]

    def _take_active(self, seen: Seen, at_s: float) -> None:
        last_s = self._seen_s.get(seen.region)
        self._seen_s[seen.region] = at_s
        broken = last_s is not None and (at_s < last_s or self._pace(seen.region).breaks(at_s - last_s))
        mine = f"{seen.region}:" if seen.region else ""
        for name in [name for name in self._on if name.startswith(mine) and (broken or name not in seen.active)]:
            span = self._on.pop(name)
            span.end_s, span.is_on = last_s if broken and last_s is not None else at_s, False
        for name in seen.active:
            span = self._on.get(name) or self._begun(name, at_s)
            span.end_s = at_s

    def _pace(self, region: str) -> Pace:
        return self._paces.setdefault(region, Pace(BREAK_S, self._step_s))

    def _begun(self, name: str, at_s: float) -> Span:
        span = self._on[name] = Span(name, at_s, at_s, True)
        self._spans.append(span)
        return span

    def _let_go(self, newest: int) -> None:
        if len(self._points) > 1.1 * MAX_POINTS:  # not for each sample: all of them are gone through
            self._points = {at: point for at, point in self._points.items() if at > newest - MAX_POINTS}
        while self._spans and not self._spans[0].is_on and self._spans[0].end_s < self.end_s - LIVE_S:
            self._spans.popleft()

    def _halve(self) -> None:
        self._width_s *= 2
        points: dict[int, _Point] = {}
        for number, point in self._points.items():
            joined = points.setdefault(number // 2, _Point())
            for name, (raw, smoothed) in point.scores.items():
                joined.take(name, raw, smoothed)
            joined.cut()
        self._points = points
