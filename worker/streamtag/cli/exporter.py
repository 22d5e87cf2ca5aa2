"""``streamtag exporter``: metrics of queues without a worker."""

from __future__ import annotations

import threading
from typing import Annotated

import typer
from prometheus_client import generate_latest

from streamtag.cli.common import Config, Overrides, code_of, out, settings_from
from streamtag.logs import log
from streamtag.pipeline.health import Health, HttpServer
from streamtag.pipeline.signals import watch_signals
from streamtag.tools.exporter import QueueCollector, clients_of, registry_of


def exporter(
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Whose queue (model.name). May be given again: one exporter serves many."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the metrics and leave.")] = False,
    config: Config = None,
    overrides: Overrides = None,
) -> None:
    """Export what Redis tells about queues at /metrics: jobs that wait, the oldest of them, dead letters, workers.

    Workers export their own metrics; where there is none, as after scaling to zero, this tells that jobs wait.
    """
    settings = settings_from(config, None, None, overrides)
    clients = clients_of(settings, models or [settings.model.name])
    collector = QueueCollector(clients)
    registry = registry_of(collector)
    if once:
        out.file.write(generate_latest(registry).decode())
        raise typer.Exit(code_of(collector.failure) if collector.failure else 0)
    health = Health(settings.http.stuck_s)
    health.warm = health.redis = True  # it is of use while Redis is away, too: that is what it tells then
    stopping = threading.Event()
    watch_signals(lambda _number: stopping.set())
    server = HttpServer(settings.http, registry, health)
    server.start()
    log.info("ready", metrics=f"{server.url}/metrics", queues=[client.settings.model.name for client in clients])
    stopping.wait()
    server.stop()
    for client in clients:
        client.close()
