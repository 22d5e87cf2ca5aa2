"""The metrics as a scrape sees them, before anything has happened and after."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from streamtag.collectors import StreamLook
from streamtag.core.records import StreamState
from streamtag.metrics import Metrics
from streamtag.notify_metrics import NotifyMetrics
from streamtag.pipeline.health import Health, HttpServer
from streamtag.settings import HttpSettings
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
        'streamtag_decoder_restarts_total{cause="died"} 0.0',
        'streamtag_open_errors_total{cause="rejected"} 0.0',
        'streamtag_redis_seconds_bucket{le="1.0",thread="claims"} 0.0',
        'streamtag_label_events_total{kind="exit",label="a \\"b\\""} 0.0',
    ],
)
def test_what_may_happen_is_there_at_0_before_it_does(line: str) -> None:
    assert line in generate_latest(Metrics(['a "b"']).registry).decode().splitlines()


@pytest.mark.parametrize(
    "line",
    [
        'streamtag_notify_events_total{outcome="expired",sink="alarm"} 0.0',
        'streamtag_notify_retries_total{sink="home"} 0.0',
        'streamtag_notify_oldest_undelivered_seconds{sink="home"} 0.0',
        "streamtag_notify_lease 0.0",
    ],
)
def test_what_may_become_of_an_event_is_there_at_0(line: str) -> None:
    assert line in generate_latest(NotifyMetrics(["alarm", "home"]).registry).decode().splitlines()


def test_an_event_that_waits_grows_old_with_the_runner_that_is_to_tell_it_and_no_other() -> None:
    metrics = NotifyMetrics(["alarm", "home"])

    def age_s(sink: str) -> float:
        found = metrics.registry.get_sample_value("streamtag_notify_oldest_undelivered_seconds", {"sink": sink})
        assert found is not None
        return found

    metrics.hold(True)
    metrics.waits("alarm", time.time() - 100)
    metrics.waits("home", time.time() + 100)  # by a clock that is ahead of ours
    assert 100 <= age_s("alarm") < 1000
    assert age_s("home") == 0
    metrics.hold(False)
    assert age_s("alarm") == 0
    metrics.hold(True)
    metrics.waits("alarm", None)
    assert age_s("alarm") == 0


def test_the_worst_stream_of_a_state_is_told_and_whose_labels_are_watched() -> None:
    metrics = Metrics(["person", "dog"])
    seen = [
        StreamLook(StreamState.LIVE, "live", 3.0, frozenset(["person", "cat"])),
        StreamLook(StreamState.LIVE, "live", 70.5, frozenset(["person"])),
        StreamLook(StreamState.RECONNECTING, "live", 20.0),
        StreamLook(StreamState.LIVE, "finite", 900.0),
    ]
    metrics.watch_streams(lambda: seen)
    lines = generate_latest(metrics.registry).decode().splitlines()
    for line in (
        'streamtag_streams{source="live",state="live"} 2.0',
        'streamtag_streams{source="finite",state="live"} 1.0',
        'streamtag_streams{source="live",state="black"} 0.0',
        'streamtag_stream_staleness_seconds{state="live"} 70.5',
        'streamtag_stream_staleness_seconds{state="reconnecting"} 20.0',
        'streamtag_stream_staleness_seconds{state="frozen"} 0.0',
        'streamtag_label_streams{label="person"} 2.0',
        'streamtag_label_streams{label="dog"} 0.0',
    ):
        assert line in lines
    assert "cat" not in "".join(lines)


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


def test_openmetrics_is_for_who_accepts_it_and_has_the_exemplars() -> None:
    metrics = Metrics()
    metrics.latency_s.observe([0.05, 0.07, 1.5, 100.0], "live")
    metrics.latency_s.exemplify(0.05, "0af7651916cd43dd8448eb211c80319c", 1.7e9, "live")
    metrics.latency_s.exemplify(0.07, "4bf92f3577b34da6a3ce929d0e0e4736", 1.7e9, "live")
    metrics.latency_s.exemplify(100.0, "0af7651916cd43dd8448eb211c80319c", 1.7e9 + 1, "live")
    server = HttpServer(HttpSettings(host="127.0.0.1", port=0), metrics.registry, Health(60.0))
    server.start()
    try:
        texts = {}
        nonsense = "application/openmetrics-text;version=abc"
        for accept in ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4", "text/plain", "", nonsense):
            request = urllib.request.Request(f"{server.url}/metrics", headers={"Accept": accept} if accept else {})
            with urllib.request.urlopen(request, timeout=10) as answer:
                texts[accept] = answer.read().decode()
                asked = "" if accept == nonsense else accept.partition(";")[0]
                assert answer.headers["Content-Type"].startswith(asked or "text/plain")
    finally:
        server.stop()
    opened, *plain = texts.values()
    assert len(plain) == 3
    assert "trace_id" not in "".join(plain)
    assert "_created" not in opened + "".join(plain), "a second series for each counter"
    read = text_string_to_metric_families(opened)  # type: ignore[no-untyped-call]
    families = {family.name: family for family in read}
    found = {
        (sample.labels["source"], sample.labels["le"]): (sample.exemplar.labels["trace_id"], sample.exemplar.value)
        for sample in families["streamtag_capture_to_commit_seconds"].samples
        if sample.exemplar
    }
    assert found == {
        ("live", "0.1"): ("4bf92f3577b34da6a3ce929d0e0e4736", 0.07),
        ("live", "+Inf"): ("0af7651916cd43dd8448eb211c80319c", 100.0),
    }
