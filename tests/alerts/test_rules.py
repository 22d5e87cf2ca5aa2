"""The alerts of ``config/prometheus/rules.yaml`` by promtool: each fires, and each stays silent."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from streamtag.tools.metrics_page import exporter_families, notifier_families, worker_families

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus" / "rules.yaml"
RUNBOOKS = ROOT / "docs" / "runbooks.md"
NEVER_OURS = {"up"}  # of Prometheus itself
INSTANCE = 'instance="w:9108"'
RUNNERS = ('instance="n:9108"', 'instance="o:9108"')  # of streamtag notify
QUEUE = 'model="m", shard="0"'
EXPORTERS = tuple(
    f'up{{job="streamtag-exporter", instance="{name}:9108", streamtag_model="{model}", streamtag_shard="0"}}'
    for name, model in (("e", "m"), ("f", "m"), ("g", "other"))
)


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


def progress(values: str) -> dict[str, str]:
    return {f"streamtag_last_progress_timestamp_seconds{{{INSTANCE}}}": values}


def staleness(**states: str) -> dict[str, str]:
    return {
        f'streamtag_stream_staleness_seconds{{{INSTANCE}, state="{state}"}}': values for state, values in states.items()
    }


def redis_answers(share_beyond_half_a_second: float) -> dict[str, str]:
    bucket = f"streamtag_redis_seconds_bucket{{{INSTANCE}, "
    return {
        f'{bucket}thread="commits", le="0.3"}}': f"0+{round(6000 * (1 - share_beyond_half_a_second))}x60",
        f'{bucket}thread="commits", le="1.0"}}': "0+6000x60",
        f'{bucket}thread="commits", le="+Inf"}}': "0+6000x60",
    }


def replicas(current: str, most: int) -> dict[str, str]:
    autoscaler = 'namespace="n", horizontalpodautoscaler="keda-hpa-streamtag-worker"'
    return {
        f"kube_horizontalpodautoscaler_status_current_replicas{{{autoscaler}}}": current,
        f"kube_horizontalpodautoscaler_spec_max_replicas{{{autoscaler}}}": f"{most}x60",
    }


def events(outcome: str, values: str) -> dict[str, str]:
    return {f'streamtag_notify_events_total{{{RUNNERS[0]}, sink="alarm", outcome="{outcome}"}}': values}


def undelivered(values: str) -> dict[str, str]:
    return {f'streamtag_notify_oldest_undelivered_seconds{{{RUNNERS[0]}, sink="alarm"}}': values}


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
        "StreamtagExporterDown",
        {EXPORTERS[0]: "1 0x20", EXPORTERS[2]: "1x20"},
        {EXPORTERS[0]: "1 0 1x20", 'up{job="streamtag-worker"}': "0x20"},
    ),
    Case(
        "StreamtagExporterDown",
        {EXPORTERS[0]: "1 1 stale", EXPORTERS[2]: "1x20"},
        {EXPORTERS[0]: "1 1 stale", EXPORTERS[1]: "_ _ 1x20"},
        name="when its pod is gone, and not when another has taken its place",
    ),
    Case("StreamtagExporterDown", {}, {EXPORTERS[0]: "1 1 stale"}, 80, "silent an hour after it was taken away"),
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
        streams(live=3) | progress("7x40"),
        streams(live=3) | progress("0+60x40"),
        20,
    ),
    Case(
        "StreamtagWorkerMakesNoProgress",
        {},
        streams(reconnecting=3) | progress("7x40"),
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
    Case(
        "StreamtagDecodersFail",
        {f'streamtag_decoder_restarts_total{{{INSTANCE}, cause="died"}}': "0x5 8x20"},
        {
            f'streamtag_decoder_restarts_total{{{INSTANCE}, cause="unreachable"}}': "0+10x25",
            f'streamtag_decoder_restarts_total{{{INSTANCE}, cause="died"}}': "0x5 2x20",
        },
    ),
    Case("StreamtagRedisSlow", redis_answers(0.2), redis_answers(0.01), 20),
    Case("StreamtagStreamStale", staleness(live="0+60x20"), staleness(live="1x20", reconnecting="0+60x20")),
    Case("StreamtagAtMaxReplicas", replicas("50x40", 50), replicas("49x40", 50), 20),
    Case(
        "StreamtagScalerErrors",
        {'keda_scaler_detail_errors_total{namespace="n", scaledObject="streamtag-worker"}': "0+1x30"},
        {'keda_scaler_detail_errors_total{namespace="n", scaledObject="other"}': "0+1x30"},
        20,
    ),
    Case("StreamtagCamerasDark", streams(live=7, stalled=1, black=2), streams(live=9, reconnecting=1)),
    Case("StreamtagCamerasDark", {}, streams(live=1, reconnecting=2), 12, "silent about a few cameras"),
    Case("StreamtagCameraDown", streams(live=9, reconnecting=1), streams(live=9, frozen=1), 15),
    Case("StreamtagCameraRefusesPassword", streams(auth_failed=1), streams(reconnecting=1)),
    Case("StreamtagCameraStill", streams(live=2, black=1), streams(live=2), 40),
    Case("StreamtagSamplesDropped", drops(0.08), drops(0.01), 30),
    Case("StreamtagNotificationsUndelivered", undelivered("0+60x20"), undelivered("0 60 120 180 240 0x15")),
    Case(
        "StreamtagNobodyNotifies",
        {f"streamtag_notify_lease{{{RUNNERS[0]}}}": "0x20", f"streamtag_notify_lease{{{RUNNERS[1]}}}": "1 0x20"},
        {f"streamtag_notify_lease{{{RUNNERS[0]}}}": "0x20", f"streamtag_notify_lease{{{RUNNERS[1]}}}": "1x20"},
    ),
    Case(
        "StreamtagNobodyNotifies",
        {f'up{{job="streamtag-notify", {RUNNERS[0]}}}': "0x20", f'up{{job="streamtag-notify", {RUNNERS[1]}}}': "0x20"},
        {f'up{{job="streamtag-notify", {RUNNERS[0]}}}': "0x20", f'up{{job="streamtag-notify", {RUNNERS[1]}}}': "1x20"},
        name="by what cannot be scraped",
    ),
    Case("StreamtagNotificationsGivenUp", events("expired", "0x5 1x20"), events("delivered", "0+5x20")),
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


def exported_by(families: Iterable[Metric]) -> set[str]:
    """The names of all series."""
    families = list(families)
    names = {sample.name for family in families for sample in family.samples} | {family.name for family in families}
    return names | {f"{family.name}_bucket" for family in families if family.type == "histogram"}


def test_every_metric_that_a_rule_asks_for_is_exported() -> None:
    exported = exported_by([*worker_families(), *exporter_families(), *notifier_families()])
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    expressions = [re.sub(r"\b(by|on) \([^)]*\)", "", rule["expr"]) for rule in rules()]
    asked = {name for one in expressions for name in re.findall(r"streamtag[\w:]+", one)}
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
