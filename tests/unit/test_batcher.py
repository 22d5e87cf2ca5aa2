"""Batches across streams, with the clock as an argument."""

from __future__ import annotations

import heapq
import math
import statistics
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.batcher import Batcher, Waiting


def batcher(
    buckets: tuple[int, ...] = (1, 2, 4, 8), per_stream: int = 4, cost: dict[int, float] | None = None
) -> Batcher[str]:
    return Batcher(buckets, per_stream, cost or {})


def put(into: Batcher[str], stream: str, item: str, deadline_s: float = 1.0, stale_s: float = math.inf) -> list[str]:
    return into.put(Waiting(stream, item, deadline_s, stale_s))


def taken(of: Batcher[str]) -> list[str]:
    batch = of.take(1e6)
    assert batch is not None
    return batch.items


@dataclass
class Device:
    """One that takes so long for a batch of each size, and what is believed of it at the start."""

    cost_s: dict[int, float]
    believed: dict[int, float] | None = None


@dataclass
class Simulated:
    """What became of live samples."""

    offered: int = 0
    handled: int = 0
    lags_s: list[float] = field(default_factory=list)
    by_stream: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def published_per_s(self) -> float:
        return len(self.lags_s) / self.seconds

    @property
    def lag_p50_s(self) -> float:
        return statistics.median(self.lags_s)


def simulate(device: Device, fps: list[float], seconds: float) -> Simulated:
    """Live streams with so many samples a second, and the inference loop: stale ones out, the next batch, again."""
    found = Simulated(seconds=seconds)
    one: Batcher[tuple[int, float]] = Batcher(tuple(device.cost_s), 4, dict(device.believed or device.cost_s))
    # Spread over the period, as unrelated cameras are.
    due = [(stream / len(fps) / rate, stream) for stream, rate in enumerate(fps)]
    heapq.heapify(due)
    now_s = 0.0
    while now_s < seconds:
        while due[0][0] <= now_s:
            at_s, stream = heapq.heappop(due)
            heapq.heappush(due, (at_s + 1.0 / fps[stream], stream))
            found.offered += 1
            found.handled += len(one.put(Waiting(stream, (stream, at_s), at_s + 0.05, at_s + 0.5)))
        found.handled += len(one.stale(now_s))
        batch = one.take(now_s)
        if batch is None:
            now_s = max(now_s + 1e-4, min(due[0][0], one.due_s()))
            continue
        now_s += device.cost_s[batch.bucket]
        one.measured(batch.bucket, device.cost_s[batch.bucket])
        found.handled += len(batch.superseded) + len(batch.items)
        found.lags_s += [now_s - at_s for _, at_s in batch.items]
        found.by_stream.update(stream for stream, _ in batch.items)
    found.handled += one.waiting
    return found


def test_it_waits_for_company_until_the_earliest_deadline() -> None:
    found = batcher()
    put(found, "a", "a1", deadline_s=1.0)
    put(found, "b", "b1", deadline_s=0.5)
    assert found.take(0.4) is None
    batch = found.take(0.5)
    assert batch is not None
    assert (sorted(batch.items), batch.bucket) == (["a1", "b1"], 2)


def test_a_full_bucket_leaves_at_once() -> None:
    found = batcher()
    for number in range(8):
        put(found, f"s{number}", str(number), deadline_s=100.0)
    batch = found.take(0.0)
    assert batch is not None
    assert len(batch.items) == 8


def test_the_measured_time_of_a_batch_is_kept_free_before_the_deadline() -> None:
    found = batcher(cost={1: 0.2, 2: 0.3, 4: 0.5, 8: 1.0})
    put(found, "a", "a1", deadline_s=1.0)
    assert found.take(0.79) is None
    assert found.take(0.8) is not None


def test_streams_take_turns() -> None:
    found = batcher(per_stream=8)
    for number in range(20):
        put(found, "greedy", f"g{number}")
    put(found, "modest", "m0")
    batch = found.take(2.0)
    assert batch is not None
    assert "m0" in batch.items
    assert [item for item in batch.items if item.startswith("g")] == [f"g{number}" for number in range(7)]


