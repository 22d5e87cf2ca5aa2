"""How live streams are shared: the rule by tables, and fleets of simulated workers that come and go."""

from __future__ import annotations

import random

import pytest
from streamtag.core.job import Sampling
from streamtag.core.records import Offer
from streamtag.core.sharing import (
    MAX_DELAY_S,
    Load,
    Movable,
    Spared,
    Supply,
    arrived,
    asked_per_s,
    claim_delay_s,
    fair_shares,
    may_claim,
    next_move,
    places,
)

from tests.support.fleet import Fleet, least_moves


def load(worker: str, asked: float, supply: float = 1000.0, room: int = 10, **more: object) -> Load:
    return Load(worker, int(asked), asked, supply, room, **more)  # type: ignore[arg-type]


def streams(*rates: float) -> list[Movable]:
    return [Movable(f"job-{number}", asked) for number, asked in enumerate(rates)]


def offer(job_id: str, to: str, asked: float = 1.0) -> Offer:
    return Offer(job_id, "1-1", 1, to, asked)


def ones(count: int) -> list[Movable]:
    return streams(*[1.0] * count)


@pytest.mark.parametrize(
    ("sampling", "asked"),
    [(Sampling(), 2.0), (Sampling(fps=7.5), 7.5), (Sampling(every=5), 5.0), (Sampling(keyframes=True), 1.0)],
)
def test_what_a_stream_asks_for(sampling: Sampling, asked: float) -> None:
    assert asked_per_s(sampling, default_fps=2.0) == asked


def test_a_worker_claims_while_it_can_give_more_than_is_asked_of_it() -> None:
    assert may_claim(load("a", 8, supply=10))
    assert not may_claim(load("a", 9, supply=10))
    assert not may_claim(load("a", 1, room=0))
    assert not may_claim(load("a", 1, draining=True))
    assert not may_claim(load("a", 8, supply=10), [load("b", 3, offers=(offer("x", "a"),))])


def test_the_emptiest_worker_looks_first_and_the_fullest_soon() -> None:
    empty, half, full = load("empty", 0), load("half", 5), load("full", 10)
    assert claim_delay_s(empty, [half, full]) == 0
    assert 0 < claim_delay_s(half, [half, full, load("some", 4)]) < claim_delay_s(full, [empty, half]) <= MAX_DELAY_S
    assert claim_delay_s(full, [load("cannot", 0, room=0), load("leaves", 0, draining=True)]) == 0
    assert claim_delay_s(load("a", 1, supply=0), [load("of an earlier version", 0, supply=0)]) == 0


def test_what_is_on_its_way_counts_where_it_goes() -> None:
    giver, taker = arrived([load("a", 4, offers=(offer("x", "b", 2.0), offer("y", "gone"))), load("b", 1)])
    assert (giver.asked, giver.streams, giver.room) == (1.0, 2, 12)
    assert (taker.asked, taker.streams, taker.room) == (3.0, 2, 9)


def test_shares_are_level_but_for_those_that_cannot_reach_the_level() -> None:
    assert fair_shares([load("a", 9), load("b", 0), load("c", 0)]) == {"a": 3.0, "b": 3.0, "c": 3.0}
    weak = fair_shares([load("a", 9), load("b", 0), load("weak", 0, supply=1)])
    assert weak == pytest.approx({"a": 4.05, "b": 4.05, "weak": 0.9})
    too_much = fair_shares([load("a", 30, supply=10), load("b", 0, supply=20)])
    assert too_much == pytest.approx({"a": 10.0, "b": 20.0})
    assert fair_shares([load("a", 4), load("leaves", 4, draining=True), load("old", 0, supply=0)]) == {"a": 4.0}


@pytest.mark.parametrize(
    ("mine", "others", "target"),
    [
        (6, {"b": 0}, "b"),
        (2, {"b": 1}, None),
        (3, {"b": 2}, None),
        (3, {"b": 3, "c": 0}, "c"),
        (4, {"b": 3, "c": 3}, None),
        (4, {"b": 4, "c": 3, "d": 1}, "d"),
        (1, {"b": 5}, None),
        (5, {}, None),
    ],
    ids=str,
)
def test_streams_of_one_rate_are_shared_to_within_one(mine: int, others: dict[str, int], target: str | None) -> None:
    found = next_move(load("a", mine), [load(name, count) for name, count in others.items()], ones(mine), 0.0)
    assert (found and found[1]) == target


