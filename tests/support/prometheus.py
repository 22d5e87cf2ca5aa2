"""A real Prometheus and a real Alertmanager, and somebody who is told."""

from __future__ import annotations

import http.server
import json
import math
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from tests.support.ports import free_port


class Pager:
    """A webhook that takes what Alertmanager sends.

    Attributes:
        told: alert and whether it fires, in order.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        pager = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                pager.told += [(alert["labels"]["alertname"], alert["status"]) for alert in content["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """What it was told is kept, not printed."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def was_told(self, alert: str, status: str) -> bool:
        return (alert, status) in self.told

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Watch:
    """A Prometheus that scrapes, and who is told of its alerts."""

    pager: Pager
    url: str

    def ask(self, path: str, **parameters: str) -> Any:
        """What its HTTP API answers to a question; a PromQL that it cannot read is an error of the test."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def exemplars(self, expression: str) -> list[Any]:
        """Those of the last minute of each series."""
        now_s = time.time()
        found: list[Any] = self.ask("query_exemplars", query=expression, start=str(now_s - 60), end=str(now_s))
        return found

    def values(self, expression: str) -> list[float]:
        """The value of each series that an expression gives now; those that are no numbers left out."""
        found = [float(series["value"][1]) for series in self.ask("query", query=expression)["result"]]
        return [value for value in found if not math.isnan(value)]


def hurried(rules: Path, folder: Path) -> Path:
    """The rules with every ``for`` of a second: what they say about time is tested by promtool."""
    path = folder / "rules.yaml"
    path.write_text(re.sub(r"(?m)^( +for: ).*$", r"\g<1>1s", rules.read_text(encoding="utf-8")), encoding="utf-8")
    return path


@contextmanager
def watched(folder: Path, rules: Path, targets: dict[str, str]) -> Iterator[Watch]:
    """Prometheus scrapes the targets each second, and a pager is told of its alerts.

    Args:
        targets: host:port by the name of its scrape job.
    """
    alertmanager_port, port, pager = free_port(), free_port(), Pager()
    quick = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    routing = {
        "route": {"receiver": "pager", "group_by": ["alertname"], **quick},
        "receivers": [{"name": "pager", "webhook_configs": [{"url": pager.url, "send_resolved": True}]}],
    }
    scraping = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(hurried(rules, folder))],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager_port}"]}]}]},
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [target]}]} for name, target in targets.items()
        ],
    }
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(routing), encoding="utf-8")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(scraping), encoding="utf-8")
    with ExitStack() as stack:
        stack.callback(pager.stop)
        stack.enter_context(
            _server(
                "prometheus-alertmanager",
                f"--config.file={folder / 'alertmanager.yaml'}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address=127.0.0.1:{alertmanager_port}",
                "--cluster.listen-address=",
            )
        )
        stack.enter_context(
            _server(
                "prometheus",
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=exemplar-storage",
            )
        )
        yield Watch(pager, f"http://127.0.0.1:{port}")


@contextmanager
def _server(name: str, *options: str) -> Iterator[None]:
    assert shutil.which(name), f"{name} is missing: make system installs it, or apt install {name}"
    process = subprocess.Popen([name, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
        assert process.poll() is None, f"{name} has ended by itself"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
