"""The queries of the dashboards, as Grafana would send them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

DASHBOARDS = sorted((Path(__file__).parents[2] / "dashboards").glob("*.json"))
# What Grafana puts in for its variables: all workers, and a window for a scrape each second.
VARIABLES = {"$instance": ".*", "$__rate_interval": "20s"}


@dataclass(frozen=True)
class Query:
    """Of one panel."""

    board: str
    panel: str
    expr: str
    legend: str = ""

    @property
    def asked(self) -> str:
        """With the variables replaced."""
        text = self.expr
        for name, value in VARIABLES.items():
            text = text.replace(name, value)
        return text


def queries(paths: Iterable[Path] = DASHBOARDS) -> Iterator[Query]:
    """Each query of each panel."""
    for path in paths:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            for target in panel.get("targets", ()):
                yield Query(path.stem, panel["title"], target["expr"], target.get("legendFormat", ""))
