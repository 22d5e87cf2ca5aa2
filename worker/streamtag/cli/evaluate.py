"""``streamtag evaluate``: how good a network is on labelled pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streamtag.cli.common import FAILED, Config, Json, Overrides, Weights, err, out, print_json, settings_from
from streamtag.cli.tables import Column, Grid
from streamtag.core.bundle import Bundle
from streamtag.core.job import Sampling
from streamtag.errors import ConfigError
from streamtag.extras import require
from streamtag.networks import loading
from streamtag.networks.registry import resolve
from streamtag.settings import Settings
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import Dataset

if TYPE_CHECKING:  # scikit-learn may be absent
    from streamtag.tools.evaluation.measures import Measures
    from streamtag.tools.evaluation.pictures import Findings
    from streamtag.tools.evaluation.writing import Fitted


def evaluate(
    model: Annotated[str, typer.Argument(help="The folder of a bundle, or a network of `streamtag models list`.")],
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A folder for each class, or pictures with ImageNet's wnid in their names. Default: held out."
        ),
    ] = None,
    spans: Annotated[Path | None, typer.Option("--spans", help="Videos: CSV with video,start_s,end_s,label.")] = None,
    weights: Weights = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write one HTML file with plots and mistakes.")
    ] = None,
    precision: Annotated[
        float, typer.Option("--precision", help="Wanted precision of the second kind of threshold.", min=0.01, max=1)
    ] = 0.95,
    write: Annotated[
        list[str] | None,
        typer.Option("--write", help="Into the bundle: temperature, thresholds (equal errors), thresholds-precision."),
    ] = None,
    fps: Annotated[float, typer.Option("--fps", help="Samples a second of videos.", min=0.01)] = 2.0,
    include_trained: Annotated[
        bool, typer.Option("--include-trained", help="Count pictures too that the bundle's training saw.")
    ] = False,
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Accuracy, confusion, calibration and thresholds of a network on labelled pictures."""
    settings = settings_from(config, model, weights, overrides)
    chosen = _writes(write or [], Path(model))
    require("evaluate" if report is None else "evaluate --report")
    from streamtag.tools.evaluation import pictures, summary  # noqa: PLC0415 - needs an extra
    from streamtag.tools.evaluation.measures import measure  # noqa: PLC0415 - needs an extra
    from streamtag.tools.evaluation.writing import doubts, write_fitted  # noqa: PLC0415 - needs an extra

    # The material first: a wrong folder is known before a network is compiled.
    dataset = pictures.labelled(folder, spans, Path(model), resolve(settings.model).labels)
    trained = 0
    if not include_trained:
        dataset, trained = pictures.without_trained(dataset, Path(model))
    bundle, findings = _examined(settings, dataset, fps, json)
    measures = measure(findings.scores, findings.truth, bundle.labels, bundle.temperature, precision)
    content = summary.as_json(measures, findings) | {"trained_on": trained, "warnings": []}
    content["warnings"] += [text] if (text := doubts(measures)) else []
    if report is not None:
        _write_report(report, folder or spans, bundle, measures, findings)
        content["report"] = str(report)
    if chosen:
        share = settings.smoothing.exit / settings.smoothing.enter
        written = write_fitted(Path(model), measures, chosen, share)
        content |= {"written": written.entries, "refused": written.refused, "left_out": written.labels_left_out}
    if json:
        print_json(content)
    else:
        _print(content, bundle)
    if content.get("refused"):
        raise typer.Exit(FAILED)


def _examined(settings: Settings, dataset: Dataset, fps: float, quiet: bool) -> tuple[Bundle, Findings]:
    from streamtag.tools.evaluation import pictures  # noqa: PLC0415 - needs an extra

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet) as bar:
        task = bar.add_task("", total=None)
        network = loading.load(settings, lambda step: bar.update(task, description=str(step)))
        # At temperature 1, so that another one can be fitted.
        classifier = Classifier(settings, replace(network, bundle=replace(network.bundle, temperature=1.0)))
        findings = pictures.evaluate(
            classifier,
            dataset,
            network.bundle.labels,
            Sampling(fps=fps),
            lambda done: bar.update(task, description=f"{done} samples of {len(dataset.items)} items"),
        )
    return network.bundle, findings


