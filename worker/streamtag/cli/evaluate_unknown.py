"""What ``evaluate`` and ``train`` say and write of pictures that are none of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from streamtag.cli import evaluate_answers
from streamtag.cli.common import err, out
from streamtag.cli.progress import progress_bar
from streamtag.core.job import Sampling
from streamtag.logs import quiet_stderr
from streamtag.networks import loading
from streamtag.networks.loading import import_keras
from streamtag.networks.registry import ensure_weights, resolve
from streamtag.settings import Settings
from streamtag.tools.classify import Classifier
from streamtag.tools.dataset import LabelledItem
from streamtag.tools.drawing.textures import TEXTURES
from streamtag.tools.split_record import read_split

PRECISION = 0.95  # share of the classes among what is let through, both sides weighed the same

if TYPE_CHECKING:  # scikit-learn may be absent, and Keras is imported once its backend is chosen
    from streamtag.tools.evaluation.unknown_fit import Fit


def fitted(
    settings: Settings,
    known: Sequence[LabelledItem],
    others: Path | None,
    fps: float,
    precision: float,
    write: bool,
    quiet: bool,
) -> dict[str, Any]:
    """Fit the outcome of none of these, and write it into the bundle where that is wanted.

    Args:
        known: pictures of the classes that training did not see.
        others: folder of other things; None has textures drawn.

    Raises:
        StreamtagError: the pictures or the bundle do not allow it.
    """
    import_keras(settings.engine)
    with quiet_stderr():
        from streamtag.tools.evaluation import unknown_fit  # noqa: PLC0415 - Keras, whose backend is chosen first

    folder = Path(settings.model.name)
    split = read_split(folder)
    with _bar(quiet) as bar, unknown_fit.others_in(others) as chosen:
        task = bar.add_task("", total=None)
        bundle = ensure_weights(resolve(settings.model), settings.model)
        found = unknown_fit.fit(
            settings,
            bundle,
            known,
            [item for item in split.train if item.path.is_file()] if split else [],
            chosen,
            Sampling(fps=fps),
            precision,
            lambda step: bar.update(task, description=str(step)),
        )
    remarks = unknown_fit.write(folder, found) if write else []
    return _content(found, written=write) | {"warnings": remarks}


def alarms(settings: Settings, videos: Sequence[str], fps: float, quiet: bool) -> dict[str, Any]:
    """Count false alarms on videos without the classes."""
    from streamtag.tools.evaluation.alarms import false_alarms  # noqa: PLC0415 - needs an extra
    from streamtag.tools.evaluation.summary import plain  # noqa: PLC0415 - needs an extra

    with _bar(quiet) as bar:
        task = bar.add_task("", total=None)
        network = loading.load(settings, lambda step: bar.update(task, description=str(step)))
        found = false_alarms(
            Classifier(settings, network),
            videos,
            Sampling(fps=fps),
            lambda done: bar.update(task, description=f"videos without the classes: {done.samples} samples"),
        )
    return plain(found)


def _content(found: Fit, written: bool) -> dict[str, Any]:
    from streamtag.tools.evaluation.summary import figures  # noqa: PLC0415 - needs an extra

    line = found.line
    return {
        "scores": [{"by": one.by} | figures({"auroc": one.auroc}) for one in found.scores],
        "others": found.others,
        "pictures": found.count,
        "threshold": line.threshold if line else None,
        **(figures({"found": line.found, "lost": line.lost}) if line else {}),
        "written": written,
    }


def show(content: dict[str, Any]) -> None:
    """Both, for people."""
    if unknown := content.get("unknown"):
        told = ", ".join(f"{one['by']} {evaluate_answers.number(one, 'auroc')}" for one in unknown["scores"])
        text = f"none of these: {told} (AUROC against {unknown['pictures']} others, {unknown['others']})"
        out.print(escape(text), highlight=False, soft_wrap=True)
        if unknown["threshold"] is not None:
            found_share, lost = (evaluate_answers.share(unknown, name) for name in ("found", "lost"))
            out.print(
                f"  by {unknown['scores'][0]['by']} below {unknown['threshold']:.4g}: of the others "
                f"{found_share} are unknown, of the classes {lost}"
                + ("; written into the bundle" if unknown["written"] else ""),
                highlight=False,
                soft_wrap=True,
            )
        warnings = list(unknown["warnings"])
        if unknown["others"] == TEXTURES:
            warnings.append(
                "drawn textures stood for other things, since none were given; --others FOLDER of real ones tells more"
            )
        for text in warnings:
            err.print(f"[yellow]warning:[/] {text}", highlight=False, soft_wrap=True)
    if found := content.get("false_alarms"):
        said = f" ({', '.join(found['labels'])})" if found["labels"] else ""
        low, high = found["per_hour_95"]
        out.print(
            escape(
                f"false alarms: {found['count']} in {found['hours']:.3g} h, {found['per_hour']:.3g} an hour "
                f"({low:.3g} to {high:.3g}){said}"
            ),
            highlight=False,
            soft_wrap=True,
        )


def _bar(quiet: bool) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    return progress_bar(*columns, quiet=quiet)