def test_streams_of_different_rates_are_shared_by_what_they_ask() -> None:
    assert next_move(load("a", 14), [load("b", 1)], streams(10, 1, 1, 1, 1), 0.0) == ("job-0", "b")
    assert next_move(load("a", 14), [load("b", 10)], streams(10, 1, 1, 1, 1), 0.0) == ("job-1", "b")
    assert next_move(load("a", 10), [load("b", 1)], streams(10), 0.0) is None, "it would only change places"


def test_none_is_given_to_a_worker_that_cannot_or_will_not_take_it() -> None:
    for target in (load("b", 0, room=0), load("b", 0, draining=True), load("b", 0, supply=0)):
        assert next_move(load("a", 6), [target], ones(6), 0.0) is None


def test_a_worker_beyond_what_it_can_give_hands_over_although_it_has_no_more_than_others() -> None:
    assert next_move(load("a", 5, supply=4), [load("b", 5)], ones(5), 0.0) == ("job-0", "b")
    assert next_move(load("b", 6), [load("a", 4, supply=4)], ones(6), 0.0) is None, "and gets none of them back"


def test_one_at_a_time_and_none_too_soon_again() -> None:
    on_its_way = load("a", 6, offers=(offer("job-0", "b"),))
    assert next_move(on_its_way, [load("b", 0)], ones(6), 0.0) is None
    resting = [Movable("job-0", 1.0, not_before_s=30.0)]
    assert next_move(load("a", 6), [load("b", 0)], resting, 29.0) is None
    assert next_move(load("a", 6), [load("b", 0)], resting, 30.0) == ("job-0", "b")


def test_two_do_not_give_to_the_same_worker_beyond_its_share() -> None:
    """Shares are 3, so c should get one; a is first by name, and b knows that."""
    a, b, c = load("a", 4), load("b", 4), load("c", 2)
    assert next_move(a, [b, c], ones(4), 0.0) == ("job-0", "c")
    assert next_move(b, [a, c], ones(4), 0.0) is None
    assert next_move(b, [load("a", 4, offers=(offer("job-0", "c"),)), c], ones(4), 0.0) is None


def test_a_worker_that_leaves_spreads_its_streams_over_those_with_room() -> None:
    others = [load("b", 2), load("c", 0, room=2), load("full", 0, room=0), load("weak", 0, supply=0.5)]
    found = places(load("a", 5, draining=True), others, ones(5))
    assert [target for _, target in found] == ["c", "c", "b", "b", "b"]
    assert places(load("a", 5, draining=True), [load("b", 8, supply=10)], streams(2, 1)) == [("job-1", "b")]


def test_what_a_worker_dropped_tells_what_it_can_give_and_is_forgotten_after_a_while() -> None:
    supply = Supply(0.0)
    for second in range(1, 31):  # ten a second, of which it drops four
        supply.see(second, 10 * second, 4 * second)
    assert supply.drop_share == pytest.approx(0.4)
    assert supply.per_s(1000.0) == pytest.approx(6.0, rel=0.01)
    assert supply.per_s(2.0) == 2.0
    for second in range(31, 151):
        supply.see(second, 300 + 6 * (second - 30), 120)
    assert supply.drop_share < 0.01
    assert supply.per_s(1000.0) > 12


def test_a_few_drops_say_nothing() -> None:
    supply = Supply(0.0)
    supply.see(1.0, 10, 4)
    assert supply.per_s(1000.0) == 1000.0


def seen(
    spared: Spared, seconds: float, fps: float, still: float, since: tuple[float, int, int]
) -> tuple[float, int, int]:
    """Let a camera be seen by its gate, of whose samples a share shows what the one before did."""
    now_s, looked, without = since
    for _ in range(int(seconds * 4)):
        now_s += 0.25
        looked = round(since[1] + (now_s - since[0]) * fps)
        without = round(since[2] + (now_s - since[0]) * fps * still)
        spared.see(now_s, looked, without)
    return now_s, looked, without


