"""The metrics as a scrape sees them, before anything has happened and after."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import generate_latest
from streamtag.metrics import Metrics
from streamtag.tools.metrics_page import page

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_reference_is_that_of_the_declarations() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m streamtag.tools.metrics_page > docs/metrics.md"


@pytest.mark.parametrize(
    "line",
    [
        'streamtag_samples_dropped_total{reason="lagging",source="live"} 0.0',
        'streamtag_samples_failed_total{reason="corrupt",source="finite"} 0.0',
        'streamtag_jobs_total{outcome="crashed"} 0.0',
        'streamtag_commits_total{outcome="lease_lost"} 0.0',
        'streamtag_capture_to_commit_seconds_bucket{le="2.0",source="live"} 0.0',
        'streamtag_stream_reconnects_total{state="auth_failed"} 0.0',
    ],
)
def test_what_may_happen_is_there_at_0_before_it_does(line: str) -> None:
    assert line in generate_latest(Metrics().registry).decode().splitlines()


def test_a_histogram_of_batches_counts_each_source_for_itself() -> None:
    metrics = Metrics()
    metrics.latency_s.observe([0.05, 1.5, 100.0], "live")
    metrics.latency_s.observe([0.05], "finite")
    lines = generate_latest(metrics.registry).decode().splitlines()
    for line in (
        'streamtag_capture_to_commit_seconds_bucket{le="0.1",source="live"} 1.0',
        'streamtag_capture_to_commit_seconds_bucket{le="2.0",source="live"} 2.0',
        'streamtag_capture_to_commit_seconds_count{source="live"} 3.0',
        'streamtag_capture_to_commit_seconds_sum{source="live"} 101.55',
        'streamtag_capture_to_commit_seconds_count{source="finite"} 1.0',
    ):
        assert line in lines
    assert metrics.latency_s.count == 4


def test_the_process_is_measured_too() -> None:
    text = generate_latest(Metrics().registry).decode()
    assert "process_resident_memory_bytes" in text
    assert "python_gc_collections_total" in text
