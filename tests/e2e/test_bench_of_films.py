"""``bench peers`` and ``bench pipeline``: that they compare like with like, not how fast; no test asserts a time."""

from __future__ import annotations

import pytest
from streamtag.settings import Settings

from tests.support import json_lines, run_cli

FEW = ("--model", "demo", "--seconds", "1", "--rounds", "1", "--json")


@pytest.mark.long
def test_the_benchmark_of_peers_gives_all_of_them_the_same_samples(settings: Settings) -> None:
    """Twice a second of film at 25 frames a second, each fifth: ten samples whoever reads them."""
    ran = run_cli(settings, "bench", "peers", "--files", "2", *FEW)
    assert ran.returncode == 0, ran.stderr
    rows = {line["way"]: line for line in json_lines(ran.stdout)}
    assert list(rows) == ["streamtag", "opencv + keras predict", "opencv + openvino async"]
    for row in rows.values():
        assert row["samples"] == 10
        assert 0 < row["samples_per_s"]["least"] <= row["samples_per_s"]["median"] <= row["samples_per_s"]["most"]
        assert "cores" in row["machine"]
    ours = rows.pop("streamtag")
    assert (ours["ratio"], ours["goal"]) == (1.0, 0.0)
    for row in rows.values():
        wanted = ours["samples_per_s"]["median"] / row["samples_per_s"]["median"]
        assert row["ratio"] == pytest.approx(wanted, rel=0.1, abs=0.01)
    missing = run_cli(settings, "bench", "peers", "/none.mp4", *FEW)
    assert missing.returncode == 1
    assert "/none.mp4" in missing.stderr


@pytest.mark.long
def test_the_benchmark_of_the_pipeline_tells_its_parts(settings: Settings) -> None:
    ran = run_cli(settings, "bench", "pipeline", "--files", "2", "--every", "1", *FEW)
    assert ran.returncode == 0, ran.stderr
    (row,) = json_lines(ran.stdout)
    assert (row["films"], row["samples"]) == (2, 50)
    assert row["worker_ms"] > row["decode_ms"] > 0
    assert row["worker_ms"] > row["inference_ms"] > 0
    assert row["ratio"] > 0
    assert row["cpu_ratio"] == pytest.approx((row["decode_ms"] + row["inference_ms"]) / row["worker_ms"], rel=0.05)
