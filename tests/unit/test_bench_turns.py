"""What the benches compute: the search for the most streams, percentiles, and ratios of rounds."""

from __future__ import annotations

import pytest
from streamtag.tools.bench.engines import Comparison, EngineRow
from streamtag.tools.bench.live import search
from streamtag.tools.bench.turns import Spread, percentile, ratio


@pytest.mark.parametrize("bound", [0, 1, 2, 3, 7, 8, 9, 31, 63, 64])
def test_the_search_finds_the_most_that_hold_in_few_tries(bound: int) -> None:
    tried: list[int] = []

    def holds(streams: int) -> bool:
        tried.append(streams)
        return streams <= bound

    assert search(holds, 64) == bound
    assert len(tried) == len(set(tried)) <= 13
    assert max(tried) <= 64
    assert all(streams <= max(1, 2 * bound) for streams in tried), "none far beyond what holds"


def test_a_percentile_is_the_least_value_that_enough_do_not_exceed() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([3.0], 0.5) == 3.0
    assert percentile([1.0, 2.0], 0.01) == 1.0


def test_what_disturbs_a_round_disturbs_both_sides_of_a_ratio() -> None:
    assert ratio([10.0, 1.0, 20.0], [5.0, 0.5, 10.0]) == 2.0
    assert Spread.of([3.0, 1.0, 2.234]) == Spread(2.23, 1.0, 3.0)


def test_a_peer_that_computes_something_else_is_no_measure_and_one_that_rounds_is() -> None:
    ours = EngineRow("openvino", "float32", images_per_s=300.0, agreement=1.0)
    plain = EngineRow("openvino by hand", "float32", images_per_s=240.0, agreement=1.0, peer=True)
    garbled = EngineRow("openvino by hand", "int8", images_per_s=600.0, agreement=0.0, peer=True)
    assert Comparison([ours, plain, garbled], None).to_peers == 1.25
    rounded = EngineRow("openvino by hand", "int8", images_per_s=600.0, agreement=0.91, peer=True)
    assert Comparison([ours, plain, rounded], None).to_peers == 0.5
    assert Comparison([ours, garbled], None).to_peers is None
