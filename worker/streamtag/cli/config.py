"""``streamtag config``: settings as they are in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streamtag.cli.common import Config, Json, Model, Overrides, Weights, examples, print_json, settings_and_origins
from streamtag.cli.tables import Column, Grid
from streamtag.configuration import flatten, in_yaml, template
from streamtag.core.job import job_schema
from streamtag.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The settings: in force, as a schema, as a file to begin with.")


@app.command(
    epilog=examples("config show # values, and where they come from", "config show --config worker.yaml # with a file")
)
def show(
    config: Config = None, model: Model = None, weights: Weights = None, json: Json = False, overrides: Overrides = None
) -> None:
    """Show every setting, its value and where it came from. Secrets are never shown."""
    settings, origins = settings_and_origins(config, model, weights, overrides)
    values = flatten(settings)
    if json:
        for name, value in values.items():
            print_json({"name": name, "value": _jsonable(value), "origin": origins.get(name, "default")})
        return
    grid = Grid("setting", Column("value", wraps=True), Column("from", wraps=True))
    for name, value in values.items():
        origin = origins.get(name, "default")
        grid.row(name, _typed(_jsonable(value)), origin, style="" if origin == "default" else "bold")
    grid.print()


@app.command(epilog=examples("config schema > schema.json # for editors and checks"))
def schema(
    job: Annotated[
        bool, typer.Option("--job", help="Of a job, as producers in other languages write it, instead.")
    ] = False,
) -> None:
    """Print the JSON schema of the settings file, or of a job."""
    print_json(job_schema() if job else Settings.model_json_schema())


@app.command("template", epilog=examples("config template > worker.yaml # a file to begin with"))
def template_() -> None:
    """Print a settings file with every option at its default, described."""
    typer.echo(template(), nl=False)


def _jsonable(value: Any) -> Any:
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _typed(value: Any) -> str:
    """A value as one gives it to --set or writes it into a file: Python's None would be a text there."""
    return value if isinstance(value, str) else in_yaml(value)
