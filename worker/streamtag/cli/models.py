"""``streamtag models``: which networks there are, and their weights and bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from streamtag.cli import views
from streamtag.cli.common import FAILED, Config, Json, Overrides, examples, out, print_json, settings_from
from streamtag.cli.model_groups import groups
from streamtag.cli.model_making import import_weights, make_bundle
from streamtag.cli.progress import progress_bar
from streamtag.cli.quantise import quantise
from streamtag.cli.tables import Column, Grid
from streamtag.errors import StreamtagError
from streamtag.networks.bundle_file import read_bundle_file
from streamtag.networks.bundles import sha256
from streamtag.networks.loading import convert_ahead
from streamtag.networks.registry import DEMO_BUNDLE, fetch_weights, find_weights, published
from streamtag.networks.specs import SPECS, Spec, spec_of
from streamtag.networks.weights import fetching
from streamtag.settings import ModelSettings
from streamtag.tools import bundling

app = typer.Typer(no_args_is_help=True, help="Networks, their weights, and bundles.")


@app.command("list", epilog=examples("models list # with sizes and accuracies, and whether weights are here"))
def list_(config: Config = None, json: Json = False, overrides: Overrides = None) -> None:
    """The networks that a name can mean, and what of them is on this machine."""
    settings = settings_from(config, overrides=overrides).model
    rows = [*(_row(name, spec, settings) for name, spec in SPECS.items()), _demo_row()]
    if json:
        for row in rows:
            print_json(row)
        return
    ranks = {"input": 3, "parameters": 4, "size": 2, "top-1 / 5": 1}
    figures = (Column(name, right=True, rank=rank) for name, rank in ranks.items())
    grid = Grid("network", *figures, "weights")
    for row in rows:
        grid.row(
            row["name"],
            f"{row['input']}²",
            f"{row['parameters'] / 1e6:.1f} M",
            f"{row['megabytes']} MB",
            f"{row['top1']:.1f} / {row['top5']:.1f} %" if row["top1"] else "",
            Text("here", "green") if row["cached"] else ("to fetch" if row["url"] else "to import"),
        )
    grid.print()
    out.print(f"demo: {escape(rows[-1]['note'])}", highlight=False, soft_wrap=True)
    out.print(
        "Accuracies as published, on ImageNet's validation pictures (`models show` names the source).", soft_wrap=True
    )
    out.print(f"Weights are kept in {escape(str(fetching.cache_folder(settings)))}", highlight=False, soft_wrap=True)


@app.command(epilog=examples("models show xception # figures, their source, hashes"))
def show(
    name: Annotated[str, typer.Argument(help="A network's name, or the folder of a bundle.")],
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Everything known about a network or a bundle."""
    settings = settings_from(config, overrides=overrides).model
    if (Path(name) / "bundle.json").is_file() or name == "demo":
        content = _bundle_content(DEMO_BUNDLE if name == "demo" else Path(name))
    else:
        content = _row(name, spec_of(name), settings)
    if json:
        print_json(content)
        return
    grid = Grid("", Column("", wraps=True), headings=False)
    for key, value in content.items():
        if told := views.nested(value):
            grid.row(Text(key, "bold"), told)
    grid.print()


