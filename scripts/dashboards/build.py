"""From a board to Grafana's JSON."""

from __future__ import annotations

import json
from string import ascii_uppercase
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models
from panels import Board, Panel

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT = 8
DECIMALS = {"percentunit": 1}


def to_json(board: Board) -> str:
    """The dashboard as Grafana imports it, with a data source to choose."""
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["streamtag"])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-3h", "now")
        .refresh("30s")
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
        .with_variable(_instances())
        .link(
            dashboard.DashboardLink("Streamtag")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["streamtag"])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    for title, panels in board.rows:
        made.with_row(dashboard.Row(title))
        for panel in panels:
            made.with_panel(_panel(panel))
    return json.dumps(made.build(), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _instances() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("instance")
        .label("worker")
        .query("label_values(streamtag_slots, instance)")
        .datasource(SOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def _panel(panel: Panel) -> Any:
    made: Any = {"stat": stat.Panel, "heatmap": heatmap.Panel}.get(panel.kind, timeseries.Panel)()
    made = made.title(panel.title).datasource(SOURCE).span(panel.width).height(HEIGHT).unit(panel.unit)
    if panel.about:
        made = made.description(panel.about)
    if panel.unit in DECIMALS:
        made = made.decimals(DECIMALS[panel.unit])
    if panel.above is not None or panel.below is not None:
        made = made.thresholds(_thresholds(panel))
    for ref_id, query in zip(ascii_uppercase, panel.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref_id).datasource(SOURCE)
        target = target.instant() if panel.kind == "stat" else target.range()
        if panel.kind == "heatmap":
            target = target.format(prometheus_models.PromQueryFormat.HEATMAP).exemplar(True)
        made = made.with_target(target)
    if panel.kind in ("timeseries", "stacked"):
        made = made.min(0).show_points(common_models.VisibilityMode.NEVER).fill_opacity(10)
    if panel.kind == "stacked":
        made = made.fill_opacity(60).stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    return made


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    first, then, at = ("green", "red", panel.above) if panel.above is not None else ("red", "green", panel.below)
    steps = [models.Threshold(value=None, color=first), models.Threshold(value=at, color=then)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)
