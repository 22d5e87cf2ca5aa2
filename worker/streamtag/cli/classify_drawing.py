"""What ``streamtag classify`` draws: bars beside pictures, and copies with their labels."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import typer

from streamtag.cli import answers
from streamtag.errors import ConfigError, StreamtagError
from streamtag.ingest.pictures import is_one_picture
from streamtag.ingest.session import forkserver
from streamtag.redaction import printable
from streamtag.settings import Settings
from streamtag.tools.classify import Answer, Classifier
from streamtag.tools.drawing import charts
from streamtag.tools.drawing.thumbnails import thumbnails

PLOT_ROWS = 24
PLOT_PIXELS = 480


def draw(
    chosen: list[str], found: dict[str, list[Answer]], settings: Settings, plot: Path | None, show: bool, quiet: bool
) -> None:
    """Draw the bars, and open them, if asked to."""
    if plot is not None:
        _plot(chosen, found, settings, plot)
        if not quiet:
            answers.say_drawn(plot)
    elif show:
        plot = Path(tempfile.mkdtemp(prefix="streamtag-")) / "labels.png"
        _plot(chosen[:PLOT_ROWS], found, settings, plot)
    if show and typer.launch(str(plot)) != 0:
        raise StreamtagError(f"--show: no program of this machine opens {plot}; install xdg-utils and a viewer")


def make_folder(annotate: Path) -> None:
    """Make the folder of the copies.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        annotate.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--annotate {annotate}: cannot be made: {error.strerror}") from None


def copies(chosen: Sequence[str], annotate: Path) -> dict[str, Path]:
    """Source to where its copy goes: into the folder under the source's name, or to the file that was named.

    Raises:
        ConfigError: the folder cannot be made, or a source would be overwritten.
    """
    sources = {place for source in chosen if (place := _place(Path(source))) is not None}
    found: dict[str, Path] = {}
    taken: set[Path] = set()
    for source in dict.fromkeys(chosen):
        target = plain = _target(source, annotate)
        number = 2
        while target in taken:  # files of one name in several folders
            target, number = plain.with_stem(f"{plain.stem}-{number}"), number + 1
        if _place(target) in sources:
            raise ConfigError(f"--annotate {annotate}: would overwrite {target} itself; name another file or folder")
        taken.add(target)
        found[source] = target
    return found


def annotated(classifier: Classifier, found: Sequence[Answer], target: Path) -> list[Answer]:
    """Draw the answers about one source on a copy of it; the answers, with what went wrong."""
    try:
        classifier.draw(found, target)
    except StreamtagError as error:
        return [replace(answer, error=str(error)) for answer in found]
    return list(found)


def _plot(chosen: list[str], found: dict[str, list[Answer]], settings: Settings, path: Path) -> None:
    pictures = thumbnails(chosen, PLOT_PIXELS, settings.source, forkserver())
    rows = []
    for row, (source, picture) in enumerate(zip(chosen, pictures, strict=True)):
        bars = {name: [(label.name, label.score) for label in given[row].labels[:10]] for name, given in found.items()}
        rows.append((printable(Path(source.split("?")[0]).name), picture, bars))
    charts.bars_beside_pictures(rows, path)


def _target(source: str, annotate: Path) -> Path:
    name = Path(source.split("?")[0] if "://" in source else source).name
    if annotate.is_dir() or not annotate.suffix:
        make_folder(annotate)
        return annotate / (name if is_one_picture(source) else f"{Path(name).stem}.mp4")
    return annotate


def _place(path: Path) -> tuple[int, int] | None:
    """Which file it is, by whatever name; None where it is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
