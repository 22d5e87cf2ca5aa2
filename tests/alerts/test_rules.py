"""The alerts of ``config/prometheus/rules.yaml`` by promtool: each fires, and each stays silent."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from streamtag.metrics import Metrics
from streamtag.tools.exporter import QueueCollector

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus" / "rules.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks.md"
NEVER_OURS = {"up"}  # of Prometheus itself
INSTANCE = 'instance="w:9108"'
QUEUE = 'model="m", shard="0"'


@dataclass(frozen=True)
class Case:
    """An alert with the series that raise it and those that do not, in Prometheus' notation, a value a minute.

    Attributes:
        after_min: when to look.
    """

    alert: str
    fires: dict[str, str]
    silent: dict[str, str]
    after_min: int = 12
    name: str = field(default="", compare=False)


def live(share_in_time: float, hours: int = 1) -> dict[str, str]:
    """A fleet that takes 6,000 live samples a minute, of which a share is in Redis within 2 s."""
    minutes, in_time = hours * 60, round(6000 * share_in_time)
    return {
        'streamtag_samples_total{source="live"}': f"0+6000x{minutes}",
        'streamtag_capture_to_commit_seconds_bucket{source="live", le="2.0"}': f"0+{in_time}x{minutes}",
    }


def streams(**states: int) -> dict[str, str]:
    """Live streams by state, for an hour."""
    return {
        f'streamtag_streams{{{INSTANCE}, source="live", state="{state}"}}': f"{count}x60"
        for state, count in states.items()
    }


def jobs(outcome: str, values: str) -> dict[str, str]:
    return {f'streamtag_jobs_total{{{INSTANCE}, outcome="{outcome}"}}': values}


def queue(**figures: str) -> dict[str, str]:
    return {f"streamtag_queue_{name}{{{QUEUE}}}": values for name, values in figures.items()}


def drops(share: float) -> dict[str, str]:
    return {
        'streamtag_samples_total{source="live"}': "0+6000x60",
        'streamtag_samples_dropped_total{reason="stale", source="live"}': f"0+{round(6000 * share)}x60",
    }


def lag(share_beyond_2_s: float) -> dict[str, str]:
    return {
        'streamtag_lag_seconds_bucket{le="2.0"}': f"0+{round(6000 * (1 - share_beyond_2_s))}x60",
        'streamtag_lag_seconds_bucket{le="5.0"}': "0+6000x60",
        'streamtag_lag_seconds_bucket{le="+Inf"}': "0+6000x60",
    }


CASES = [
    Case("StreamtagLatencyBudgetBurnsFast", live(0.84, 2), live(0.95, 2), 100),
    Case("StreamtagLatencyBudgetBurnsFast", live(0.93, 8), {}, 470, "by its second pair of windows"),
    Case("StreamtagLatencyBudgetBurnsSlowly", live(0.96, 26), live(0.995, 26), 1500),
    Case("StreamtagQueueUnreachable", queue(reachable="1 0x20"), queue(reachable="1 0 1x20")),
    Case(
        "StreamtagJobsWaitAndNoWorker",
        queue(waiting_jobs="3x20", workers="0x20"),
        queue(waiting_jobs="3x20", workers="1x20"),
    ),
    Case(
        "StreamtagOldestJobWaits", queue(oldest_waiting_seconds="0+60x40"), queue(oldest_waiting_seconds="600x40"), 30
    ),
    Case(
        "StreamtagRedisNearlyFull",
        {"streamtag_redis_memory_used_bytes": "85x20", "streamtag_redis_memory_limit_bytes": "100x20"},
        {"streamtag_redis_memory_used_bytes": "85x20", "streamtag_redis_memory_limit_bytes": "0x20"},
    ),
    Case(
        "StreamtagRedisErrors",
        {f'streamtag_redis_errors_total{{{INSTANCE}, thread="commits"}}': "0+30x20"},
        {f'streamtag_redis_errors_total{{{INSTANCE}, thread="commits"}}': "0x5 1x15"},
        15,
    ),
    Case("StreamtagDeadLetters", jobs("rejected", "0x5 1x20"), jobs("done", "0+5x20")),
    Case("StreamtagJobsCrashWorkers", jobs("crashed", "0x5 1x20"), jobs("failed", "0x5 1x20")),
    Case(
        "StreamtagWorkerDown",
        {f'up{{job="streamtag-worker", {INSTANCE}}}': "1 0x20"},
        {f'up{{job="streamtag-worker", {INSTANCE}}}': "1 0 1x20", 'up{job="other"}': "0x20"},
    ),
    Case(
        "StreamtagWorkerMakesNoProgress",
        streams(live=3) | {f'streamtag_samples_published_total{{{INSTANCE}, source="live"}}': "7x40"},
        streams(live=3) | {f'streamtag_samples_published_total{{{INSTANCE}, source="live"}}': "0+60x40"},
        20,
    ),
    Case(
        "StreamtagWorkerMakesNoProgress",
        {},
        streams(reconnecting=3) | {f'streamtag_samples_published_total{{{INSTANCE}, source="live"}}': "7x40"},
        20,
        "silent while its cameras are off",
    ),
    Case("StreamtagLeasesLost", jobs("lost", "0x5 4x20"), jobs("lost", "0x5 1x20")),
    Case(
        "StreamtagCommitsRefused",
        {f'streamtag_commits_total{{{INSTANCE}, outcome="lease_lost"}}': "0x5 4x20"},
        {f'streamtag_commits_total{{{INSTANCE}, outcome="ok"}}': "0+100x20"},
    ),
    Case(
        "StreamtagRecompiles",
        {f"streamtag_engine_recompiles_total{{{INSTANCE}}}": "0x5 1x20"},
        {f"streamtag_engine_recompiles_total{{{INSTANCE}}}": "0x25"},
    ),
    Case(
        "StreamtagDrainStuck",
        {f"streamtag_draining{{{INSTANCE}}}": "0x5 1x20"},
        {f"streamtag_draining{{{INSTANCE}}}": "0x10 1 stale"},
    ),
    Case("StreamtagCamerasDark", streams(live=7, stalled=1, black=2), streams(live=9, reconnecting=1)),
    Case("StreamtagCamerasDark", {}, streams(live=1, reconnecting=2), 12, "silent about a few cameras"),
    Case("StreamtagCameraDown", streams(live=9, reconnecting=1), streams(live=9, frozen=1), 15),
    Case("StreamtagCameraRefusesPassword", streams(auth_failed=1), streams(reconnecting=1)),
    Case("StreamtagCameraStill", streams(live=2, black=1), streams(live=2), 40),
    Case("StreamtagSamplesDropped", drops(0.08), drops(0.01), 30),
    Case("StreamtagLag", lag(0.1), lag(0.01), 30),
]


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def unit_test(case: Case, series: dict[str, str], fires: bool) -> dict[str, Any]:
    """As promtool reads it. How many instances an alert fires for is told by the series."""
    firing = f'min(ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
    return {
        "name": f"{case.alert} {case.name or ('fires' if fires else 'stays silent')}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": f"{case.after_min}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }


@pytest.mark.parametrize(
    "case",
    [
        # A day of series takes promtool a quarter of a minute.
        pytest.param(case, id=f"{case.alert} {case.name}".strip(), marks=[pytest.mark.long] * (case.after_min > 1000))
        for case in CASES
    ],
)
def test_an_alert_fires_when_it_should_and_stays_silent_when_not(case: Case, tmp_path: Path) -> None:
    tests = [unit_test(case, case.fires, True)] if case.fires else []
    tests += [unit_test(case, case.silent, False)] if case.silent else []
    path = tmp_path / "tests.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    ran = subprocess.run(
        ["promtool", "test", "rules", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    names = {rule["alert"] for rule in alerts()}
    assert {case.alert for case in CASES if case.fires} == names
    assert {case.alert for case in CASES if case.silent} == names


def test_every_metric_that_a_rule_asks_for_is_exported() -> None:
    metrics = Metrics()
    metrics.watch_states(lambda: {("live", "live"): 1})
    metrics.watch_compiles(lambda: 0)
    families: list[Metric] = [*metrics.registry.collect(), *QueueCollector([]).collect()]
    exported = {sample.name for family in families for sample in family.samples} | {family.name for family in families}
    exported |= {f"{family.name}_bucket" for family in families if family.type == "histogram"}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = {name for rule in rules() for name in re.findall(r"streamtag[\w:]+", rule["expr"])}
    assert asked - recorded - NEVER_OURS <= exported, asked - recorded - exported
    assert recorded <= asked, "a rule that nothing uses"


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: str(rule["alert"]))
def test_every_alert_says_what_it_is_and_has_a_runbook(rule: dict[str, Any]) -> None:
    notes = rule["annotations"]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert notes["summary"]
    assert "$value" in notes["description"] or "$labels" in notes["description"]
    assert notes["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"
    section = re.search(rf"^## {rule['alert']}\n(.*?)(?=^## |\Z)", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"{RUNBOOKS} has no section {rule['alert']}"
    for part in ("**It means**", "**Look at**", "**Do**"):
        assert part in section[1], f"{rule['alert']} lacks {part}"


def test_no_runbook_is_about_an_alert_that_there_is_not() -> None:
    sections = set(re.findall(r"^## (Streamtag\w+)$", RUNBOOKS.read_text(), re.MULTILINE))
    assert sections == {rule["alert"] for rule in alerts()}