def test_what_a_motion_gate_spares_is_not_asked_and_motion_is_at_once() -> None:
    spared = Spared(2.0)
    assert spared.see(0.0, 0, 0) == 2.0
    at = seen(spared, 4.0, 2.0, 1.0, (0.0, 0, 0))
    assert spared.now == 2.0, "too little has been seen"
    at = seen(spared, 120.0, 2.0, 1.0, at)
    assert spared.now == 0.5, "its decoder works, and it may move: a quarter"
    seen(spared, 15.0, 2.0, 0.0, at)
    assert spared.now >= 1.5


def test_it_goes_by_steps_and_not_to_and_fro() -> None:
    """A picture that moves a little more or less moves no stream between workers."""
    spared, at, told = Spared(1.0), (0.0, 0, 0), set()
    at = seen(spared, 300.0, 1.0, 0.4, at)
    for still in (0.36, 0.44, 0.38, 0.42) * 5:
        at = seen(spared, 20.0, 1.0, still, at)
        told.add(spared.now)
    assert told == {0.75}


def test_a_stream_that_changes_hands_asks_of_its_next_worker_what_it_asked_of_the_last() -> None:
    """Else the giver would be the emptier one by more than the stream, and it would come back."""
    assert Spared(2.0, at_first=1.0).now == 1.0
    assert Spared(2.0, at_first=0.9).now == 1.0
    assert Spared(2.0, at_first=0.0).now == 0.5
    assert Spared(2.0, at_first=1e9).now == 2.0
    assert Spared(0.0, at_first=1.0).now == 0.0


def come_and_go(fleet: Fleet, streams_: int, steps: int, most: int, seed: int) -> tuple[int, int]:
    """Workers join, are stopped and are killed; after each change the fleet is left alone until it is fair again.

    Returns:
        Moves that were made for fairness, and how few could have done.
    """
    chance = random.Random(seed)
    for number in range(3):
        fleet.join(f"w{number}")
    fleet.submit({f"job-{number}": 1.0 for number in range(streams_)})
    fleet.run(60)
    least, names = 0, 3
    for _ in range(steps):
        joins = len(fleet.workers) <= 3 or (len(fleet.workers) < most and chance.random() < 0.6)
        for _ in range(chance.randint(1, 5)):
            if joins and len(fleet.workers) < most:
                fleet.join(f"w{names}")
                names += 1
            elif not joins and len(fleet.workers) > 3:
                fleet.leave(chance.choice(sorted(fleet.workers)), killed=chance.random() < 0.3)
        least += least_moves(fleet.counts())
        fleet.run_until_fair(limit_s=10 * streams_)
    return fleet.moves, least


def test_a_small_fleet_that_comes_and_goes() -> None:
    fleet = Fleet(seed=1)
    made, least = come_and_go(fleet, streams_=60, steps=12, most=10, seed=2)
    assert least > 100
    assert made <= 1.2 * least
    assert max(fleet.waited_s.values()) < 10


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_thousand_streams_on_three_to_fifty_workers_that_come_and_go() -> None:
    fleet = Fleet(seed=3)
    made, least = come_and_go(fleet, streams_=1000, steps=20, most=50, seed=4)
    assert least > 1000
    assert made <= 1.2 * least
    assert max(fleet.waited_s.values()) < 30


def test_streams_of_all_rates_and_moves_that_fail() -> None:
    """No worker is left with a stream that another with less could take, and then nothing moves any more."""
    fleet, chance = Fleet(seed=5, failures=0.2), random.Random(6)
    for number in range(3):
        fleet.join(f"w{number}")
    fleet.submit({f"job-{number}": chance.choice([0.2, 1.0, 2.0, 10.0]) for number in range(60)})
    fleet.run(60)
    for number in range(3, 6):
        fleet.join(f"w{number}")
    fleet.run(300)
    asked, smallest = fleet.asked(), 0.2
    assert asked[-1] - asked[0] <= smallest + 2.0
    before = fleet.moves
    fleet.run(120)
    assert fleet.moves == before


def test_a_fleet_that_cannot_do_all_leaves_the_rest_waiting_and_moves_nothing_to_and_fro() -> None:
    fleet = Fleet(seed=7)
    fleet.join("a", supply=10)
    fleet.join("b", supply=20)
    fleet.submit({f"job-{number}": 1.0 for number in range(50)})
    fleet.run(60)
    assert fleet.counts() == [9, 18]
    before = fleet.moves
    fleet.run(60)
    assert fleet.moves == before
    fleet.join("c", supply=100)
    fleet.run(120)
    assert not fleet.waiting
