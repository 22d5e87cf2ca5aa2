"""``streamtag models import`` and ``models bundle``: weights and bundles are made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from streamtag.cli.common import Config, Json, Overrides, err, out, print_json, settings_from
from streamtag.errors import ConfigError
from streamtag.networks.bundle_file import LEAST_SIZE, MOST_SIZE
from streamtag.networks.specs import spec_of
from streamtag.tools import bundling
from streamtag.tools.bundle_folder import held

_TOLD = {
    "logits": "its outputs are no probabilities; a softmax is added, so that they are",
    "sigmoid": "its outputs are probabilities of each label by itself: several may be true of a picture",
    "sigmoid-logits": "its outputs are no probabilities; a sigmoid is added, for each label by itself",
}
Force = Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")]
Name = Annotated[str, typer.Argument(help="A network of `streamtag models list`.")]


def import_weights(
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(help="TF-slim checkpoint (.ckpt, .tar.gz), PyTorch state dict (.pth, .pt), or arrays (.npz)."),
    ],
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Write a bundle there. Default: into the cache, for use by name.")
    ] = None,
    force: Force = False,
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Convert weights of another framework. Only tensors are read; a file that could run code is refused."""
    settings = settings_from(config, overrides=overrides).model
    spec_of(name)
    if not file.exists() and not file.with_name(file.name + ".index").is_file():
        raise ConfigError(f"{file}: no such file")
    if out_folder is None:
        target = bundling.keep(name, file, settings)
    else:
        target = out_folder
        with held(out_folder, force):
            brought = settings.model_copy(update={"name": name, "weights": str(file)})
            bundling.make(brought, out_folder, {"imported_from": file.name})
    if json:
        print_json({"name": name, "path": str(target)})
    else:
        out.print(f"{name}: {escape(str(target))}", highlight=False, soft_wrap=True)


def make_bundle(
    name: Annotated[
        str, typer.Argument(help="A network of `streamtag models list`, or a whole network in a .keras file.")
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    weights: Annotated[str, typer.Option("--weights", help="imagenet, or a file.")] = "imagenet",
    labels: Annotated[Path | None, typer.Option("--labels", help="Class names: a text file or JSON.")] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", help="Input of a .keras file, pixels. Default: its own.", min=LEAST_SIZE, max=MOST_SIZE),
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option("--mode", help="Normalisation of a .keras file: tf (default), caffe, caffe-rounded, torch, lite."),
    ] = None,
    outputs: Annotated[
        str,
        typer.Option("--outputs", help="Of a .keras file: logits, probabilities, sigmoid. Default: found out."),
    ] = "",
    force: Force = False,
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Make a bundle: a folder with the network, its labels and its preprocessing, ready to serve."""
    settings = settings_from(config, overrides=overrides).model
    settings = settings.model_copy(update={"name": name, "weights": weights, "labels": labels})
    brought = {"size": size, "mode": mode, "outputs": outputs}
    with held(out_folder, force):
        if name.endswith(".keras"):
            if outputs not in ("", "logits", "probabilities", "sigmoid"):
                raise ConfigError(f"--outputs {outputs}: logits, probabilities or sigmoid")
            kind = bundling.make_whole(Path(name), settings, size, mode or "tf", outputs, out_folder)
            if not json and kind in _TOLD:
                err.print(f"[yellow]note:[/] {_TOLD[kind]}", highlight=False, soft_wrap=True)
        elif given := [f"--{option}" for option, value in brought.items() if value]:
            raise ConfigError(
                f"{', '.join(given)}: for .keras files alone; the networks of the registry have their own"
            )
        else:
            spec_of(name)
            bundling.make(settings, out_folder, {"weights": weights})
    if json:
        print_json({"path": str(out_folder)})
    else:
        out.print(f"{escape(str(out_folder))}: serve it with --model {escape(str(out_folder))}", highlight=False)
