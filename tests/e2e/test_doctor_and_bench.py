"""``doctor`` and ``bench``."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamtag.settings import Settings

from tests.support import json_lines, run_cli
from tests.support.bundles import whole_bundle


@pytest.mark.long
def test_doctor_finds_what_is_wrong_and_says_what_to_do(settings: Settings) -> None:
    ran = run_cli(settings, "doctor", "--json", env={"TF_CPP_MIN_LOG_LEVEL": "0"})
    assert ran.returncode == 0, ran.stdout
    assert ran.stderr == "", "what TensorFlow and OpenCV remark is no finding"
    found = {line["check"]: line for line in json_lines(ran.stdout)}
    assert found["redis version"]["level"] == "ok"
    assert found["decode VP9"]["level"] == "ok"
    assert found["weights"]["level"] == "ok"
    broken = run_cli(
        settings,
        "doctor",
        "--model",
        "xception",
        "--weights",
        "/none.h5",
        "--json",
        env={"STREAMTAG_REDIS__URL": "redis://127.0.0.1:9"},
    )
    assert broken.returncode == 1
    assert all(line["remedy"] for line in json_lines(broken.stdout) if line["level"] != "ok")
    failed = {line["check"]: line["seen"] for line in json_lines(broken.stdout) if line["level"] == "fail"}
    assert "is it running" in failed["redis"]
    assert "no such file" in failed["model"]


def test_the_plumbing_benchmark_runs(settings: Settings) -> None:
    """That it works, not how fast: no test asserts a time."""
    ran = run_cli(settings, "bench", "plumbing", "--streams", "2", "--samples", "200", "--json")
    assert ran.returncode == 0, ran.stderr
    (line,) = json_lines(ran.stdout)
    assert line["cpu_us_per_sample"] > 0
    assert line["classes"] == 1000


@pytest.mark.long
def test_the_plumbing_benchmark_of_live_streams_runs(settings: Settings) -> None:
    ran = run_cli(settings, "bench", "plumbing", "--streams", "3", "--samples", "10", "--rate", "5", "--json")
    assert ran.returncode == 0, ran.stderr
    (line,) = json_lines(ran.stdout)
    assert line["samples_per_s"] in range(5, 25)
    assert 0 < line["latency_ms"] < 5000


@pytest.mark.long
def test_the_memory_benchmark_measures_each_thing_by_itself(settings: Settings) -> None:
    """More labels make a result larger, and nothing else; a checkpoint holds a number for each class."""
    few = ("--jobs", "4", "--samples", "500")
    five, one = (
        json_lines(run_cli(settings, "bench", "memory", "--model", "xception", *few, "--json", "--set", labels).stdout)[
            0
        ]
        for labels in ("worker.top_k=5", "worker.top_k=1")
    )
    assert five["result"] > 2 * one["result"] > 100
    assert one["job_waiting"] < five["job_over"] < five["job_running"]
    assert five["job_running"] > 4 * five["classes"]
    assert abs(five["event"] - one["event"]) < 20
    assert 1000 < five["picture_file"] < five["picture"] < 2 * five["picture_file"]


@pytest.mark.long
def test_the_engine_benchmark_compares_with_plain_keras_and_keeps_its_choice(
    settings: Settings, tmp_path: Path
) -> None:
    """Of a bundle around a whole .keras file, too: it has weights of its own and no random ones."""
    bundle = whole_bundle(tmp_path)
    own = {"STREAMTAG_MODEL__CACHE": str(tmp_path / "cache"), "STREAMTAG_ENGINE__NAME": "auto"}
    few = ("--model", str(bundle), "--batch", "1", "--seconds", "0.1", "--json")
    ran = run_cli(settings, "bench", "engines", *few, "--keep", env=own)
    assert ran.returncode == 0, ran.stderr
    lines = json_lines(ran.stdout)
    assert (lines[0]["engine"], lines[0]["ratio"], lines[0]["peer"]) == ("keras predict", 1.0, True)
    assert {"tf_graph", "openvino"} <= {line["engine"] for line in lines}
    for line in lines:
        assert line["images_per_s_least"] <= line["images_per_s"] <= line["images_per_s_most"]
        assert (line["agreement"], line["largest_difference"] < 0.05) == (1.0, True), line
    (chosen,) = (line for line in lines if line["chosen"])
    named = f"{chosen['engine']} {chosen['precision']}, measured here"
    checks = json_lines(run_cli(settings, "doctor", "--model", str(bundle), "--json", env=own).stdout)
    assert any(line["check"] == "engine" and line["seen"].startswith(named) for line in checks), checks


@pytest.mark.long
def test_the_decoding_benchmark_counts_samples_and_cpu_of_a_film(settings: Settings) -> None:
    """Two seconds of its own film: ten samples, fifty frames, two key frames; key frames cost the least of them."""
    ran = run_cli(settings, "bench", "decode", "--seconds", "2", "--json")
    assert ran.returncode == 0, ran.stderr
    rows = {line["sampled"]: line for line in json_lines(ran.stdout)}
    assert [row["samples"] for row in rows.values()] == [10, 50, 2]
    for row in rows.values():
        assert 0 < row["cpu_ms_least"] <= row["cpu_ms"] <= row["cpu_ms_most"]
    assert rows["key frames"]["ratio"] < rows["5 a second"]["ratio"]
    none = run_cli(settings, "bench", "decode", "/none.mp4")
    assert none.returncode == 1
    assert "/none.mp4" in none.stderr
