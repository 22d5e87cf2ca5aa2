"""``streamtag notify``: events told to webhooks and brokers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from streamtag.cli import views
from streamtag.cli.common import FAILED, OUTPUT, Config, Json, Model, Overrides, err, out, print_json, settings_from
from streamtag.cli.tables import Column, Grid
from streamtag.client import Client
from streamtag.errors import ConfigError
from streamtag.extras import require
from streamtag.logs import log
from streamtag.notify_metrics import NotifyMetrics
from streamtag.notify_settings import MqttSink, WebhookSink, secret_of
from streamtag.pipeline.health import Health, http_server
from streamtag.pipeline.signals import watch_signals
from streamtag.queue.notices import SinkView, UndeliveredEvent
from streamtag.settings import Settings
from streamtag.tools.notify.again import Retold, tell_again, webhook_of
from streamtag.tools.notify.runner import Runner
from streamtag.tools.notify.tls import trusted_by

NO_SINK = (
    "no sink is set: name webhooks and brokers under notify.sinks, in the file of --config or in "
    "STREAMTAG_NOTIFY__SINKS (docs/notify.md)"
)


def notify(
    status: Annotated[
        bool, typer.Option("--status", help="How far each sink has got, and leave.", rich_help_panel=OUTPUT)
    ] = False,
    dead_letters: Annotated[
        bool,
        typer.Option("--dead-letters", help="The events that a sink did not take, and leave.", rich_help_panel=OUTPUT),
    ] = False,
    retry: Annotated[
        str,
        typer.Option(
            "--retry",
            metavar="SINK",
            help="Tell a webhook its dead letters again, each once, and leave.",
            rich_help_panel=OUTPUT,
        ),
    ] = "",
    config: Config = None,
    model: Model = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Tell the events of a queue to the sinks of notify.sinks, each at least once, until SIGTERM or Ctrl-C.

    Of several that run one tells; another takes over when it is gone. How it fares is told at /metrics (http.port, or
    any free one where that is not set and a worker has it). --json is for --status, --dead-letters and --retry.
    """
    settings = settings_from(config, model, None, overrides)
    if json and not (status or dead_letters or retry):
        raise ConfigError("--json belongs to --status, --dead-letters or --retry")
    if not (status or dead_letters or retry):
        _run(settings)
        return
    sink = webhook_of(settings, retry) if retry else None
    with Client(settings=settings) as client:
        if sink:
            _print_retold(sink.name, tell_again(settings, sink, client.feeds), json)
        if status:
            names = [sink.name for sink in settings.notify.sinks]
            _print_status(client.feeds.sinks(names), client.feeds.runner(), json)
        if dead_letters:
            _print_dead_letters(list(client.feeds.undelivered()), json)


def _run(settings: Settings) -> None:
    _check(settings)
    stopping = threading.Event()
    watch_signals(lambda _number: stopping.set())
    metrics = NotifyMetrics(sink.name for sink in settings.notify.sinks)
    health = Health(settings.http.stuck_s)
    health.warm = True
    server = http_server(settings.http, metrics.registry, health)
    server.start()
    log.info("http", metrics=f"{server.url}/metrics")
    try:
        Runner(settings, metrics, health, stopping).run()
    finally:
        server.stop()
    log.info("stopped")


def _check(settings: Settings) -> None:
    """What would fail later is said now."""
    sinks = settings.notify.sinks
    if not sinks:
        raise ConfigError(NO_SINK)
    for sink in sinks:
        if isinstance(sink, MqttSink):
            require("notify to MQTT")
            secret_of(sink.password, sink.password_file)
        if isinstance(sink, WebhookSink):
            secret_of(sink.secret, sink.secret_file)
        if sink.tls_ca:
            trusted_by(sink.tls_ca)


def _print_status(sinks: list[SinkView], runner: str, json: bool) -> None:
    if not sinks:
        (err if json else out).print(NO_SINK, highlight=False, markup=False, soft_wrap=True)
        return
    if json:
        for sink in sinks:
            print_json(asdict(sink) | {"runner": runner})
        return
    ranks = {"behind": 0, "heard": 4, "delivered": 3, "dead": 1, "lost": 5}
    numbers = [Column(name, right=True, rank=rank) for name, rank in ranks.items()]
    title = f"told by {runner}" if runner else "no runner tells events now"
    grid = Grid(Column("sink", gives=True), *numbers, Column("trouble", wraps=True), title=title)
    for sink in sinks:
        heard = f"{_age(sink.heard_unix_s)} ago" if sink.heard_unix_s else "never"
        behind = "" if sink.behind is None else str(sink.behind)
        grid.row(sink.sink, behind, heard, str(sink.delivered), str(sink.dead), str(sink.lost), sink.trouble)
    grid.print(out)


def _print_dead_letters(letters: list[UndeliveredEvent], json: bool) -> None:
    if json:
        for letter in letters:
            print_json(_letter(letter))
        return
    sentences = Column("event", wraps=True, rank=1), Column("reason", wraps=True)
    number = "1 event that was not taken" if len(letters) == 1 else f"{len(letters)} events that were not taken"
    grid = Grid(
        Column("sink", gives=True),
        Column("age", right=True, rank=2),
        Column("tries", right=True, rank=3),
        *sentences,
        title=number,
    )
    for letter in letters:
        line = views.event_line(letter.event).plain
        grid.row(letter.sink, _age(letter.at_unix_s), str(letter.tries), line, letter.reason)
    grid.print(out)


def _print_retold(sink: str, letters: Iterable[Retold], json: bool) -> None:
    count, failed = 0, False
    for one in letters:
        count += 1
        failed = failed or bool(one.reason)
        status = "dead letter" if one.reason else "told"
        if json:
            print_json({"event_id": one.letter.event.id, "status": status, "reason": one.reason})
        else:
            text = f"{one.letter.event.id}  {status}{f': {one.reason}' if one.reason else ''}"
            out.print(text, highlight=False, markup=False, soft_wrap=True)
    if not count and not json:
        out.print(f"{sink} has no dead letters", highlight=False, markup=False)
    if failed:
        raise typer.Exit(FAILED)


def _letter(letter: UndeliveredEvent) -> dict[str, Any]:
    return asdict(letter) | {"event": letter.event.to_dict()}


def _age(since_unix_s: float) -> str:
    return views.duration(time.time() - since_unix_s)
