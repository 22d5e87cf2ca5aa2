"""``streamtag models quantise``: a bundle's network in 8-bit integers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from streamtag.cli.common import Config, Json, Overrides, end_on_sigterm, out, print_json, settings_from
from streamtag.cli.progress import progress_bar
from streamtag.tools.quantising import quantise as quantise_bundle


def quantise(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle (`streamtag models bundle`, `streamtag train`).")],
    pictures: Annotated[
        Path,
        typer.Option(
            "--pictures",
            help="Folder or video of what the network will see. Folders in it named as its classes say what is shown.",
        ),
    ],
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Store a network in 8-bit integers in its bundle, if it is as good as in float32.

    Half of the pictures calibrate, the other half judge. Of pictures whose classes are known at most one point of
    accuracy may be lost; of others the best class must be that of float32 in engine.agreement_int8 of them. More
    careful ways are tried where the simplest is not good enough, the last one takes long.
    """
    end_on_sigterm()
    settings = settings_from(config, overrides=overrides)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with progress_bar(*columns, quiet=json) as progress:
        task = progress.add_task("", total=None)
        found = quantise_bundle(
            bundle, pictures, settings, lambda text: progress.update(task, description=escape(text))
        )
    if json:
        print_json({"path": str(bundle)} | asdict(found))
        return
    right = ""
    if found.accuracy is not None:
        right = f"{found.accuracy:.1%} right (float32 {found.accuracy_float32:.1%}), "
    out.print(
        f"{escape(str(bundle))}: {right}agrees with float32 in {found.agreement:.1%} of {found.pictures} pictures "
        f"({found.method})",
        highlight=False,
        soft_wrap=True,
    )
    if found.agreement < settings.engine.agreement_int8:
        out.print(
            f"engine.name auto asks for {settings.engine.agreement_int8:.1%}: lower engine.agreement_int8, or serve "
            "it with engine.precision=int8",
            highlight=False,
            soft_wrap=True,
        )
