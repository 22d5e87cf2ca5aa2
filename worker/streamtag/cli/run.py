"""``streamtag run``: the worker."""

from __future__ import annotations

from typing import Annotated

import typer

from streamtag.cli.common import Config, Model, Overrides, Weights, settings_from
from streamtag.pipeline.service import Service


def run(
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    slots: Annotated[int | None, typer.Option("--slots", help="Jobs at once (worker.slots).")] = None,
    overrides: Overrides = None,
) -> None:
    """Run a worker: take jobs, tag them, publish. SIGTERM or Ctrl-C hands live jobs back and drains."""
    settings = settings_from(config, model, weights, overrides, worker__slots=slots)
    service = Service(settings)
    service.install_signals()
    raise typer.Exit(service.run())
