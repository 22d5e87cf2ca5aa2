"""``bench start``, ``memory --streams`` and ``scale``: that they see the processes they speak of."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamtag.settings import Settings

from tests.support import json_lines, run_cli

# What a file and the environment say of another Redis must hold for none of the benchmarks' own.
ANOTHER_REDIS = "{redis: {host: redis.invalid, port: 6390, password: secret, tls_ca: /no/such/ca.pem}}"
SENTINELS = {"STREAMTAG_REDIS__SENTINELS": '["127.0.0.1:9"]', "STREAMTAG_REDIS__SENTINEL_PASSWORD": "secret"}
DEMO = ("--model", "demo", "--json", "--set", "engine.name=tf_graph")


@pytest.fixture
def another(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "worker.yaml").write_text(ANOTHER_REDIS)
    return "--config", str(tmp_path / "worker.yaml")


@pytest.mark.long
def test_the_benchmark_of_starts_waits_until_a_worker_is_ready_and_then_counts_what_it_compiles(
    settings: Settings, another: tuple[str, str]
) -> None:
    ran = run_cli(settings, "bench", "start", "--rounds", "1", *DEMO, *another)
    assert ran.returncode == 0, ran.stderr
    (row,) = json_lines(ran.stdout)
    assert row["ready_s"]["median"] > 1, "importing TensorFlow alone takes that"
    assert row["cpu_s"]["median"] > 1
    assert row["compiled_later"] == 0
    assert row["samples"] == 50 + 25 + 17 + 10 + 8, "two seconds at 25 frames a second, every 1, 2, 3, 5 and 7"
    none = run_cli(settings, "bench", "start", "--rounds", "1", "--set", "metrics.labels=['no such']", *DEMO)
    assert none.returncode == 1
    assert "before it was ready" in none.stderr


@pytest.mark.long
def test_the_benchmark_of_streams_finds_their_decoders(settings: Settings) -> None:
    ran = run_cli(settings, "bench", "memory", "--streams", "2", *DEMO, env=SENTINELS)
    assert ran.returncode == 0, ran.stderr
    (found,) = json_lines(ran.stdout)
    assert found["processes"] >= 1 + 2 * 2, "the server that all are forked from; a decoder and a gate for each"
    assert 10 < found["stream_most_mb"] <= 2 * found["stream_mb"]
    assert found["parent_mb"] >= found["parent_private_mb"] > 100


@pytest.mark.long
def test_the_benchmark_of_scale_counts_what_two_workers_give(settings: Settings, another: tuple[str, str]) -> None:
    """Devices of 20 samples a second leave the processor time enough, so that two give about twice as much as one."""
    few = ("--workers", "2", "--streams", "1", "--batch-ms", "400", "--rounds", "1", "--seconds", "6")
    ran = run_cli(settings, "bench", "scale", *few, "--model", "demo", "--json", *another)
    assert ran.returncode == 0, ran.stderr
    one, two = json_lines(ran.stdout)
    assert [(row["workers"], row["streams"], row["possible_per_s"]) for row in (one, two)] == [
        (1, 1, 20.0),
        (2, 2, 40.0),
    ]
    assert one["linear"] == 1.0
    assert two["linear"] > 0.6
    for row in (one, two):
        assert 0 < row["samples_per_s"]["median"] < 1.3 * row["possible_per_s"]
        assert row["worker_us"] > 0
        assert row["redis_us"] > 0