def test_a_stream_is_capped_while_others_wait_but_for_what_would_be_padding() -> None:
    found = batcher(per_stream=2)
    for number in range(7):
        put(found, "a", f"a{number}")
    put(found, "b", "b0")
    first = found.take(2.0)
    assert first is not None
    assert sorted(first.items) == ["a0", "a1", "a2", "b0"]
    assert first.bucket == 4
    second = found.take(2.0)
    assert second is not None
    assert second.items == ["a3", "a4", "a5", "a6"]


def test_stale_samples_leave_before_the_device_sees_them() -> None:
    found = batcher()
    put(found, "live", "old", stale_s=1.0)
    put(found, "live", "new", stale_s=2.0)
    put(found, "file", "kept")
    assert found.stale(1.5) == ["old"]
    assert found.waiting == 2


def test_a_stream_that_waited_longest_for_its_turn_is_served_first() -> None:
    """However rarely it has a sample: one that must stand in line anew each time would never come to the front."""
    found = batcher((1, 2))
    put(found, "rare", "r0")
    assert taken(found) == ["r0"]
    for number in range(4):
        for stream in "abc":
            put(found, stream, f"{stream}{number}")
        assert len(taken(found)) == 2
    put(found, "rare", "r1")
    assert "r1" in taken(found)


def test_of_a_live_stream_the_newest_wins_and_of_a_finite_one_all_do() -> None:
    found = batcher((1, 2, 4))
    for number in range(6):
        put(found, "file", f"f{number}")
    gone = [item for number in range(6) for item in put(found, "cam", f"c{number}", stale_s=9.0)]
    assert gone == ["c0", "c1"]
    batch = found.take(2.0)
    assert batch is not None
    assert sorted(batch.items) == ["c4", "c5", "f0", "f1"]
    assert batch.superseded == ["c2", "c3"]
    assert taken(found) == ["f2", "f3", "f4", "f5"]


def test_the_stream_that_has_most_gives_way() -> None:
    found = batcher((1, 2, 4))
    for number in range(3):
        put(found, "many", f"m{number}", stale_s=9.0)
    assert put(found, "one", "o0", stale_s=9.0) == []
    assert put(found, "other", "x0", stale_s=9.0) == ["m0"]
    assert put(found, "third", "t0", stale_s=9.0) == ["m1"]
    assert put(found, "fourth", "y0", stale_s=9.0) == [], "each keeps its newest"
    assert put(found, "one", "o1", stale_s=9.0) == ["o0"]
    assert found.waiting == 5


def test_a_busy_device_makes_no_sample_stale() -> None:
    """What came just after a batch has left waits for the whole of it."""
    found = batcher(cost={1: 2.0, 8: 2.0})
    put(found, "cam", "c0", stale_s=0.5)
    assert found.stale(2.4) == []
    assert found.stale(2.6) == ["c0"]


def test_costs_follow_what_is_measured() -> None:
    found = batcher((1, 8), cost={1: 0.1, 8: 0.4})
    for _ in range(20):
        found.measured(8, 4.0)
    for number in range(8):
        put(found, f"s{number}", str(number))
    batch = found.take(2.0)
    assert batch is not None
    assert batch.bucket == 1, "eight at a time take longer than one by one"


def test_a_noisy_start_is_overcome() -> None:
    """All but single pictures were measured while something else took the machine."""
    device = Device({1: 0.05, 2: 0.06, 4: 0.08, 8: 0.1}, believed={1: 0.05, 2: 5.0, 4: 5.0, 8: 5.0})
    found = simulate(device, fps=[10.0] * 16, seconds=60.0)
    assert found.published_per_s >= 0.95 * 80


