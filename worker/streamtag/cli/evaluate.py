"""``streamtag evaluate``: how good networks are on labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from streamtag.cli import evaluate_answers, evaluate_unknown
from streamtag.cli.common import FAILED, Config, Json, Overrides, Weights, print_json, settings_from
from streamtag.cli.progress import progress_bar
from streamtag.core.bundle import Bundle
from streamtag.core.groups import Groups
from streamtag.core.job import Sampling
from streamtag.errors import ConfigError, StreamtagError
from streamtag.extras import require
from streamtag.ingest.pictures import is_absent
from streamtag.networks import loading
from streamtag.networks.registry import NAMES, resolve
from streamtag.settings import Settings
from streamtag.tools.bundle_folder import held
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import Dataset, other_pictures

if TYPE_CHECKING:  # scikit-learn may be absent
    from streamtag.tools.evaluation.comparison import Evaluated
    from streamtag.tools.evaluation.level_choice import LevelChoice
    from streamtag.tools.evaluation.pictures import Findings
    from streamtag.tools.evaluation.writing import Fitted


@dataclass(frozen=True, slots=True)
class _Task:
    """One network and what it is evaluated on."""

    name: str
    settings: Settings
    dataset: Dataset


Write = Annotated[
    list[str] | None,
    typer.Option(
        "--write",
        help="Into the bundle: temperature, thresholds (equal errors), thresholds-precision, level (how sure a label "
        "must be to be told in place of its group), unknown.",
    ),
]
Precision = Annotated[
    float,
    typer.Option(
        "--precision",
        help="Wanted of the second kind of threshold, of what unknown lets through, of the labels that level tells.",
        min=0.01,
        max=1,
    ),
]
Others = Annotated[
    Path | None,
    typer.Option("--others", help="Folder of pictures of other things, for what is none of the classes (unknown)."),
]
Without = Annotated[
    list[str] | None,
    typer.Option("--without", help="A video that shows none of the classes: counts false alarms. May be repeated."),
]


def evaluate(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL… [FOLDER]",
            help="Folders of bundles, networks of `streamtag models list` (NAME=FILE: its weights), several side by "
            "side; then a folder with one for each class, or of pictures with ImageNet's wnid in their names. Default: "
            "what the training of the first held out.",
        ),
    ],
    spans: Annotated[Path | None, typer.Option("--spans", help="Videos: CSV with video,start_s,end_s,label.")] = None,
    weights: Weights = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write one HTML file with plots and mistakes.")
    ] = None,
    precision: Precision = 0.95,
    write: Write = None,
    others: Others = None,
    without: Without = None,
    fps: Annotated[float, typer.Option("--fps", help="Samples a second of videos.", min=0.01)] = 2.0,
    include_trained: Annotated[
        bool, typer.Option("--include-trained", help="Count pictures too that the bundle's training saw.")
    ] = False,
    config: Config = None,
    json: Json = False,
    overrides: Overrides = None,
) -> None:
    """Accuracy, confusion, calibration and thresholds of networks on labelled pictures, with intervals of 95 %."""
    models, folder = _parts(what)
    if len(models) > 1 and (weights or write or others or without):
        raise ConfigError(
            "--weights, --write, --others and --without are of one network; name weights as NAME=FILE, or one network"
        )
    named = [
        settings_from(config, name, file or weights, overrides) for name, _, file in (m.partition("=") for m in models)
    ]
    chosen = _writes(write or [], named[0])
    require("evaluate" if report is None else "evaluate --report")
    # The material first: a wrong folder is known before a network is compiled.
    _check(others, without or [])
    tasks, trained = _material(named, folder, spans, include_trained)
    with held(Path(named[0].model.name), force=True) if chosen else nullcontext():
        found = [_evaluated(task, fps, precision, json) for task in tasks]
        contents = [_content(bundle, one, trained) for bundle, one in found]
        origin = f"{found[0][1].measures.samples} samples of {folder or spans or 'what training held out'}"
        if report is not None:
            _write_report(report, origin, found)
            contents[0]["report"] = str(report)
        if others is not None or "unknown" in chosen:
            about = (tasks[0].dataset.items, others, fps, precision, "unknown" in chosen, json)
            contents[0]["unknown"] = evaluate_unknown.fitted(named[0], *about)
        if "unknown" not in chosen:
            _write_fitted(contents[0], found[0][1], chosen, named[0], precision)
        trouble = _count_alarms(contents[0], named[0], without or [], fps, json)
    _tell(contents, found, json)
    if trouble is not None:  # after what was written and found before
        raise trouble
    if contents[0].get("refused"):
        raise typer.Exit(FAILED)


def _check(others: Path | None, without: list[str]) -> None:
    """See that what the pictures are held against is there."""
    if others is not None:
        other_pictures(others)
    if gone := [video for video in without if is_absent(video)]:
        raise ConfigError(f"--without {gone[0]}: no such file")


def _count_alarms(
    content: dict[str, Any], settings: Settings, without: list[str], fps: float, quiet: bool
) -> StreamtagError | None:
    """Into the content, or why they could not be counted."""
    if without:
        try:
            content["false_alarms"] = evaluate_unknown.alarms(settings, without, fps, quiet)
        except StreamtagError as error:
            return error
    return None


def _write_fitted(
    content: dict[str, Any], one: Evaluated, chosen: set[Fitted], settings: Settings, precision: float
) -> None:
    """Into the bundle, and into the content what was written and what was not."""
    if not chosen:
        return
    from streamtag.tools.evaluation import summary  # noqa: PLC0415 - needs an extra
    from streamtag.tools.evaluation.writing import write_fitted, write_level  # noqa: PLC0415 - needs an extra

    folder = Path(settings.model.name)
    share = settings.smoothing.exit / settings.smoothing.enter
    written = write_fitted(folder, one.measures, chosen, share)
    if "level" in chosen:
        # What was written just now changes which labels are told.
        choice = _choice(one.findings, resolve(settings.model), settings, precision)
        write_level(folder, choice, written)
        if choice is not None:
            content["level"]["choice"] = summary.plain(choice)
    content["warnings"] += written.remarks
    content |= {"written": written.entries, "refused": written.refused, "left_out": written.labels_left_out}


def _parts(what: Sequence[str]) -> tuple[list[str], Path | None]:
    """The networks, and the folder of the material behind them, if there is one."""

    def is_network(one: str) -> bool:
        name = one.partition("=")[0]
        return name in NAMES or (Path(name) / "bundle.json").is_file()

    if len(what) > 1 and not is_network(what[-1]):
        return list(what[:-1]), Path(what[-1])
    return list(what), None


def _material(
    named: Sequence[Settings], folder: Path | None, spans: Path | None, include_trained: bool
) -> tuple[list[_Task], int]:
    """What each network is evaluated on, without what any of them was trained on, and how many items those were."""
    from streamtag.tools.evaluation import pictures  # noqa: PLC0415 - needs an extra

    first = Path(named[0].model.name)
    datasets = [pictures.labelled(folder, spans, first, resolve(one.model).labels) for one in named]
    count = len(datasets[0].items)
    if not include_trained:
        for one in named:
            datasets = [pictures.without_trained(dataset, Path(one.model.name))[0] for dataset in datasets]
    names = [Path(one.model.name).name for one in named]
    unique = [name if names.count(name) == 1 else one.model.name for name, one in zip(names, named, strict=True)]
    if len(set(unique)) < len(unique):
        raise ConfigError(f"evaluate: {', '.join(unique)}: name each network once")
    tasks = [_Task(*parts) for parts in zip(unique, named, datasets, strict=True)]
    return tasks, count - len(datasets[0].items)


def _evaluated(task: _Task, fps: float, precision: float, quiet: bool) -> tuple[Bundle, Evaluated]:
    from streamtag.tools.evaluation.comparison import Evaluated  # noqa: PLC0415 - needs an extra
    from streamtag.tools.evaluation.level import level_of  # noqa: PLC0415 - needs an extra
    from streamtag.tools.evaluation.measures import measure  # noqa: PLC0415 - needs an extra

    bundle, findings = _examined(task, fps, quiet)
    about = (findings.scores, findings.truth)
    measures = measure(*about, bundle.labels, bundle.temperature, precision, findings.groups)
    level = level_of(*about, bundle, task.settings.smoothing)
    choice = _choice(findings, bundle, task.settings, precision)
    return bundle, Evaluated(task.name, measures, findings, level, choice)


def _choice(findings: Findings, bundle: Bundle, settings: Settings, precision: float) -> LevelChoice | None:
    from streamtag.tools.evaluation.level_choice import choose_level  # noqa: PLC0415 - needs an extra

    return choose_level(findings.scores, findings.truth, findings.groups, bundle, settings.smoothing, precision)


def _examined(task: _Task, fps: float, quiet: bool) -> tuple[Bundle, Findings]:
    from streamtag.tools.evaluation import pictures  # noqa: PLC0415 - needs an extra

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with progress_bar(*columns, quiet=quiet) as bar:
        shown = bar.add_task("", total=None)
        network = loading.load(task.settings, lambda step: bar.update(shown, description=str(step)))
        # The classes alone, at temperature 1, so that another one can be fitted.
        plain = replace(network.bundle, temperature=1.0, groups=Groups())
        classifier = Classifier(task.settings, replace(network, bundle=plain))
        findings = pictures.evaluate(
            classifier,
            task.dataset,
            network.bundle.labels,
            Sampling(fps=fps),
            lambda done: bar.update(
                shown, description=f"{task.name}: {done} samples of {len(task.dataset.items)} items"
            ),
        )
    return network.bundle, findings


def _content(bundle: Bundle, one: Evaluated, trained: int) -> dict[str, Any]:
    from streamtag.tools.evaluation import summary  # noqa: PLC0415 - needs an extra
    from streamtag.tools.evaluation.level_choice import doubt  # noqa: PLC0415 - needs an extra
    from streamtag.tools.evaluation.writing import doubts  # noqa: PLC0415 - needs an extra

    warnings = doubts(one.measures, bundle.labels[:-1] if bundle.unknown else bundle.labels)
    warnings += [text] if (text := doubt(one.choice)) else []
    stands_alone = len(set(one.findings.groups.tolist()))
    if stands_alone < one.measures.samples:
        warnings.append(
            f"{one.measures.samples} samples of {stands_alone} groups, such as frames of one video, are alike: the "
            "intervals take them for different pictures and are too narrow"
        )
    about = {"model": one.name, "trained_on": trained, "warnings": warnings}
    return summary.as_json(one) | about


def _tell(contents: list[dict[str, Any]], found: Sequence[tuple[Bundle, Evaluated]], json: bool) -> None:
    if len(found) == 1:
        if json:
            print_json(contents[0])
        else:
            evaluate_answers.show(contents[0], many=found[0][0].classes > 5)
            evaluate_unknown.show(contents[0])
        return
    from streamtag.tools.evaluation import comparison  # noqa: PLC0415 - needs an extra

    evaluated = [one for _, one in found]
    pairs = comparison.pairs(evaluated)
    if json:
        print_json({"networks": contents, "pairs": comparison.as_json(pairs)})
    else:
        evaluate_answers.show_side_by_side([one.name for one in evaluated], comparison.rows(evaluated), pairs)
        evaluate_answers.show_remarks(contents[0])


def _write_report(path: Path, origin: str, found: Sequence[tuple[Bundle, Evaluated]]) -> None:
    from streamtag.tools.evaluation import report  # noqa: PLC0415 - needs an extra

    if len(found) > 1:
        report.write_comparison(path, origin, [one for _, one in found], [bundle.labels for bundle, _ in found])
        return
    bundle, one = found[0]
    report.write_html(path, bundle.name, origin, one, bundle.labels)


def _writes(names: list[str], settings: Settings) -> set[Fitted]:
    bundle = Path(settings.model.name)
    known = {"temperature", "thresholds", "thresholds-precision", "level", "unknown"}
    chosen = {part for name in names for part in name.split(",") if part}
    if chosen - known:
        raise ConfigError(f"--write {', '.join(sorted(chosen - known))}: known are {', '.join(sorted(known))}")
    if chosen >= {"thresholds", "thresholds-precision"}:
        raise ConfigError("--write: thresholds and thresholds-precision exclude each other")
    if "unknown" in chosen and len(chosen) > 1:
        rest = ", ".join(sorted(chosen - {"unknown"}))
        raise ConfigError(f"--write: write unknown first, then {rest} in a second call: unknown changes every score")
    if "level" in chosen and settings.model.groups:
        raise ConfigError(
            "--write level: holds for the bundle's own groups; leave model.groups out, or put them into a bundle: "
            "streamtag models bundle … --set model.groups=FILE"
        )
    if chosen and not (bundle / "bundle.json").is_file():
        raise ConfigError(
            f"--write: {bundle} is no bundle; make one: streamtag models bundle {bundle} --weights FILE --out FOLDER"
        )
    return chosen  # type: ignore[return-value]
