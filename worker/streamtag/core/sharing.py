"""Which worker should have which live streams: decided by each for itself, from what all say of themselves. Pure.

Fair is what levels the samples a second that are asked of each worker. One whose device cannot reach the level has as
many as it can give, and the others share the rest. Each worker works out what all of them would do next, in one order
that is the same for all, and then does its own part; so two do not push to the same target beyond its share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from streamtag.core.job import Sampling
from streamtag.core.records import Offer, WorkerView

HEADROOM = 0.9  # of what a device can give: a queue grows without bound before all of it is asked for
MAX_DELAY_S = 0.5  # before the fullest worker looks for a new job
COOLDOWN_S = 30.0  # between two moves of one stream
LEAST_GAIN = 0.01  # samples a second by which a move must be better than none
USUAL_FPS = 25.0  # of a camera, where every n-th frame is asked for
KEY_FRAMES_PER_S = 1.0  # of a camera, where its key frames are


@dataclass(frozen=True, slots=True)
class Load:
    """What counts of a worker."""

    worker: str
    streams: int  # live ones
    asked: float  # samples a second that they ask for
    supply: float  # samples a second that it can give
    room: int  # jobs that it could take besides
    draining: bool = False
    offers: tuple[Offer, ...] = ()  # those of its streams that are on their way to another

    @classmethod
    def of(cls, view: WorkerView) -> Load:
        """What a worker says of itself; one of an earlier version says nothing of its supply, and takes no part."""
        return cls(view.worker, view.streams, view.asked, view.supply, view.room, view.draining, view.offers)

    @property
    def capacity(self) -> float:
        """Samples a second that may be asked of it."""
        return self.supply * HEADROOM

    @property
    def is_full(self) -> bool:
        """Whether no more may be asked of it."""
        return 0 < self.capacity <= self.asked

    @property
    def takes_part(self) -> bool:
        """Whether streams may be given to it, or moved off it for fairness."""
        return self.supply > 0 and not self.draining


@dataclass(frozen=True, slots=True)
class Movable:
    """A stream that could be given to another worker."""

    job_id: str
    asked: float  # samples a second
    not_before_s: float = 0.0


def asked_per_s(sampling: Sampling, default_fps: float) -> float:
    """Samples a second that a live stream asks for; where the camera decides, what is usual."""
    if sampling.fps is not None:
        return sampling.fps
    if sampling.every is not None:
        return USUAL_FPS / sampling.every
    return KEY_FRAMES_PER_S if sampling.keyframes else default_fps


def may_claim(me: Load, others: Iterable[Load] = ()) -> bool:
    """Whether a live stream more can be served: the supply exceeds what is asked, also of what is on its way here."""
    coming = sum(offer.asked for load in others for offer in load.offers if offer.to == me.worker)
    return not me.draining and me.room > 0 and me.asked + coming < me.capacity


def claim_delay_s(me: Load, others: Iterable[Load]) -> float:
    """How long to leave a new job to emptier workers: nothing for the emptiest, never long, so that nobody starves."""
    emptiest = min(
        (load.asked for load in arrived([me, *others]) if load.worker != me.worker and may_claim(load)),
        default=me.asked,
    )
    return MAX_DELAY_S * (me.asked - emptiest) / me.asked if me.asked > emptiest else 0.0


def arrived(loads: Iterable[Load]) -> list[Load]:
    """The loads as they will be once what is on its way has arrived."""
    found = {load.worker: load for load in loads}
    for offer, giver in [(offer, load.worker) for load in found.values() for offer in load.offers]:
        found[giver] = _with(found[giver], -offer.asked)
        if offer.to in found:
            found[offer.to] = _with(found[offer.to], offer.asked)
    return list(found.values())


def fair_shares(loads: Iterable[Load]) -> dict[str, float]:
    """Samples a second that each worker should have; of more than all can give, each in proportion to its supply."""
    loads = sorted((load for load in loads if load.takes_part), key=lambda load: load.capacity)
    rest, capacity = sum(load.asked for load in loads), sum(load.capacity for load in loads)
    if rest >= capacity:
        return {load.worker: rest * load.capacity / capacity for load in loads}
    shares = {}
    for place, load in enumerate(loads):
        shares[load.worker] = min(load.capacity, rest / (len(loads) - place))
        rest -= shares[load.worker]
    return shares


def next_move(me: Load, others: Iterable[Load], mine: Sequence[Movable], now_s: float) -> tuple[str, str] | None:
    """The stream that this worker should give away next, and to whom; None where no move would help."""
    loads = {load.worker: load for load in arrived([me, *others])}
    shares = fair_shares(loads.values())
    busy = {load.worker for load in [me, *others] if load.offers}

    def beyond(worker: str) -> float:
        return round(loads[worker].asked - shares[worker], 6)  # all must come to the same order

    for giver in sorted(shares, key=lambda worker: (-beyond(worker), worker)):
        targets = [worker for worker in shares if worker != giver and loads[worker].room > 0]
        if giver in busy or not targets:
            continue
        target = min(targets, key=lambda worker: (beyond(worker), worker))
        difference = beyond(giver) - beyond(target)
        if giver == me.worker:
            ready = [stream for stream in mine if stream.not_before_s <= now_s]
            job = _best(ready, difference)
            return (job.job_id, target) if job is not None else None
        # Which of its streams another worker gives is not known here: one of the usual size.
        usual = loads[giver].asked / max(1, loads[giver].streams)
        if _best([Movable("", usual)], difference) is not None:
            loads[giver], loads[target] = _with(loads[giver], -usual), _with(loads[target], usual)
    return None


def places(me: Load, others: Iterable[Load], mine: Iterable[Movable]) -> list[tuple[str, str]]:
    """Where the streams of a worker that leaves should go: each to the emptiest that can take it, the largest first."""
    loads = {load.worker: load for load in arrived([me, *others]) if load.worker != me.worker and load.takes_part}
    found = []
    for stream in sorted(mine, key=lambda stream: (-stream.asked, stream.job_id)):
        fitting = [load for load in loads.values() if load.room > 0 and load.asked + stream.asked <= load.capacity]
        if fitting:
            target = min(fitting, key=lambda load: (load.asked, load.worker)).worker
            loads[target] = _with(loads[target], stream.asked)
            found.append((stream.job_id, target))
    return found


def _best(streams: Iterable[Movable], difference: float) -> Movable | None:
    """The stream that levels two workers most, whose distances from their shares differ by so much."""
    better = [stream for stream in streams if 0 < stream.asked <= difference - LEAST_GAIN]
    return min(better, key=lambda stream: (abs(stream.asked - difference / 2), stream.job_id), default=None)


def _with(load: Load, asked: float) -> Load:
    """The load with a stream of so much more, or less."""
    sign = 1 if asked > 0 else -1
    return replace(load, asked=max(0.0, load.asked + asked), streams=load.streams + sign, room=load.room - sign)


class Spared:
    """What a stream asks of the device where a motion gate spares it some of the samples.

    In steps, so that a picture which moves a little more or less moves no stream between workers; and never less than a
    quarter, since its decoder works as before, and what stood still may begin to move at any time.

    Args:
        asked: samples a second of it without the gate.
        at_first: what an earlier owner found.
    """

    STEP = 0.25  # of what it asks
    MARGIN = 0.05  # below a step before it counts
    RISES_S, FALLS_S = 10.0, 60.0  # over so long motion counts, and over so long stillness
    LEAST_LOOKS = 10.0  # samples before anything is said

    def __init__(self, asked: float, at_first: float | None = None) -> None:
        self._asked = asked
        self._share = 1.0 if at_first is None or asked <= 0 else self._step(at_first / asked)
        self._now_s: float | None = None
        self._totals = (0, 0)
        self._windows = {self.RISES_S: (0.0, 0.0), self.FALLS_S: (0.0, 0.0)}  # samples and those spared, of late

    @property
    def now(self) -> float:
        """Samples a second that it asks for."""
        return self._asked * self._share

    def see(self, now_s: float, looked: int, spared: int) -> float:
        """Look at the counters of all samples so far and of those that the gate spared; the answer is ``now``."""
        passed_s = 0.0 if self._now_s is None else max(0.0, now_s - self._now_s)
        more = (looked - self._totals[0], spared - self._totals[1])
        self._now_s, self._totals = now_s, (looked, spared)
        for window_s, (seen, without) in self._windows.items():
            fade = math.exp(-passed_s / window_s)
            self._windows[window_s] = (seen * fade + more[0], without * fade + more[1])
        if min(seen for seen, _ in self._windows.values()) >= self.LEAST_LOOKS:
            classified = max(1.0 - without / seen for seen, without in self._windows.values())
            if classified > self._share or classified + self.MARGIN < self._share - self.STEP:
                self._share = self._step(classified + (0.0 if classified > self._share else self.MARGIN))
        return self.now

    def _step(self, share: float) -> float:
        return min(1.0, max(1, math.ceil(round(share / self.STEP, 6))) * self.STEP)


class Supply:
    """What one worker can give: by what its device costs, and by what it gave when it could not give all.

    A device is not all that may be short: a decoder without processor time drops samples beside an idle device.
    """

    WINDOW_S = 10.0
    DROPS = 0.05  # of the samples; beyond it the worker has more than it can do
    LEAST_DROPS = 5.0
    DOUBLED_S = 60.0  # how soon twice of what was found to be the most is thought possible again

    def __init__(self, now_s: float) -> None:
        self.drop_share = 0.0
        self._ceiling = math.inf
        self._now_s = now_s
        self._seconds = self._taken = self._dropped = 0.0  # of the last while, older ones counting less
        self._totals = (0.0, 0.0)

    def see(self, now_s: float, taken: float, dropped: float) -> None:
        """Look at the counters of all samples so far, and of those that were dropped."""
        passed_s, self._now_s = max(0.0, now_s - self._now_s), now_s
        fade = math.exp(-passed_s / self.WINDOW_S)
        self._seconds = self._seconds * fade + passed_s
        self._taken = self._taken * fade + taken - self._totals[0]
        self._dropped = self._dropped * fade + dropped - self._totals[1]
        self._totals = (taken, dropped)
        self.drop_share = min(1.0, self._dropped / self._taken) if self._taken > 0 else 0.0
        self._ceiling *= 2.0 ** (passed_s / self.DOUBLED_S)
        if self.drop_share > self.DROPS and self._dropped >= self.LEAST_DROPS and self._seconds > 0:
            self._ceiling = max(0.1, (self._taken - self._dropped) / self._seconds)

    def per_s(self, device_per_s: float) -> float:
        """Samples a second, of a device that could give so many."""
        return min(device_per_s, self._ceiling)