@pytest.mark.parametrize("flat", [False, True], ids=["a cost for each picture", "a cost for each batch"])
@pytest.mark.parametrize("fps", [[10.0] * 6, [60.0], [1.0] * 60, [50.0, 5.0, 5.0], [30.0, 1.0], [0.2] * 40, [3.0, 2.0]])
def test_a_device_slower_than_what_is_offered_is_used_to_the_full_and_sees_the_newest(
    fps: list[float], flat: bool
) -> None:
    """Batches of 8 take 2 s."""
    device = Device(dict.fromkeys((1, 2, 4, 8), 2.0) if flat else {1: 0.3, 2: 0.55, 4: 1.05, 8: 2.0})
    found = simulate(device, fps, seconds=400.0)
    assert found.published_per_s >= 0.95 * 4.0
    assert found.handled == found.offered
    # Until the device is free at the latest; before that a newer sample comes, or what a whole batch takes.
    wait_s = max(0.5, min(2.0, max(1.0 / max(fps), 8 / sum(fps))))
    assert found.lag_p50_s <= 2.0 + wait_s
    assert min(found.by_stream.values()) > 0, "nobody starves"


@given(st.lists(st.floats(0.3, 30.0), min_size=1, max_size=30), st.integers(0, 3), st.floats(0.2, 1.0))
def test_whatever_the_streams_a_device_that_is_too_slow_is_never_idle(
    fps: list[float], biggest: int, share: float
) -> None:
    """``share`` of what is offered is what it can do."""
    buckets = (1, 2, 4, 8)[: biggest + 1]
    second_s = buckets[-1] / (0.6 * share * sum(fps))
    device = Device({size: second_s * (0.2 + 0.8 * size / buckets[-1]) for size in buckets})
    found = simulate(device, fps, seconds=60 * second_s)
    assert found.published_per_s >= 0.9 * buckets[-1] / second_s
    assert found.handled == found.offered


def test_padding_is_chosen_where_it_is_cheap_and_not_where_it_costs() -> None:
    """Five waiting: a GPU pads to 8, a CPU does 4 first."""
    for cost, expected in (({1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0}, 5), ({1: 1.0, 2: 2.0, 4: 4.0, 8: 8.0}, 4)):
        found = batcher(cost=cost)
        for number in range(5):
            put(found, f"s{number}", str(number))
        batch = found.take(10.0)
        assert batch is not None
        assert len(batch.items) == expected


def test_forgetting_a_stream_returns_what_it_left() -> None:
    found = batcher()
    put(found, "a", "a1")
    put(found, "b", "b1")
    assert found.forget("a") == ["a1"]
    assert found.forget("a") == []
    assert found.waiting == 1


@given(st.lists(st.integers(0, 5), min_size=1, max_size=120), st.integers(1, 4))
def test_every_sample_leaves_once_and_each_stream_in_order(streams: list[int], per_stream: int) -> None:
    found: Batcher[tuple[int, int]] = Batcher((1, 2, 4, 8), per_stream, {})
    for number, stream in enumerate(streams):
        found.put(Waiting(stream, (stream, number), 0.0, math.inf))
    seen: list[tuple[int, int]] = []
    while (batch := found.take(1.0)) is not None:
        assert 0 < len(batch.items) <= batch.bucket
        seen += batch.items
    assert sorted(seen) == sorted((stream, number) for number, stream in enumerate(streams))
    for stream in set(streams):
        numbers = [number for owner, number in seen if owner == stream]
        assert numbers == sorted(numbers)
    assert found.waiting == 0


def test_what_a_device_can_take_follows_what_its_buckets_cost() -> None:
    batcher: Batcher[str] = Batcher([1, 4], 4, {1: 0.1, 4: 0.2})
    assert batcher.per_s() == pytest.approx(20.0)
    batcher.measured(4, 0.4)
    assert batcher.per_s() == pytest.approx(10.0)
    batcher.measured(4, 0.8)
    assert 5.0 < batcher.per_s() <= 10.0
    assert Batcher[str]([1, 4], 4, {}).per_s() == 0.0