def _write_report(path: Path, material: Path | None, bundle: Bundle, measures: Measures, findings: Findings) -> None:
    from streamtag.tools.evaluation.report import write_html  # noqa: PLC0415 - needs an extra

    origin = f"{measures.samples} samples of {material or 'what training held out'}"
    write_html(path, bundle.name, origin, measures, findings, bundle.labels)


def _writes(names: list[str], bundle: Path) -> set[Fitted]:
    known = {"temperature", "thresholds", "thresholds-precision"}
    chosen = {part for name in names for part in name.split(",") if part}
    if chosen - known:
        raise ConfigError(f"--write {', '.join(sorted(chosen - known))}: known are {', '.join(sorted(known))}")
    if chosen >= {"thresholds", "thresholds-precision"}:
        raise ConfigError("--write: thresholds and thresholds-precision exclude each other")
    if chosen and not (bundle / "bundle.json").is_file():
        raise ConfigError(
            f"--write: {bundle} is no bundle; make one: streamtag models bundle {bundle} --weights FILE --out FOLDER"
        )
    return chosen  # type: ignore[return-value]


def _print(content: dict[str, Any], bundle: Bundle) -> None:
    out.print(f"[bold]{content['accuracy']:.1%}[/] of {content['samples']} samples right", highlight=False)
    if bundle.classes > 5:
        out.print(f"{content['top5']:.1%} among the best five", highlight=False)
    before, after = content["calibration"]["before"], content["calibration"]["after"]
    out.print(
        f"calibration error {before['ece']:.3f} at temperature {before['temperature']:.2f}, {after['ece']:.3f} at the "
        f"fitted {after['temperature']:.2f}",
        highlight=False,
    )
    thresholds = {row["label"]: row for row in content["thresholds"]}
    figures = ("samples", "precision", "recall", "F1", "equal errors at")
    grid = Grid("class", *(Column(name, right=True) for name in figures))
    rows = content["classes"]
    shown = rows if len(rows) <= 20 else sorted(rows, key=lambda row: row["f1"])[:20]
    for row in shown:
        threshold = thresholds.get(row["label"])
        grid.row(
            row["label"],
            str(row["support"]),
            f"{row['precision']:.3f}",
            f"{row['recall']:.3f}",
            f"{row['f1']:.3f}",
            f"{threshold['equal_error_threshold']:.3f}" if threshold else "",
        )
    grid.print()
    if len(rows) > len(shown):
        out.print(f"the {len(shown)} weakest of {len(rows)} classes; all of them with --json or --report")
    for text in content["warnings"]:
        err.print(f"[yellow]warning:[/] {escape(text)}", highlight=False, soft_wrap=True)
    if content["trained_on"]:
        text = f"{content['trained_on']} items were trained on and are left out (--include-trained counts them)"
        err.print(f"[yellow]warning:[/] {text}", highlight=False, soft_wrap=True)
    for row in content["unreadable"]:
        err.print(f"[yellow]left out[/] {escape(row['path'])}: {escape(row['reason'])}", soft_wrap=True)
    if "report" in content:
        out.print(f"report: {escape(content['report'])}", highlight=False, soft_wrap=True)
    for name, value in content.get("written", {}).items():
        text = f"{value:g}" if name == "temperature" else f"of {len(value)} labels"
        out.print(f"written into the bundle: {name} {text}", highlight=False)
    for label, reason in content.get("left_out", {}).items():
        out.print(f"  {escape(label)}: no new threshold; {escape(reason)}", highlight=False, soft_wrap=True)
    for name, reason in content.get("refused", {}).items():
        err.print(f"[red]not written: {name}[/]: {escape(reason)}", highlight=False, soft_wrap=True)
