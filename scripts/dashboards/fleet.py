"""What the dashboard of the fleet shows."""

from __future__ import annotations

from panels import LIVE, WORKER, Board, Panel, Query, quantile, rate

_BUDGET = (
    '1 - (1 - sum(increase(streamtag_capture_to_commit_seconds_bucket{source="live", le="2.0"}[30d]))'
    ' / sum(increase(streamtag_samples_total{source="live"}[30d]))) / 0.01'
)
_QUEUE = "{{model}}.{{shard}}"

FLEET = Board(
    "streamtag-fleet",
    "Streamtag: fleet",
    "Whether results come in time, whether jobs wait, and what there is of Redis.",
    (
        (
            "Objective: 99 of 100 live samples in Redis within 2 s",
            (
                Panel(
                    "Budget left",
                    (Query(_BUDGET, "left"),),
                    "stat",
                    "percentunit",
                    "Of what may be late, dropped or failed in 30 days, or as far back as Prometheus remembers.",
                    4,
                    below=0.1,
                ),
                Panel(
                    "Budget burn",
                    tuple(
                        Query(f"streamtag:live_late:ratio_rate{window} / 0.01", f"over {window}")
                        for window in ("5m", "1h", "6h", "3d")
                    ),
                    about="How many times as fast as would just do. 14.4 over an hour wakes somebody.",
                    width=10,
                ),
                Panel(
                    "Capture to Redis, live",
                    tuple(
                        Query(quantile(share, "streamtag_capture_to_commit_seconds", where=LIVE), f"p{share * 100:g}")
                        for share in (0.5, 0.95, 0.99)
                    ),
                    unit="s",
                    width=10,
                ),
            ),
        ),
        (
            "Jobs and workers",
            (
                Panel(
                    "Jobs",
                    (
                        Query("streamtag_queue_waiting_jobs", f"{_QUEUE} waiting"),
                        Query("streamtag_queue_running_jobs", f"{_QUEUE} running"),
                        Query("streamtag_queue_slots", f"{_QUEUE} slots"),
                    ),
                    about="As the exporter reads them in Redis.",
                ),
                Panel(
                    "Replicas",
                    (
                        Query("streamtag_queue_workers", f"{_QUEUE} serving"),
                        Query("streamtag_queue_draining_workers", f"{_QUEUE} draining"),
                        Query('sum(up{job="streamtag-worker"})', "scraped"),
                    ),
                ),
                Panel(
                    "Oldest waiting job",
                    (Query("streamtag_queue_oldest_waiting_seconds", _QUEUE),),
                    unit="s",
                    about="Above 900 s somebody gets a ticket.",
                ),
                Panel(
                    "Jobs that left a worker, in five minutes",
                    (Query(f"sum by (outcome) (increase(streamtag_jobs_total{{{WORKER}}}[5m]))", "{{outcome}}"),),
                ),
                Panel("Dead letters in Redis", (Query("streamtag_queue_dead_letters", _QUEUE),)),
                Panel(
                    "Samples a second, asked and possible",
                    (
                        Query(f"sum(streamtag_asked_samples_per_second{{{WORKER}}})", "asked by live streams"),
                        Query(f"sum(streamtag_supply_samples_per_second{{{WORKER}}})", "possible"),
                    ),
                ),
            ),
        ),
        (
            "Samples",
            (
                Panel(
                    "Samples a second by stage",
                    (
                        Query(rate("streamtag_samples_total"), "sampled"),
                        Query(rate("streamtag_samples_published_total"), "published"),
                        Query(rate("streamtag_samples_reused_total"), "of them reused"),
                        Query(rate("streamtag_samples_dropped_total"), "dropped"),
                        Query(rate("streamtag_samples_failed_total"), "failed"),
                    ),
                ),
                Panel("Drops by reason", (Query(rate("streamtag_samples_dropped_total", "reason"), "{{reason}}"),)),
                Panel("Failures by reason", (Query(rate("streamtag_samples_failed_total", "reason"), "{{reason}}"),)),
            ),
        ),
        (
            "Redis",
            (
                Panel(
                    "Answers, 95 of 100 within",
                    (Query(quantile(0.95, "streamtag_redis_seconds", "thread"), "{{thread}}"),),
                    unit="s",
                ),
                Panel("Calls that failed", (Query(rate("streamtag_redis_errors_total", "thread"), "{{thread}}"),)),
                Panel(
                    "Memory",
                    (
                        Query("max(streamtag_redis_memory_used_bytes)", "used"),
                        Query("max(streamtag_redis_memory_limit_bytes)", "limit (0: none)"),
                    ),
                    unit="bytes",
                ),
            ),
        ),
        (
            "Notifications, where streamtag notify runs",
            (
                Panel(
                    "Oldest event yet to tell",
                    (Query("max by (sink) (streamtag_notify_oldest_undelivered_seconds)", "{{sink}}"),),
                    unit="s",
                    about="Above 300 s somebody is woken.",
                ),
                Panel(
                    "Events told, and what else became of them, a second",
                    (Query(rate("streamtag_notify_events_total", "sink, outcome", ""), "{{sink}} {{outcome}}"),),
                ),
                Panel(
                    "Tries that a sink did not take, a second",
                    (Query(rate("streamtag_notify_retries_total", "sink", ""), "{{sink}}"),),
                ),
                Panel(
                    "Since the last event was taken",
                    (
                        Query(
                            "time() - max by (sink) (streamtag_notify_last_delivery_timestamp_seconds)",
                            "{{sink}}",
                        ),
                    ),
                    unit="s",
                    width=16,
                ),
                Panel(
                    "Runners that tell events",
                    (Query("sum(streamtag_notify_lease)", "of a queue"),),
                    "stat",
                    about="One for each queue.",
                    below=1,
                ),
            ),
        ),
    ),
)
