"""The dashboards: made by their script, and asking for nothing that is not exported. That each of their queries gives
data is seen in ``test_somebody_is_told.py``, on a real Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from streamtag.tools.metrics_page import exporter_families, notifier_families, worker_families

from tests.alerts.test_rules import exported_by, rules
from tests.support.dashboards import DASHBOARDS, Query, queries

ROOT = Path(__file__).parents[2]
OTHERS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}


def test_the_dashboards_are_those_of_the_script(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "dashboards", tmp_path], check=True, timeout=60)
    made = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text(encoding="utf-8") for path in DASHBOARDS}
    assert committed == made, "write them anew: python scripts/dashboards"
    assert set(committed) == {"fleet.json", "worker.json", "streams.json"}


def test_every_metric_that_a_panel_asks_for_is_exported() -> None:
    known = exported_by([*worker_families(), *exporter_families(), *notifier_families()]) | {
        rule["record"] for rule in rules() if "record" in rule
    }
    asked = {name for query in queries() for name in re.findall(r"streamtag[\w:]+", re.sub(r'"[^"]*"', "", query.expr))}
    assert asked
    assert asked <= known, asked - known


def test_every_metric_of_a_worker_or_notifier_is_on_a_panel_or_in_a_rule() -> None:
    """A figure that nobody ever looks at is none that an on-call person needs."""
    looked_at = " ".join([*(query.expr for query in queries()), *(rule["expr"] for rule in rules())])
    families = [family for family in (*worker_families(), *notifier_families()) if family.name.startswith("streamtag_")]
    unseen = {family.name for family in families if not re.search(rf"\b{family.name}(_|\b)", looked_at)}
    assert unseen == set(UNSEEN), unseen ^ set(UNSEEN)


UNSEEN = {
    "streamtag_build": "what runs, for who asks",
    "streamtag_engine_compiles": "of the start",
    "streamtag_engine_compile_seconds": "of the start",
    "streamtag_events": "what they are about is on panels of its own",
    "streamtag_frames_decoded": "what it costs is on the panel of the CPU",
    "streamtag_pictures": "an aid to people, who see themselves that there are none",
    "streamtag_redis_memory_short": "follows from the memory that is used",
}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: str(path.stem))
def test_a_dashboard_has_one_data_source_to_choose_and_knows_its_variables(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    board: dict[str, Any] = json.loads(text)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert variables == {"datasource", "instance"}
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__all"}
    assert used <= variables
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    assert all(query.expr for query in queries([path]))


def test_panels_lie_beside_and_below_each_other() -> None:
    for path in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert not cells & taken, f"{path.name}: {panel['title']} lies on another"
            assert max(x for x, _ in cells) < 24
            taken |= cells


def test_a_query_without_data_would_be_found() -> None:
    query = Query("fleet", "a panel", 'sum(rate(x{instance=~"$instance"}[$__rate_interval]))')
    assert query.asked == 'sum(rate(x{instance=~".*"}[20s]))'
