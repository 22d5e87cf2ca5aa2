"""What must hold whatever is killed, stopped or restarted meanwhile, read from Redis afterwards.

with FenceWatch(client, raw) as fences:
    ...                                        # faults
fences.assert_never_back()
assert_same(read_job(client, job), undisturbed)  # a finite job
assert_gaps_declared(read_job(client, camera), period_s=0.1, longest_s=1.0)  # a live one
assert_queue_empty(client, raw)
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import pytest
import redis
from streamtag.client import Client
from streamtag.core.records import Event, JobView, Result
from streamtag.queue.keys import GROUP

from tests.support.configuration import keys_of
from tests.support.outcomes import same
from tests.support.waiting import eventually

SCORE_TOLERANCE = 1e-3  # the place in a batch, and its size, change the last digits
WATCH_S = 0.02


@dataclass(frozen=True, slots=True)
class LeftByJob:
    """All that one job left in Redis."""

    view: JobView
    results: list[Result]
    events: list[Event]

    @property
    def told(self) -> list[Event]:
        """Its events without those of states, which tell of reconnections and hand-overs."""
        return [event for event in self.events if event.kind != "state"]

    @property
    def gaps(self) -> list[Event]:
        return [event for event in self.events if event.kind == "gap"]

    @property
    def states(self) -> list[str]:
        return [str(event.content["state"]) for event in self.events if event.kind == "state"]


def read_job(client: Client, job: str) -> LeftByJob:
    return LeftByJob(client.status(job), list(client.results(job)), list(client.events(job)))


def assert_same(found: LeftByJob, undisturbed: LeftByJob) -> None:
    """A finite job gave what an undisturbed run of the same source gave: ids, labels, scores, counters, events."""
    assert found.view.status is undisturbed.view.status, found.view.reason
    assert_account_closes(found.view)
    assert_indices_once(found)
    same(found.results, undisturbed.results)
    assert found.view.counters == undisturbed.view.counters
    assert [_told(event) for event in found.told] == [_told(event) for event in undisturbed.told]
    for one, other in zip(found.told, undisturbed.told, strict=True):
        assert one.content.get("score") == pytest.approx(other.content.get("score"), abs=SCORE_TOLERANCE)


def _told(event: Event) -> tuple[object, ...]:
    content = {name: value for name, value in event.content.items() if name not in ("stream", "score")}
    return event.kind, event.pts_s, sorted(content.items(), key=str)


def assert_indices_once(left: LeftByJob) -> None:
    """No sample was published twice, none out of order, and as many as the account says."""
    for region in {result.region for result in left.results}:
        indices = [result.index for result in left.results if result.region == region]
        doubled = [index for index, after in pairwise(indices) if after <= index]
        assert doubled == [], f"{left.view.job_id} {region}: published again, or out of order"
    assert len(left.results) == left.view.counters.published, left.view.job_id


def assert_account_closes(view: JobView) -> None:
    """Each frame was sampled or skipped, and each sample published, dropped or failed, for a reason."""
    counters = view.counters
    assert counters.sampled == counters.published + sum(counters.dropped.values()) + sum(counters.failed.values())
    assert 0 <= counters.sampled <= counters.decoded * counters.regions, counters


def assert_gaps_declared(left: LeftByJob, period_s: float, longest_s: float) -> None:
    """Where results of a live job are farther apart than their rate explains, a ``gap`` says so.

    Args:
        period_s: seconds between two samples.
        longest_s: a hole up to here is jitter of the camera and of a busy machine.
    """
    captured_s = [int(result.id.split("-")[0]) / 1000 for result in left.results]
    holes = [(one, after) for one, after in pairwise(captured_s) if after - one > longest_s]
    from_s = [float(gap.content["from_unix_s"]) for gap in left.gaps]
    silent = [
        (round(one, 3), round(after - one, 3))
        for one, after in holes
        if not any(one - 0.002 <= begin < after for begin in from_s)
    ]
    dropped_s = sum(left.view.counters.dropped.values()) * period_s
    assert sum(seconds for _, seconds in silent) <= dropped_s, f"{left.view.job_id}: no gap event for {silent}"


def assert_queue_empty(client: Client, raw: redis.Redis, limit_s: float = 30.0) -> None:
    """Nothing waits, and nothing is pending to anyone; soon, since a job is over a moment before its entry leaves."""
    jobs = keys_of(client.settings).jobs
    eventually(lambda: raw.xlen(jobs) == 0, "no entry is left in the queue", limit_s)
    assert raw.xpending(jobs, GROUP)["pending"] == 0


@dataclass(slots=True)
class _Seen:
    """The last that was seen of one job's hash."""

    fence: int = 0
    owner: str = ""
    seq: int = 0
    owners: list[tuple[int, str]] = field(default_factory=list)  # each fence with its owner, as they followed


class FenceWatch:
    """Looks at the jobs of a queue many times a second. A context manager: entered it looks, left it has looked.

    A new owner has a fence of its own that is greater than all before, and neither fence nor commits ever go back.
    Silent while Redis is away. A job whose hash is gone (expired, flushed) begins anew.
    """

    def __init__(self, client: Client, raw: redis.Redis) -> None:
        self._base = keys_of(client.settings).job("")
        self._raw = raw
        self._jobs: dict[str, _Seen] = {}
        self._wrong: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="fences", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def assert_never_back(self) -> None:
        """Fail where a fence or a sequence went back, or an owner came without a fence of its own."""
        assert self._wrong == []

    def owners(self, job: str) -> list[tuple[int, str]]:
        """Each fence that was seen of a job, with its owner."""
        return list(self._jobs[job].owners) if job in self._jobs else []

    def _watch(self) -> None:
        listed_s = 0.0
        while not self._stop.wait(WATCH_S):
            try:
                if time.monotonic() - listed_s > 0.5:
                    listed_s = time.monotonic()
                    for key in self._raw.scan_iter(f"{self._base}*", 1000):
                        self._jobs.setdefault(str(key).removeprefix(self._base), _Seen())
                for job, seen in self._jobs.items():
                    self._look(job, seen)
            except redis.RedisError:
                self._stop.wait(0.2)

    def _look(self, job: str, seen: _Seen) -> None:
        values = self._raw.hmget(f"{self._base}{job}", "fence", "owner", "seq")
        if all(value is None for value in values):
            self._jobs[job] = _Seen()
            return
        fence, seq, owner = int(values[0] or 0), int(values[2] or 0), str(values[1] or "")
        if fence < seen.fence or seq < seen.seq:
            self._wrong.append(f"{job}: fence {seen.fence} to {fence}, sequence {seen.seq} to {seq}")
        if fence == seen.fence and owner and seen.owner and owner != seen.owner:
            self._wrong.append(f"{job}: fence {fence} of {seen.owner} is that of {owner}, too")
        if owner and (fence, owner) not in seen.owners[-1:]:
            seen.owners.append((fence, owner))
        seen.fence, seen.seq, seen.owner = fence, seq, owner or seen.owner
