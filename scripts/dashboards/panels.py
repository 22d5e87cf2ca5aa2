"""What the dashboards show: each panel with its queries. ``build.py`` has how they look, ``fleet.py`` the fleet's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["timeseries", "stacked", "stat", "heatmap"]
Unit = Literal["short", "s", "bytes", "percentunit", "reqps"]
WORKER = 'instance=~"$instance"'
LIVE = f'{WORKER}, source="live"'


@dataclass(frozen=True)
class Query:
    """In Prometheus' language, with Grafana's variables in it."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        about: what it shows, for who hovers over its title.
        width: of the 24 columns.
        above: from which value on it is drawn in red, and below in green; or the other way round, ``below``.
    """

    title: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    unit: Unit = "short"
    about: str = ""
    width: int = 8
    above: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class Board:
    """A dashboard: rows of panels, each row under a title."""

    uid: str
    title: str
    about: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def rate(metric: str, by: str = "", where: str = WORKER) -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{where}}}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str = "", where: str = WORKER) -> str:
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'le, {by}' if by else 'le', where)})"


_STAGES = {
    "decoder behind its camera": "streamtag_lag_seconds",
    "waiting for the device": "streamtag_queue_seconds",
    "on the device": "streamtag_inference_seconds",
    "commit": "streamtag_commit_seconds",
    "capture to Redis": "streamtag_capture_to_commit_seconds",
}
_PADDING = rate("streamtag_batch_padding_total", "instance")
_FILLED = rate("streamtag_batch_size_sum", "instance")

WORKER_BOARD = Board(
    "streamtag-worker",
    "Streamtag: worker",
    "Where a worker's time goes, and what it takes of its machine.",
    (
        (
            "Time",
            (
                Panel(
                    "Stages, half of the samples within",
                    tuple(Query(quantile(0.5, metric), stage) for stage, metric in _STAGES.items()),
                    unit="s",
                ),
                Panel(
                    "Stages, 95 of 100 within",
                    tuple(Query(quantile(0.95, metric), stage) for stage, metric in _STAGES.items()),
                    unit="s",
                ),
                Panel(
                    "Capture to Redis, live",
                    (
                        Query(
                            "sum by (le) (increase(streamtag_capture_to_commit_seconds_bucket"
                            f"{{{LIVE}}}[$__rate_interval]))",
                            "{{le}}",
                        ),
                    ),
                    "heatmap",
                    "s",
                    "With exemplars: a point is a sample of a job that carries a traceparent.",
                ),
            ),
        ),
        (
            "Device",
            (
                Panel(
                    "Device busy",
                    (
                        Query(
                            rate("streamtag_device_busy_seconds_total", "instance, source"), "{{instance}} {{source}}"
                        ),
                    ),
                    "stacked",
                    "percentunit",
                ),
                Panel(
                    "Batches by size",
                    (
                        Query(
                            f"sum by (le) (increase(streamtag_batch_size_bucket{{{WORKER}}}[$__rate_interval]))",
                            "{{le}}",
                        ),
                    ),
                    "heatmap",
                ),
                Panel(
                    "Padding",
                    (Query(f"{_PADDING} / ({_PADDING} + {_FILLED} > 0)", "{{instance}}"),),
                    unit="percentunit",
                    about="Share of the rows of batches that held no sample.",
                ),
                Panel(
                    "Compilations while serving",
                    (Query(f"sum by (instance) (streamtag_engine_recompiles_total{{{WORKER}}})", "{{instance}}"),),
                    "stat",
                    about="Should stay 0.",
                    above=1,
                ),
                Panel(
                    "Time since the last result",
                    (Query(f"time() - streamtag_last_progress_timestamp_seconds{{{WORKER}}}", "{{instance}}"),),
                    unit="s",
                ),
                Panel(
                    "Commits by outcome",
                    (Query(rate("streamtag_commits_total", "outcome"), "{{outcome}}"),),
                ),
            ),
        ),
        (
            "Machine",
            (
                Panel(
                    "CPU",
                    (
                        Query(
                            f'rate(process_cpu_seconds_total{{{WORKER}, job="streamtag-worker"}}[$__rate_interval])',
                            "{{instance}}",
                        ),
                        Query(rate("streamtag_decode_seconds_sum", "instance"), "{{instance}} decoders"),
                    ),
                    about="Cores: of the worker's own process, and of its decoders as they say.",
                ),
                Panel(
                    "Memory",
                    (Query(f'process_resident_memory_bytes{{{WORKER}, job="streamtag-worker"}}', "{{instance}}"),),
                    unit="bytes",
                    about="Of the worker's own process, without its decoders.",
                ),
                Panel(
                    "Leases",
                    (
                        Query(f"streamtag_leases{{{WORKER}}}", "{{instance}} jobs"),
                        Query(f"streamtag_slots{{{WORKER}}}", "{{instance}} slots"),
                    ),
                ),
                Panel("Lease renewals", (Query(rate("streamtag_lease_renewals_total", "answer"), "{{answer}}"),)),
                Panel(
                    "Open files",
                    (Query(f'process_open_fds{{{WORKER}, job="streamtag-worker"}}', "{{instance}}"),),
                ),
                Panel(
                    "Garbage collections",
                    (
                        Query(
                            rate("python_gc_collections_total", "generation", f'{WORKER}, job="streamtag-worker"'),
                            "generation {{generation}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)

STREAMS = Board(
    "streamtag-streams",
    "Streamtag: streams",
    "What cameras do. Which one it is, is told by streamtag status: no metric names a camera.",
    (
        (
            "States",
            (
                Panel(
                    "Live streams by state",
                    (Query(f"sum by (state) (streamtag_streams{{{LIVE}}})", "{{state}}"),),
                    "stacked",
                    width=12,
                ),
                Panel(
                    "Staleness of the worst stream",
                    (Query(f"max by (state) (streamtag_stream_staleness_seconds{{{WORKER}}})", "{{state}}"),),
                    unit="s",
                    about="Age of its newest result in Redis.",
                    width=12,
                ),
            ),
        ),
        (
            "Connections",
            (
                Panel("Reconnects", (Query(rate("streamtag_stream_reconnects_total", "state"), "{{state}}"),)),
                Panel(
                    "Decoders started anew", (Query(rate("streamtag_decoder_restarts_total", "cause"), "{{cause}}"),)
                ),
                Panel("Sources that did not open", (Query(rate("streamtag_open_errors_total", "cause"), "{{cause}}"),)),
                Panel(
                    "Gaps",
                    (Query(rate("streamtag_stream_gaps_total", "reason"), "{{reason}}"),),
                    about="Holes in live streams, each declared by an event.",
                ),
                Panel(
                    "Behind the camera",
                    tuple(
                        Query(quantile(share, "streamtag_lag_seconds"), f"p{share * 100:g}") for share in (0.5, 0.95)
                    ),
                    unit="s",
                ),
                Panel(
                    "Streams that changed hands",
                    (Query(rate("streamtag_stream_moves_total", "outcome"), "{{outcome}}"),),
                ),
            ),
        ),
        (
            "Labels of metrics.labels",
            (
                Panel(
                    "Streams in which a label is active",
                    (Query(f"sum by (label) (streamtag_label_streams{{{WORKER}}})", "{{label}}"),),
                    width=12,
                ),
                Panel(
                    "Labels that enter and exit",
                    (Query(rate("streamtag_label_events_total", "label, kind"), "{{label}} {{kind}}"),),
                    width=12,
                ),
            ),
        ),
    ),
)
