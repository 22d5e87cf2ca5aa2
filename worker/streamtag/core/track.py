"""What one job has to say: scores in, encoded results, events and a checkpoint out. Pure: no clock, no Redis.

Two threads tell what became of its samples, intake and inference, each in an order of its own. A checkpoint must not
pass over a sample that is still on its way, so each takes its turn by its number (``Sample.sampled``, which has no
holes), whoever tells of it and when.

Scores come to it by ``recording.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from streamtag.core.bundle import Bundle
from streamtag.core.hysteresis import LabelTransition
from streamtag.core.labelling import make_smoother
from streamtag.core.motion_gate import Reference
from streamtag.core.options import SmoothingSettings
from streamtag.core.records import Checkpoint, Claim, Sample
from streamtag.core.smoothing import Smoother
from streamtag.core.track_state import RegionState, read_states, write_states
from streamtag.errors import ConfigError, RejectJob

Labels = list[dict[str, Any]]  # as they are published
LEAST_SCENE_CHANGE = 0.3  # of a picture that is worth a word: a replay needs those that may be cuts


@dataclass(frozen=True, slots=True)
class Transition:
    """A label that entered or exited, by an event of the commit."""

    label: str
    kind: str  # enter | exit
    pts_s: float
    region: str = ""  # of the frame, where the job names some


@dataclass(frozen=True, slots=True)
class Commit:
    """One atomic step of a job: what is published and where the job then stands."""

    expected_seq: int
    results: list[tuple[str, bytes]]  # (entry id, payload)
    events: list[bytes]
    checkpoint: Checkpoint
    captured_unix_s: list[float] = field(default_factory=list)  # of the results, for the latency histogram
    active: tuple[str, ...] = ()  # names of the labels that are active by then
    transitions: tuple[Transition, ...] = ()  # of the events


@dataclass(slots=True)
class RegionTrack:
    """What is known of one region of the frames; of most jobs the only one, without a name."""

    name: str
    smoother: Smoother
    reference: Reference | None  # the last that was classified, where a motion gate asks
    failing: bool = False  # the last that was not dropped failed


class Track:
    """The publishing side of one running job. Owned by the commits thread."""

    def __init__(self, claim: Claim, bundle: Bundle, settings: SmoothingSettings, step_s: float | None = None) -> None:
        """
        Args:
            step_s: between two samples, as they are asked for; None where the frames of the source decide.
        """
        checkpoint = claim.checkpoint
        self.job = claim.job
        self._head = claim.job.named | {"stream": claim.job.name}
        self._live = claim.job.is_live
        self.counters = checkpoint.counters.copy()
        names = list(claim.job.regions)
        states = read_states(checkpoint.smoother, len(names), len(bundle.outputs))
        self.counters.regions = len(names)
        self.regions = []
        for name, state in zip(names, states, strict=True):
            try:
                smoother = make_smoother(bundle, settings, claim.job.watch, step_s)
            except ConfigError as error:
                raise RejectJob(str(error)) from None
            smoother.load(state.smoother)
            self.regions.append(RegionTrack(name, smoother, state.reference))
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
        self._transitions: list[Transition] = []  # among the pending events
        self._sent: Commit | None = None  # asked for and not known to be in Redis
        self.labels = bundle.outputs
        self.groups = bundle.groups
        self.last_failure = ""

    @property
    def pending_results(self) -> int:
        return len(self._results)

    @property
    def regions_pts_s(self) -> list[float | None]:
        """Presentation time of the last sample of each region that has a result; None where there is none."""
        return [region.smoother.last_pts_s for region in self.regions]

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
        """Take one sample's scores, (outputs,) float32; note what entered or left; return the smoothed ones."""
        self._smoothed = sample.sampled
        region = self.regions[sample.region]
        if sample.thumbnail:
            region.reference = Reference(sample.sampled, sample.pts_s, sample.thumbnail, scores.copy())
        smoothed, transitions = region.smoother.update(sample.pts_s, scores, sample.scene_change)
        self._note_transitions(region, transitions)
        return smoothed

    def publish(self, sample: Sample, labels: Labels, groups: Labels, active: list[str], reused: bool = False) -> None:
        """Queue the result of a sample that ``smooth`` has seen."""
        self.regions[sample.region].failing = False
        payload = {"index": sample.index, "pts_s": round(sample.pts_s, 6), "labels": labels, "active": active}
        if groups:
            payload["groups"] = groups
        if sample.scene_change >= LEAST_SCENE_CHANGE:
            payload["change"] = round(sample.scene_change, 3)
        if sample.path:
            payload["path"] = sample.path
        if region := self.regions[sample.region].name:
            payload["region"] = region
        if reused:
            payload["reused"] = True
            self.counters.reused += 1
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
            where = {"path": sample.path} if sample.path else {}
            region = self.regions[sample.region]
            where |= self._named(region)
            # A camera behind a bad network fails for hours, and events are kept for all jobs together.
            if not (self._live and region.failing):
                self.event("frame_failed", sample.pts_s, index=sample.index, reason=reason, detail=detail, **where)
            region.failing = True
            self._account(sample)

        self.hold(sample, apply)
        self.take_turns()

    def take_turns(self) -> None:
        """Go on with the samples that were told of before their turn, as far as none is missing."""
        while (apply := self._held.pop(self.counters.sampled + 1, None)) is not None:
            apply()

    def event(self, kind: str, pts_s: float | None = None, **content: Any) -> None:
        head: dict[str, Any] = self._head | {"kind": kind}
        head["pts_s"] = round(self.last_pts_s if pts_s is None else pts_s, 6)
        self._events.append(orjson.dumps(head | content))

    def gap(self, until_unix_s: float, reason: str, since_unix_s: float | None = None) -> None:
        """Say what a live stream missed, since its last result where nothing else is said."""
        since_unix_s = self._last_published_unix_s if since_unix_s is None else since_unix_s
        if since_unix_s:
            missed_s = max(0.0, until_unix_s - since_unix_s)
            self.event("gap", reason=reason, from_unix_s=round(since_unix_s, 3), missed_s=round(missed_s, 3))

    def totals(self, decoded: int) -> None:
        """The decoder has seen this many frames by now: those after the last sample were skipped."""
        self.counters.decoded = max(self.counters.decoded, decoded)

    def close(self) -> None:
        """The stream ended: its active labels exit."""
        for region in self.regions:
            self._note_transitions(region, region.smoother.close())

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
                smoother=write_states([RegionState(one.smoother.dump(), one.reference) for one in self.regions]),
            )
            active = tuple(
                f"{region.name}:{self.labels[class_id]}" if region.name else self.labels[class_id]
                for region in self.regions
                for class_id in region.smoother.active
            )
            about = (self._captured_unix_s, active, tuple(self._transitions))
            self._sent = Commit(self._seq, self._results, self._events, checkpoint, *about)
            self._results, self._events, self._captured_unix_s, self._transitions = [], [], [], []
        return self._sent

    def committed(self) -> None:
        """Redis has the last ``commit``."""
        self._seq += 1
        self._sent = None

    def _note_transitions(self, region: RegionTrack, transitions: list[LabelTransition]) -> None:
        for transition in transitions:
            label: dict[str, Any] = {"class_id": transition.class_id, "name": self.labels[transition.class_id]}
            if self.groups and transition.class_id >= self.groups.classes:
                label = {"name": label["name"], "group": True}
            since_s, score = round(transition.since_s, 6), round(transition.score, 6)
            named = self._named(region)
            self.event(transition.kind, transition.pts_s, label=label, since_pts_s=since_s, score=score, **named)
            name = self.labels[transition.class_id]
            self._transitions.append(Transition(name, transition.kind, transition.pts_s, region.name))

    @staticmethod
    def _named(region: RegionTrack) -> dict[str, str]:
        return {"region": region.name} if region.name else {}

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
            place = sample.index * len(self.regions) + sample.region
            milliseconds, count = max(self._last_ms, int(sample.pts_s * 1000)), place + 1
        self._last_ms, self._last_n = milliseconds, count
        return f"{milliseconds}-{count}"


def _count(counts: dict[str, int], reason: str) -> None:
    counts[reason] = counts.get(reason, 0) + 1
