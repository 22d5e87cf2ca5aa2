"""``streamtag run``: the worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamtag.cli.common import Config, Model, Overrides, Weights, settings_from
from streamtag.configuration import termination_log
from streamtag.errors import StreamtagError
from streamtag.pipeline.service import Service
from streamtag.redaction import printable

MESSAGE_BYTES = 4096  # that Kubernetes reads of it


def run(
    config: Config = None,
    model: Model = None,
    weights: Weights = None,
    slots: Annotated[int | None, typer.Option("--slots", help="Jobs at once (worker.slots).")] = None,
    overrides: Overrides = None,
) -> None:
    """Run a worker: take jobs, tag them, publish. SIGTERM or Ctrl-C hands live jobs back and drains."""
    told = termination_log()
    try:
        settings = settings_from(config, model, weights, overrides, worker__slots=slots)
        told = settings.worker.termination_log
        service = Service(settings)
        service.install_signals()
        code = service.run()
    except StreamtagError as error:
        _leave_reason(told, str(error))
        raise
    if service.failure is not None:
        _leave_reason(told, f"a thread died, which is a bug: {type(service.failure).__name__}; the log has more")
    raise typer.Exit(code)


def _leave_reason(path: Path, reason: str) -> None:
    """Write why we end where Kubernetes looks for it. It makes the file itself, and so we never do."""
    try:
        with path.open("r+b") as file:
            file.truncate()
            file.write("\n".join(map(printable, reason.splitlines())).encode()[:MESSAGE_BYTES])
    except OSError:
        return  # not in a container, or not ours to write: the log has said it