@app.command(epilog=examples("models fetch xception # weights into the cache", "models fetch all # of all networks"))
def fetch(
    names: Annotated[list[str], typer.Argument(help="Networks of `streamtag models list`, or all.")],
    convert: Annotated[
        bool, typer.Option("--convert", help="Also for OpenVINO, so that the first start need not.")
    ] = False,
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Download ImageNet weights into the cache folder, checked against the published hash. Goes on where it broke."""
    settings = settings_from(config, overrides=overrides).model
    chosen = [name for name, spec in SPECS.items() if spec.download] if names == ["all"] else names
    for name in chosen:  # a mistake in the last name is told before the first download
        published(name, spec_of(name))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    for name in chosen:
        with progress_bar(*columns, quiet=json, transient=False) as bar:
            task = bar.add_task(name, total=None)

            def progress(done: int, total: int, bar: Progress = bar, task: TaskID = task) -> None:
                bar.update(task, completed=done, total=total or None)

            path = fetch_weights(name, settings, progress)
        found = {"path": str(path)}
        if convert:
            named = settings.model_copy(update={"name": name, "weights": "imagenet", "labels": None})
            found["converted"] = str(convert_ahead(named))
        if json:
            print_json({"name": name, **found})
        else:
            out.print(f"{name}: {escape(', '.join(found.values()))}", highlight=False, soft_wrap=True)


app.command("import", epilog=examples("models import inceptionv4 inception_v4.ckpt # from TF-slim"))(import_weights)
app.command("bundle", epilog=examples("models bundle xception --out my-bundle # a folder ready to serve"))(make_bundle)


@app.command(epilog=examples("models verify my-bundle # hashes, schema, and a first prediction"))
def verify(
    names: Annotated[list[str], typer.Argument(help="Networks of `streamtag models list`, or folders of bundles.")],
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Check hashes and the schema, build the network, and see that it gives probabilities."""
    settings = settings_from(config, overrides=overrides)
    failed = False
    for name in names:
        try:
            content = bundling.verify(name, settings)
        except StreamtagError as error:
            failed = True
            content = {"name": name, "ok": False, "error": str(error)}
        if json:
            print_json(content)
        elif content["ok"]:
            out.print(
                f"[green]ok[/]    {escape(name)}: {content['parameters']:,} parameters, {content['classes']} classes, "
                f"{content['engine']} on {content['device']}",
                highlight=False,
                soft_wrap=True,
            )
        else:
            out.print(f"[red]fail[/]  {escape(content['error'])}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(FAILED)


app.command(
    epilog=examples("models quantise my-bundle --pictures frames/ # faster on a CPU, if its labels stay the same")
)(quantise)
app.command(
    "groups",
    epilog=examples(
        "models groups xception # dog, bottle, car and what is in them",
        "models groups xception --set model.groups=my.json # of a file: "
        '{"pet": ["wordnet:dog", "wordnet:cat", "hamster"], "*": "wordnet"}',
    ),
)(groups)


def _row(name: str, spec: Spec, settings: ModelSettings) -> dict[str, Any]:
    cached = find_weights(name, settings)
    return {
        "name": name,
        "architecture": spec.architecture,
        "input": spec.size,
        "mode": spec.mode,
        "parameters": spec.parameters,
        "megabytes": spec.download.megabytes if spec.download else round(spec.parameters * 4 / 1e6),
        "top1": spec.top1,
        "top5": spec.top5,
        "figures": spec.figures,
        "paper": spec.paper,
        "url": spec.download.url if spec.download else "",
        "digest": spec.download.digest if spec.download else "",
        "by_hand": spec.by_hand,
        "cached": str(cached) if cached else "",
        "note": "",
    }


def _demo_row() -> dict[str, Any]:
    """The network that is shipped, as a row beside those of the registry."""
    content = _bundle_content(DEMO_BUNDLE)
    return (
        dict.fromkeys(("top1", "top5"))
        | {
            "name": "demo",
            "architecture": content["architecture"],
            "input": content["size"],
            "mode": content["mode"],
            "parameters": content["record"]["parameters"],
            "megabytes": content["megabytes"],
            "digest": f"sha256:{content['sha256']}",
            "cached": str(DEMO_BUNDLE / content["weights"]),
            "note": content["note"],
        }
        | dict.fromkeys(("figures", "paper", "url", "by_hand"), "")
    )


def _bundle_content(folder: Path) -> dict[str, Any]:
    content = read_bundle_file(folder).model_dump()
    weights = folder / content["weights"]
    intact = weights.is_file() and sha256(weights) == content["sha256"]
    return content | {"megabytes": round(weights.stat().st_size / 1e6, 1) if weights.is_file() else 0, "intact": intact}
