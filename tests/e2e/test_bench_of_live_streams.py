"""``bench latency`` and ``bench capacity``: that they see what readers see; no test asserts how fast that is."""

from __future__ import annotations

import pytest
from streamtag.settings import Settings

from tests.support import json_lines, run_cli

DEMO = ("--model", "demo", "--json")


@pytest.mark.long
def test_the_benchmark_of_latency_reads_results_at_the_load_that_is_asked_for(settings: Settings) -> None:
    few = ("--streams", "2", "--load", "0.01", "--rounds", "2", "--seconds", "3")
    ran = run_cli(settings, "bench", "latency", *few, *DEMO)
    assert ran.returncode == 0, ran.stderr
    (row,) = json_lines(ran.stdout)
    asked = 2 * row["rate"] * 2 * 3
    assert 0 < row["results"] <= asked + 2 * 2 * 2  # of each stream and round one at each end
    assert 0 < row["p50_ms"]["median"] <= row["p95_ms"]["median"] <= row["p99_ms"]["median"]
    assert row["goal_ms"] == pytest.approx(2 * row["batch_ms"] + 60, abs=0.3)
    assert "cores" in row["machine"]


@pytest.mark.long
def test_the_benchmark_of_capacity_tells_workers_and_cost_for_cameras(settings: Settings) -> None:
    """Nobody is too late within a minute, so that all are held that are tried."""
    few = ("--rate", "5", "--seconds", "2", "--cameras", "5", "--most", "2", "--price", "0.4")
    ran = run_cli(settings, "bench", "capacity", *few, "--limit", "60", *DEMO)
    assert ran.returncode == 0, ran.stderr
    (found,) = json_lines(ran.stdout)
    assert [step["streams"] for step in found["steps"]] == [1, 2]
    assert (found["slots"], found["replicas"], found["cost_per_camera_hour"]) == (2, 3, pytest.approx(0.24))
