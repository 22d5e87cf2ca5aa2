"""``streamtag doctor``: is everything there, and what to do about what is not."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.markup import escape

from streamtag.cli.common import FAILED, Config, Json, Model, Overrides, Weights, out, print_json, settings_from
from streamtag.tools.doctor import examine

_MARKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}


def doctor(
    config: Config = None, model: Model = None, weights: Weights = None, json: Json = False, overrides: Overrides = None
) -> None:
    """Check Redis, decoders, memory, model, weights and device; say what to do about each fault."""
    settings = settings_from(config, model, weights, overrides)
    failed = False
    for finding in examine(settings):
        failed = failed or finding.level == "fail"
        if json:
            print_json(asdict(finding))
            continue
        out.print(
            f"{_MARKS[finding.level]}  {finding.check:<18} {escape(finding.seen)}", highlight=False, soft_wrap=True
        )
        if finding.remedy:
            out.print(f"      [dim]{escape(finding.remedy)}[/]", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(FAILED)
