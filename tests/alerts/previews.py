"""Previews of the dashboards, drawn by matplotlib from what their queries give: ``make previews``.

No Grafana draws them. A real worker, cameras that come and go and a film, watched by a real Prometheus for two minutes.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image
from streamtag.client import Client
from streamtag.settings import Settings

from tests.alerts.test_rules import RULES
from tests.support import RedisServer, RtspServer, Worker, eventually, free_port, redis_binaries, settings_for
from tests.support.dashboards import DASHBOARDS, Query
from tests.support.prometheus import Watch, watched
from tests.support.webhook_receiver import WebhookReceiver

LASTS_S = 120
STEP_S = 2
FOLDER = Path(__file__).parents[2] / "docs" / "dashboards"
LABELS = ("circle", "square")
OVERRIDES = (
    f"metrics.labels={json.dumps(LABELS)}",
    "lease.renew_s=1",
    "source.backoff_cap_s=1",
    "source.read_timeout_s=3",
)


def main() -> None:
    """Run everything, and write a picture of each dashboard."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        redis = stack.enter_context(RedisServer(redis_binaries()[0], Path(folder)))
        camera = RtspServer()
        camera.start()
        stack.callback(camera.stop)
        settings = settings_for(redis)
        receiver = stack.enter_context(WebhookReceiver())
        sinks = json.dumps([{"name": "alarm", "kind": "webhook", "url": receiver.url}])
        ports = {}
        for name, command in (("worker", "run"), ("exporter", "exporter"), ("notify", "notify")):
            ports[f"streamtag-{name}"] = port = free_port()
            env = {"STREAMTAG_HTTP__PORT": str(port), "STREAMTAG_NOTIFY__SINKS": sinks}
            worker = Worker(settings, *(OVERRIDES if command == "run" else ()), env=env, command=command)
            stack.callback(worker.kill)
            if command == "notify":
                eventually(partial(worker.said, "telling events"), "it has the lease")
            else:
                worker.ready()
        targets = {job: f"127.0.0.1:{port}" for job, port in ports.items()}
        watch = stack.enter_context(watched(Path(folder), RULES, targets))
        began_s = time.time()
        happen(settings, camera, receiver, Path(folder))
        for path in DASHBOARDS:
            draw(json.loads(path.read_text(encoding="utf-8")), watch, began_s, FOLDER / f"{path.stem}.png")


def happen(settings: Settings, camera: RtspServer, receiver: WebhookReceiver, folder: Path) -> None:
    """Two cameras and a film that is none; in the middle the cameras are away for a while, then the web server is."""
    began_s = time.monotonic()
    broken = folder / "broken.mp4"
    broken.write_bytes(b"no film")
    with Client(settings=settings) as client:
        jobs = [client.submit(camera.url(name)).job_id for name in ("ball", "still")]
        eventually(lambda: client.status(jobs[0]).counters.published > 3, "samples of a camera")
        wait_until(began_s + LASTS_S * 0.4)
        camera.stop()
        client.submit(str(broken))
        wait_until(began_s + LASTS_S * 0.6)
        camera.start()
        receiver.answers = [503] * 5
        wait_until(began_s + LASTS_S)


def wait_until(at_s: float) -> None:
    time.sleep(max(0.0, at_s - time.monotonic()))


def draw(board: dict[str, Any], watch: Watch, began_s: float, path: Path) -> None:
    """One dashboard, its panels where Grafana would have them."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    figure = Figure(figsize=(13, rows * 0.27), dpi=75)
    with mpl.rc_context({"font.size": 7, "axes.titlesize": 8, "axes.spines.top": False, "axes.spines.right": False}):
        for panel in board["panels"]:
            at = panel["gridPos"]
            if panel["type"] == "row":
                figure.text(0.01, 1 - (at["y"] + 0.8) / rows, panel["title"], weight="bold", size=9)
                continue
            left, bottom = at["x"] / 24 + 0.032, 1 - (at["y"] + at["h"] - 1.2) / rows
            axes = figure.add_axes((left, bottom, at["w"] / 24 - 0.045, (at["h"] - 2.6) / rows))
            axes.set_title(panel["title"], loc="left")
            show(axes, panel, watch, began_s)
    path.parent.mkdir(exist_ok=True)
    drawn = BytesIO()
    figure.savefig(drawn)
    # Few colours are enough, and make a third of the size.
    Image.open(drawn).convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


def show(axes: Axes, panel: dict[str, Any], watch: Watch, began_s: float) -> None:
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: worded(value, panel["fieldConfig"]["defaults"]["unit"]))
    )
    axes.yaxis.set_major_locator(MaxNLocator(4))
    asked = [Query("", "", target["expr"], target["legendFormat"]) for target in panel["targets"]]
    if panel["type"] == "stat":
        values = [value for query in asked for value in watch.values(query.asked)]
        text = worded(max(values), panel["fieldConfig"]["defaults"]["unit"]) if values else "no data"
        axes.text(0.5, 0.5, text, ha="center", va="center", size=18, transform=axes.transAxes)
        axes.axis("off")
        return
    series = [(query, one) for query in asked for one in history(watch, query, began_s)]
    {"heatmap": heatmap}.get(panel["type"], lines)(axes, series, began_s)


Series = list[tuple[Query, dict[str, Any]]]


def history(watch: Watch, query: Query, began_s: float) -> list[dict[str, Any]]:
    span = {"start": str(began_s), "end": str(time.time()), "step": str(STEP_S)}
    found: list[dict[str, Any]] = watch.ask("query_range", query=query.asked, **span)["result"]
    return found


def lines(axes: Axes, series: Series, began_s: float) -> None:
    for query, one in series:
        points = [(at_s - began_s, float(value)) for at_s, value in one["values"]]
        name = query.legend
        for label, value in one["metric"].items():
            name = name.replace("{{" + label + "}}", value)
        # What is 0 all the time is in Grafana's legend, too, but would fill this one.
        shown = any(value > 0 for _, value in points)
        axes.plot(*zip(*points, strict=True), linewidth=1, label=name if shown else None)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.25)  # room for the legend
    axes.set_xlim(0)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=5.5, frameon=False, loc="upper left", ncols=2)


def heatmap(axes: Axes, series: Series, began_s: float) -> None:
    by_bound = sorted(((float(one["metric"]["le"]), one["values"]) for _, one in series), key=lambda pair: pair[0])
    times = [at_s - began_s for at_s, _ in by_bound[-1][1]]
    upto = [{at_s - began_s: float(value) for at_s, value in values} for _, values in by_bound]
    counts = [
        [upto[row].get(at, 0.0) - (upto[row - 1].get(at, 0.0) if row else 0.0) for at in times]
        for row in range(len(upto))
    ]
    axes.pcolormesh(times, range(len(counts)), counts, cmap="Oranges", shading="nearest")
    axes.set_yticks(range(len(counts)), ["∞" if math.isinf(bound) else f"{bound:g}" for bound, _ in by_bound], size=5)


def worded(value: float, unit: str) -> str:
    """A value as people read it."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "bytes":
        return f"{value / 1e6:.0f} MB"
    if unit == "s":
        return f"{value:g} s" if value >= 1 or value == 0 else f"{value * 1000:g} ms"
    return f"{value:g}"


if __name__ == "__main__":
    main()
