"""Batches across streams, with the clock as an argument."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from streamtag.core.batcher import Batcher, Waiting


def batcher(
    buckets: tuple[int, ...] = (1, 2, 4, 8), per_stream: int = 4, cost: dict[int, float] | None = None
) -> Batcher[str]:
    return Batcher(buckets, per_stream, cost or {})


def put(into: Batcher[str], stream: str, item: str, deadline_s: float = 1.0, stale_s: float = math.inf) -> None:
    into.put(Waiting(stream, item, deadline_s, stale_s))


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


def test_a_stream_is_capped_while_others_wait_and_only_then() -> None:
    found = batcher(per_stream=2)
    for number in range(6):
        put(found, "a", f"a{number}")
    put(found, "b", "b0")
    first = found.take(2.0)
    assert first is not None
    assert sorted(first.items) == ["a0", "a1", "b0"]
    assert first.bucket == 4
    second = found.take(2.0)
    assert second is not None
    assert second.items == ["a2", "a3", "a4", "a5"]


def test_stale_samples_leave_before_the_device_sees_them() -> None:
    found = batcher()
    put(found, "live", "old", stale_s=1.0)
    put(found, "live", "new", stale_s=2.0)
    put(found, "file", "kept")
    assert found.stale(1.5) == ["old"]
    assert found.waiting == 2


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
